"""Services of the release before and of this one side by side, replaced one by one, in both directions."""

import asyncio
import contextlib
import sqlite3
import subprocess
import tarfile
from collections import Counter
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

from firsthand.example import journey as play
from firsthand.example.media import make_video
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.bus.topology_apply import drift
from firsthand.shared.clock import SystemClock
from tests.e2e.system import THIS_CODE, System, apart, unique

# Some twenty processes of two releases are started, one after the other.
pytestmark = pytest.mark.timeout(300)

CLOCK = SystemClock()
BEFORE: Final = "0bc7577"  # 0.1.0; each release moves it on (docs/develop.md)
SERVICES = ("portal", "discovery", "consent", "scheduling", "archive")  # those of that release
STEPS: Final = (play.decide, play.book, play.hold, play.upload, play.release)


@pytest.fixture(scope="session")
def code_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before, from this repository's history."""
    taken = subprocess.run(["git", "archive", BEFORE], cwd=THIS_CODE, capture_output=True, check=False)
    if taken.returncode:
        pytest.skip(f"no history back to {BEFORE} here: {taken.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(taken.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


async def _replace(system: System, name: str, code: Path) -> None:
    """Stop a service as an operator does, and start it of another release over the same data."""
    program = system.programs[name]
    assert await program.stop() == 0
    program.code = code
    await program.start()


async def _invited(school: play.School, stack: AsyncExitStack, handle: str) -> play.Journey:
    journey = await play.clear(school, await play.nominate(school, handle))
    await play.send_first_message(journey)
    await play.log_answer(journey, "yes")
    return await stack.enter_async_context(play.open_link(journey))


async def _released(journey: play.Journey, media: bytes) -> None:
    await play.decide(journey)
    await play.book(journey)
    await play.hold(journey)
    await play.upload(journey, media)
    await play.release(journey)


def _has_schema_numbers(system: System) -> bool:
    """Tell whether consent's database was written to by this release; 0.1.0 stores no schema numbers."""
    with contextlib.closing(sqlite3.connect(f"file:{system.data}/db/consent.db?mode=ro", uri=True)) as database:
        return bool(database.execute("SELECT 1 FROM journey WHERE body LIKE '%\"schema_number\"%'").fetchone())


async def _obeyed(journey: play.Journey) -> None:
    """It plays no longer, is erased everywhere, and nothing of the whole chain is missing or was done twice."""
    await play.no_longer_plays(journey)
    await play.certificate(journey)
    whole = await play.timeline(journey, *play.THE_CHAIN)
    told = Counter(entry["type"] for entry in whole["timeline"])
    assert {name: told[f"firsthand.{name}.v1"] for name in play.THE_CHAIN} == dict.fromkeys(play.THE_CHAIN, 1)
    assert len({entry["id"] for entry in whole["timeline"]}) == len(whole["timeline"])


async def _nothing_is_buried(system: System) -> None:
    assert system.nats
    async with connected(BusSettings(url=system.nats.url)) as client:
        assert await drift(BusSettings(url=system.nats.url)) == []
        assert [letter async for letter in DeadLetters(client.jetstream()).list()] == []


async def test_services_are_upgraded_and_taken_back_one_by_one_while_journeys_run(
    code_before: Path, tmp_path: Path
) -> None:
    media = await asyncio.to_thread(make_video, 1.0)
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(apart(tmp_path, code=dict.fromkeys(SERVICES, code_before)))
        school = await stack.enter_async_context(play.school(system.url, system.keys, CLOCK, unique("oak-dental")))
        await play.open_case(school)
        for direction, code in (("forth", THIS_CODE), ("back", code_before)):
            leaving = []  # released by the release that is replaced; each withdraws at another mix
            for service in SERVICES:
                journey = await _invited(school, stack, f"{direction}.{service}.example")
                await _released(journey, media)
                leaving.append(journey)
            assert _has_schema_numbers(system) == (code == code_before)  # it is the other release that writes
            across = await _invited(school, stack, f"{direction}.across.example")  # a step at each mix
            for service, step, journey in zip(SERVICES, STEPS, leaving, strict=True):
                await play.withdraw(journey)
                await _replace(system, service, code)
                await asyncio.gather(_obeyed(journey), step(across))
            assert await play.plays(across)
            await play.withdraw(across)
            await _obeyed(across)
            await _nothing_is_buried(system)


async def test_replicas_of_both_releases_share_one_database(code_before: Path, tmp_path: Path, mongo_url: str) -> None:
    media = await asyncio.to_thread(make_video, 1.0)
    both = dict.fromkeys(SERVICES, 2)
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(
            apart(tmp_path, mongo_url=mongo_url, replicas=both, code={f"{name}-2": code_before for name in SERVICES})
        )
        school = await stack.enter_async_context(play.school(system.url, system.keys, CLOCK, unique("oak-dental")))
        await play.open_case(school)
        for number in range(3):  # requests and events fall to the releases in turn, so that each journey meets both
            journey = await _invited(school, stack, f"number.{number}.example")
            await _released(journey, media)
            assert await play.plays(journey)
            await play.withdraw(journey)
            await _obeyed(journey)
        await _nothing_is_buried(system)
