"""One running archive for each test, with recordings to take in."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import obstore
import pytest

from firsthand.shared.clock import ManualClock
from tests.archive import START, Archive, running
from tests.buckets import URL_SETTING, S3Server, Way
from tests.media import heavy, video


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def archive(tmp_path: Path, nats_url: str, clock: ManualClock) -> AsyncIterator[Archive]:
    async with running(tmp_path / "data", nats_url, clock) as one:
        yield one


@pytest.fixture(scope="session")
def film() -> bytes:
    return video(2)


@pytest.fixture(scope="session")
def long_film() -> bytes:
    return heavy(6 * 1024 * 1024)


@pytest.fixture(scope="session")
def heavy_film() -> bytes:
    """Twenty MiB, three parts of an upload, in what browsers play: it is copied into the viewing copy as it is."""
    return heavy(20 * 1024 * 1024)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    if not (url := os.environ.get(URL_SETTING)):
        pytest.skip(f"no S3 server here: {URL_SETTING} names none, and `.ci/s3` starts one")
    server = S3Server(url, f"test-{secrets.token_hex(5)}/media")
    yield server
    if left := [one["path"] for one in obstore.list(server.store).collect()]:
        obstore.delete(server.store, left)


@pytest.fixture
async def way(s3: S3Server) -> AsyncIterator[Way]:
    way = Way(s3.port)
    way.flowing.set()
    await way.restore()
    yield way
    await way.cut()
