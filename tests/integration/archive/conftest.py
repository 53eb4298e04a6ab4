"""One running archive for each test, with recordings to take in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.clock import ManualClock
from tests.archive import START, Archive, running
from tests.media import video


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
    return video(6, size=480)
