"""Chains are played for minutes while services and the NATS server are killed at random: nothing is lost or doubled.

`FIRSTHAND_SOAK_MINUTES` (5) and `FIRSTHAND_SOAK_SEED` say for how long, and in which order the kills come.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from firsthand.example import journey as play
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.client import Refused
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import parse_event
from firsthand.shared.topology import STREAMS
from tests.e2e.system import System, apart

MINUTES = float(os.environ.get("FIRSTHAND_SOAK_MINUTES", "5"))
SEED = int(os.environ.get("FIRSTHAND_SOAK_SEED", str(random.SystemRandom().randrange(10**6))))

pytestmark = [pytest.mark.soak, pytest.mark.timeout(int(MINUTES * 60) + 900)]

_TRIES = 40
_ANSWER_LOST = 5.0  # seconds in which the effect of a step shows whose answer did not come

Step = Callable[[play.Journey], Awaitable[Any]]
Clear = Callable[[play.School, str], Awaitable[play.Journey]]


@dataclass
class Chain:
    """One journey under fire. What the person did twice may be told twice; all else exactly once."""

    journey: play.Journey
    repeated: set[str] = field(default_factory=set)  # events that a repeated step may tell again

    async def insist(self, step: Step, done: Step, *tells: str) -> None:
        """Take a step until it is acknowledged, or until its effect shows that only the answer was lost."""
        for _ in range(_TRIES):
            with suppress(Refused, play.Incomplete):
                await step(self.journey)
                return
            with suppress(play.Incomplete):
                await play.eventually("", lambda: done(self.journey), within=_ANSWER_LOST)
                return
            self.repeated.update(tells)
        raise play.Incomplete(f"{self.journey.reference}: {tells} did not come about")


def stage_is_beyond(*stages: str) -> Step:
    async def look(journey: play.Journey) -> bool:
        found = await journey.school.tutor.call("GET", f"/consent/api/v1/invitations/{journey.contact_id}")
        return found["state"] not in stages

    return look


def recording_is(*states: str) -> Step:
    async def look(journey: play.Journey) -> bool:
        found = await journey.school.tutor.call("GET", f"/archive/api/v1/recordings/{journey.contact_id}")
        return found["state"] in states

    return look


async def is_booked(journey: play.Journey) -> bool:
    found = await journey.school.tutor.call("GET", f"/scheduling/api/v1/meetings/{journey.contact_id}")
    return found["state"] in {"scheduled", "finished"}


async def is_held(journey: play.Journey) -> bool:
    found = await journey.school.tutor.call("GET", f"/scheduling/api/v1/meetings/{journey.contact_id}")
    return found["state"] == "finished"


async def never(_journey: play.Journey) -> bool:
    return False


async def one_chain(system: System, number: int, calm: asyncio.Lock, clear: Clear = play.clear) -> None:
    """Play a whole chain; set up in peace, since what is not yet anybody's is nobody's loss."""
    async with AsyncExitStack() as stack:
        async with calm:
            school = await stack.enter_async_context(
                play.school(system.url, system.keys, SystemClock(), f"soak-{number}")
            )
            await play.open_case(school)
            lead = await play.nominate(school, f"soak.{number}.example")
            journey = await clear(school, lead)
        chain = Chain(journey)
        early = ("prepared", "sent", "answered", "linked")
        await chain.insist(play.send_first_message, stage_is_beyond(*early[:1]), "invitation.sent")
        await chain.insist(lambda one: play.log_answer(one, "yes"), stage_is_beyond(*early[:2]), "invitation.answered")
        await chain.insist(lambda one: stack.enter_async_context(play.open_link(one)), never, "invitation.linked")
        await chain.insist(play.decide, stage_is_beyond(*early), "consent.granted")
        await chain.insist(play.book, is_booked, "meeting.scheduled")
        await chain.insist(play.hold, is_held, "meeting.finished")
        await chain.insist(play.upload, recording_is("held"), "recording.archived")
        await chain.insist(play.release, recording_is("released"), "consent.released")
        await chain.insist(play.withdraw, stage_is_beyond(*early, "granted", "paused"), "consent.withdrawn")
        await chain.insist(play.certificate, never)
        await chain.insist(play.no_longer_plays, never)
        await chain.insist(lambda one: play.timeline(one, *play.THE_CHAIN), never)
        async with calm:
            whole = await play.timeline(journey, *play.THE_CHAIN)
        told = Counter(entry["type"].removeprefix("firsthand.").removesuffix(".v1") for entry in whole["timeline"])
        once = {name for name in play.THE_CHAIN if name not in chain.repeated}
        assert {name: told[name] for name in once} == dict.fromkeys(once, 1), f"{journey.reference} of soak-{number}"


async def kill_at_random(system: System, chance: random.Random, until: float, calm: asyncio.Lock) -> int:
    """Kill one to three processes at once, start them again, and so on; tells how many died."""
    assert isinstance(system.nats, EmbeddedNats)
    killed = 0
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(0.2, 3))
        async with calm:
            victims = chance.sample([*system.programs, "nats"], k=chance.choice([1, 1, 2, 3]))
            if "nats" in victims and system.nats.pid:
                os.kill(system.nats.pid, signal.SIGKILL)  # it is started again by its supervisor
            services = [system.programs[name] for name in victims if name != "nats"]
            await asyncio.gather(*(program.kill() for program in services))
            await asyncio.gather(*(program.start() for program in services))
            killed += len(victims)
    return killed


async def test_chains_survive_random_kills_of_everything(tmp_path: Path) -> None:
    print(f"seed {SEED}, {MINUTES:.1f} minutes")  # noqa: T201
    chance, calm, until = random.Random(SEED), asyncio.Lock(), time.monotonic() + MINUTES * 60
    async with apart(tmp_path) as system:
        assert isinstance(system.nats, EmbeddedNats)
        watch = asyncio.create_task(system.nats.supervise())
        played = 0
        async with asyncio.TaskGroup() as group:  # a service that does not start again ends it all
            killing = group.create_task(kill_at_random(system, chance, until, calm))
            while time.monotonic() < until:
                await asyncio.gather(*(one_chain(system, played + number, calm) for number in range(2)))
                played += 2
        killed = killing.result()
        await nothing_doubled_and_nothing_left(system.nats.url)
        watch.cancel()
    print(f"{played} chains, {killed} kills")  # noqa: T201
    assert played
    assert killed


async def nothing_doubled_and_nothing_left(url: str) -> None:
    async with connected(BusSettings(url=url)) as client:
        js = client.jetstream()
        for stream in STREAMS.values():
            last = (await js.stream_info(stream.name)).state.last_seq
            events = [
                parse_event((await js.get_msg(stream.name, sequence, direct=True)).data or b"")
                for sequence in range(1, last + 1)
            ]
            twice = [name for name, count in Counter(event.id for event in events).items() if count > 1]
            assert not twice, f"{stream.name} holds events twice"
            named = Counter((event.institution, event.origin, event.sequence) for event in events)
            assert max(named.values(), default=1) == 1, f"{stream.name}: two events have one name"
        assert not [letter async for letter in DeadLetters(js).list()]
