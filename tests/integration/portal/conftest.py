"""The portal alone, against a real NATS server, with a clock that the test moves."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firsthand.services.portal.app import SERVICE
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.settings import Settings
from tests.integration.portal.running import Portal


@pytest.fixture
async def portal(tmp_path: Path, nats_url: str) -> AsyncIterator[Portal]:
    clock = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
    settings = Settings(data=tmp_path / "data", nats_url=nats_url)
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        yield Portal(deployment, clock)


@pytest.fixture
async def college(portal: Portal) -> Portal:
    await portal.add()
    await portal.person("c@school.example", "coordinator")
    return portal
