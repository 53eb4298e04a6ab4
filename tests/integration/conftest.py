"""A real nats-server for each test that asks for one: random port, empty folder, the topology applied."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared import topology
from shared.bus import BusSettings
from shared.bus.topology_apply import apply
from shared.embedded_nats import EmbeddedNats
from shared.events.portal import InstitutionChangedV1
from tests.ports import free_port


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """Without topology, so that a test may apply its own."""
    server = EmbeddedNats(tmp_path / "nats", free_port())
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def bus_settings(nats_server: EmbeddedNats) -> BusSettings:
    """Where the server is; the whole topology is applied, and waits are short."""
    settings = BusSettings(url=nats_server.url, delays=(0.02, 0.04, 0.08), grace=2.0)
    await apply(settings)
    return settings


@pytest.fixture
async def nats_url(bus_settings: BusSettings) -> str:
    return bus_settings.url


@pytest.fixture
def institutions_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the bus listen to what they publish."""
    more = [topology.Listening(one, "hear_institutions", (InstitutionChangedV1,)) for one in ("portal", "consent")]
    monkeypatch.setattr(topology, "LISTENINGS", (*topology.LISTENINGS, *more))
