"""Discovery, started for each test that asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firsthand.services.discovery.app import SERVICE
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from tests.integration.discovery.house import ELM, NOW, OAK, House


@pytest.fixture
async def house(nats_url: str, tmp_path: Path) -> AsyncIterator[House]:
    settings = Settings(data=tmp_path / "data", nats_url=nats_url)
    clock = ManualClock(NOW)
    keys = Keys.load(settings.key_folder, create=True)
    async with Deployment.started(settings, [SERVICE], clock=clock) as deployment:
        house = House(deployment, clock, SessionIssuer(keys.signing, clock), settings.data)
        for institution in (OAK, ELM):
            await house.policies(institution)
        yield house
