"""Webhooks alone, against a real NATS server, a real store and real receivers, with a clock that the test moves."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import nats
import pytest

from firsthand.services.webhooks.app import SERVICE
from firsthand.shared.clock import Clock, ManualClock, SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from tests.integration.webhooks.house import House
from tests.receiver import Receiver


@contextlib.asynccontextmanager
async def house_of(clock: Clock, folder: Path, nats_url: str) -> AsyncIterator[House]:
    settings = Settings(data=folder / "data", nats_url=nats_url)
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        keys = Keys.load(settings.key_folder)
        transport = httpx.ASGITransport(deployment.app)
        connection = await nats.connect(nats_url)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
            yield House(deployment, clock, connection, SessionIssuer(keys.signing, clock), http)
        await connection.close()


@pytest.fixture
async def house(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    async with house_of(ManualClock(datetime(2026, 11, 27, 9, tzinfo=UTC)), tmp_path, nats_url) as made:
        yield made


@pytest.fixture
async def house_of_today(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    """By the machine's clock, for receivers that go by it."""
    async with house_of(SystemClock(), tmp_path, nats_url) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver.running() as running:
        yield running
