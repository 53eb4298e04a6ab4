"""Three replicas of consent and two of archive, as processes on one MongoDB: a journey passes through all of them, and
consent stays a live rule while replicas are stopped, let go on, and killed. Takes about a minute, most of it waiting.

tests/integration/test_replicas.py has the small print, without MongoDB and without processes.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from firsthand.example import journey as play
from tests.e2e.system import System, apart, unique
from tests.e2e.test_obeying import released
from tests.real_servers import MongoServer

REPLICAS = {"consent": 3, "archive": 2}
CUT_OFF = 0
pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.fixture
async def replicas(tmp_path: Path, mongo_server: MongoServer, mongo_url: str) -> AsyncIterator[System]:
    if not mongo_server.whole_writes:
        pytest.skip(f"not run: needs a server whose writes are whole; this is {mongo_server.name}")
    async with apart(tmp_path, mongo_url=mongo_url, replicas=REPLICAS) as running:
        yield running


class Screens:
    """A student before every replica of archive at once."""

    def __init__(self, system: System, journey: play.Journey, http: httpx.AsyncClient) -> None:
        self._ports = sorted(system.routes["archive"])
        self._path = f"/archive/media/{journey.contact_id}"
        self._http = http
        jar = journey.school.student._http.cookies
        self._headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}

    async def see(self) -> list[int]:
        """What each screen shows: the answer's status; 0 where it was cut off in the middle."""
        return await asyncio.gather(*map(self._ask, self._ports))

    async def _ask(self, port: int) -> int:
        try:
            answer = await self._http.get(f"http://127.0.0.1:{port}{self._path}", headers=self._headers)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return CUT_OFF
        return answer.status_code

    async def until(self, status: int, within: float) -> float:
        """Wait until all show it; tells how long that took, in seconds."""
        began = time.monotonic()
        while (shown := await self.see()) != [status] * len(self._ports):
            assert time.monotonic() - began < within, shown
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def stay(self, status: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert await self.see() == [status] * len(self._ports)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def screens(system: System, handle: str) -> AsyncIterator[tuple[play.Journey, Screens]]:
    async with AsyncExitStack() as stack:
        journey = await stack.enter_async_context(released(system, unique("oak-dental"), handle))
        shown = Screens(system, journey, await stack.enter_async_context(httpx.AsyncClient()))
        await shown.until(200, 10)
        yield journey, shown


async def test_a_journey_passes_through_all_replicas_and_a_withdrawal_reaches_every_one_within_a_second(
    replicas: System,
) -> None:
    async with screens(replicas, "first.example") as (journey, shown):
        await play.withdraw(journey)
        assert await shown.until(404, 1) < 1
        certificate = await play.certificate(journey)
        assert certificate["complete"]

    async with screens(replicas, "second.example") as (journey, shown):
        # One replica of consent alive is enough; and whoever comes back after a while opens nothing and closes nothing.
        consents = [replicas.programs[name] for name in ("consent", "consent-2", "consent-3")]
        routes = replicas.routes["consent"]
        stopped, killed, alive = consents
        stopped.hold()
        await killed.kill()
        routes[:] = [httpx.URL(alive.ready_url).port or 0]
        await shown.stay(200, 7)
        stopped.go_on()
        await shown.stay(200, 1)

        # A replica of archive that stood still while the family withdrew shows nothing when it goes on.
        still = replicas.programs["archive-2"]
        still.hold()
        await play.withdraw(journey, "in-7-days")
        await asyncio.sleep(1)
        still.go_on()
        assert set(await shown.see()) <= {404, 503, CUT_OFF}
        await shown.until(404, 6)

    async with screens(replicas, "third.example") as (_, shown):
        # With no replica of consent there is no playback, also not when a stopped one had a beat on its way.
        stopped.hold()
        await alive.kill()
        silent = await shown.until(503, 7)
        assert silent < 7
        await stopped.kill()
        await shown.stay(503, 1)
