"""A clock cannot destroy: the machine's clock goes 1,100 days ahead, and whatever was there is there afterwards."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from firsthand.example import journey as play
from firsthand.shared.client import Refused, family
from firsthand.shared.clock import SystemClock
from firsthand.shared.topology import SERVICES
from tests.e2e.system import THIS_CODE, System, all_in_one, unique

AHEAD = timedelta(days=1100)


@dataclass
class Machine:
    """`firsthand up` on a machine whose clock a test sets."""

    system: System
    clock: Path

    def set_clock(self, ahead: timedelta) -> None:
        draft = self.clock.with_suffix(".new")
        draft.write_text(str(ahead.total_seconds()))
        draft.replace(self.clock)  # no look finds it empty

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command on this machine; gives its exit code and what it says, in one line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.e2e.wrong_clock", str(self.clock), *arguments,
            cwd=THIS_CODE, env=self.system.everything.environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, " ".join(out.decode().split())

    async def ready(self, service: str = "") -> tuple[int, dict[str, Any]]:
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"{self.system.url}{service and '/'}{service}/readyz")
            return answer.status_code, answer.json()

    async def until_impaired(self, services: set[str]) -> dict[str, Any]:
        """Wait until exactly these services say that a clock is amiss."""

        async def look() -> dict[str, Any] | None:
            _, told = await self.ready()
            amiss = {one.partition(":")[0] for one in told["impaired"] if "This machine's clock" in one}
            return told if amiss == services else None

        found: dict[str, Any] = await play.eventually("readiness speaks of the clock", look)
        return found


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Machine]:
    clock = folder / "clock"
    clock.write_text("0")
    async with all_in_one(folder, launched=("tests.e2e.wrong_clock", str(clock))) as system:
        yield Machine(system, clock)


@asynccontextmanager
async def as_family(journey: play.Journey) -> AsyncIterator[play.Journey]:
    """The same family with the same link, in a new browser."""
    async with family(journey.school.url, journey.link) as caller:
        yield play.Journey(journey.school, journey.contact_id, journey.reference, journey.link, _family=caller)


async def stage(journey: play.Journey) -> str:
    found = await journey.family.call("GET", "/consent/api/v1/family")
    return str(found["stage"])


async def consented(stack: AsyncExitStack, school: play.School, handle: str) -> play.Journey:
    journey = await play.clear(school, await play.nominate(school, handle))
    await play.send_first_message(journey)
    await play.log_answer(journey, "yes")
    await stack.enter_async_context(play.open_link(journey))
    await play.decide(journey)
    return journey


async def told_of(journey: play.Journey) -> set[str]:
    found = await play.timeline(journey)
    return {entry["type"].removeprefix("firsthand.").removesuffix(".v1") for entry in found["timeline"]}


ENDS = {"consent.withdrawn", "invitation.expired", "recording.withdrawn", "erasure.requested", "erasure.completed"}


async def test_a_clock_that_goes_1100_days_ahead_and_comes_back_destroys_nothing(tmp_path: Path) -> None:
    async with machine(tmp_path) as here, AsyncExitStack() as stack:
        school = await stack.enter_async_context(
            play.school(here.system.url, here.system.keys, SystemClock(), unique("oak-dental"))
        )
        await play.open_case(school)
        shared = await consented(stack, school, "shared.example")
        await play.book(shared)
        await play.hold(shared)
        await play.upload(shared)
        await play.release(shared)
        undecided = await consented(stack, school, "undecided.example")  # may take the withdrawal back for seven days
        await play.withdraw(undecided, "in-7-days")
        gone = await consented(stack, school, "gone.example")
        await play.withdraw(gone, "in-7-days")
        leaving = await consented(stack, school, "leaving.example")
        invited = await play.clear(school, await play.nominate(school, "invited.example"))
        await play.nominate(school, "lead.example")
        here.set_clock(AHEAD)

        told = await here.until_impaired(set(SERVICES))
        assert told["ready"]  # it serves whom it can
        sentence = next(one for one in told["impaired"] if one.startswith("consent: "))
        assert "1100 days ahead of any time that is certain" in sentence
        assert "Expiry and scheduled deletion are on hold" in sentence
        for command in (("doctor",), ("clock",)):
            code, out = await here.run(*command)
            assert code == 1
            assert "1100 days ahead of any time that is certain" in out
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{here.system.url}/consent/metrics")).text
        assert 'firsthand_clock_held{service="consent"} 1.0' in metrics

        async with as_family(leaving) as family_there:  # a person's withdrawal is never held
            await play.withdraw(family_there, "now")
            assert (await play.certificate(family_there))["completed_at"]
        for _ in range(40):  # timers look every second; the demonstration of the fault took less than this
            async with as_family(shared) as family_there:
                assert await stage(family_there) == "granted"
            async with as_family(gone) as family_there:
                assert await stage(family_there) == "withdrawn"
            await asyncio.sleep(0.25)
        async with as_family(undecided) as family_there:
            await family_there.family.call("POST", "/consent/api/v1/family/undo")

        here.set_clock(timedelta(0))
        await here.until_impaired(set())
        assert (await here.run("doctor"))[0] == 0
        for journey in (shared, invited):
            assert not await told_of(journey) & ENDS
        for journey in (undecided, gone):
            assert await told_of(journey) & ENDS == {"consent.withdrawn"}
        assert {lead["state"] for lead in await play.waiting_leads(school)} == {"waiting"}
        assert await play.plays(shared)
        assert await stage(undecided) == "granted"


async def test_a_start_with_a_clock_1100_days_ahead_destroys_nothing_until_an_operator_confirms_it(
    tmp_path: Path,
) -> None:
    async with machine(tmp_path) as here, AsyncExitStack() as stack:
        school = await stack.enter_async_context(
            play.school(here.system.url, here.system.keys, SystemClock(), unique("oak-dental"))
        )
        await play.open_case(school)
        kept = await consented(stack, school, "kept.example")
        await here.system.everything.stop()
        here.set_clock(AHEAD)
        await here.system.everything.start()

        await here.until_impaired(set(SERVICES))
        for _ in range(20):
            async with as_family(kept) as family_there:
                assert await stage(family_there) == "granted"
            await asyncio.sleep(0.25)
        code, out = await here.run("clock", "confirm")  # nobody is at the terminal
        assert code == 1
        assert "add --yes" in out
        await here.until_impaired(set(SERVICES))

        code, out = await here.run("clock", "confirm", "--yes")
        assert code == 0, out
        assert "Confirmed" in out
        await here.until_impaired(set())

        async def erased() -> bool:  # its time is over, by a clock that a person stands for
            try:
                async with as_family(kept) as family_there:
                    return bool((await play.certificate(family_there))["completed_at"])
            except Refused:
                return False

        await play.eventually("the consent expired and was erased", erased, within=60)
        await here.system.everything.stop()
        await here.system.everything.start()  # what was confirmed is known at the next start
        await here.until_impaired(set())
