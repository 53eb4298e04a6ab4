"""A real nats-server for each test that asks for one: random port, a folder of its own, the topology applied."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from firsthand.shared import load, topology
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events.portal import InstitutionChangedV1
from tests.ports import free_port


@pytest.fixture(autouse=True)
def nobody_elses_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late event loop tells of the machine, on which other tests run: it puts no bulk work off here."""
    monkeypatch.setattr(load, "_LOOP_LIMIT", 60.0)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server on which the whole topology was applied: making it takes longer than copying it."""
    folder = tmp_path_factory.mktemp("applied") / "nats"
    server = EmbeddedNats(folder, free_port())
    await server.start()
    await apply(BusSettings(url=server.url))
    await server.stop()
    return folder


@pytest.fixture
async def nats_server(request: pytest.FixtureRequest, applied: Path, tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """With the whole topology if the test asks for `bus_settings` too; else without, so that it may apply its own."""
    if "bus_settings" in request.fixturenames:
        shutil.copytree(applied, tmp_path / "nats")
    server = EmbeddedNats(tmp_path / "nats", free_port())
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def bus_settings(nats_server: EmbeddedNats) -> BusSettings:
    """Where the server is; waits are short."""
    return BusSettings(url=nats_server.url, delays=(0.02, 0.04, 0.08), grace=2.0)


@pytest.fixture
async def nats_url(bus_settings: BusSettings) -> str:
    return bus_settings.url


@pytest.fixture
def institutions_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the bus listen to what they publish."""
    more = [topology.Listening(one, "hear_institutions", (InstitutionChangedV1,)) for one in ("portal", "consent")]
    monkeypatch.setattr(topology, "LISTENINGS", (*topology.LISTENINGS, *more))
