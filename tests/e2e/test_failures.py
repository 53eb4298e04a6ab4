"""What is acknowledged is never lost and happens once, whatever is killed."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from tests.e2e.system import System, unique

CLOCK = SystemClock()

# Facts that are stated once in a journey without changes of mind.
ONCE = tuple(f"firsthand.{name}.v1" for name in play.THE_CHAIN)


async def _whole_chain_with(interruption: Callable[[], Awaitable[None]], system: System) -> None:
    """Play the chain; after every acknowledged step something is killed and started again."""
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        await interruption()
        journey = await play.clear(school, await play.nominate(school, "survivor.example"))
        await interruption()
        await play.send_first_message(journey)
        await interruption()
        await play.log_answer(journey, "yes")
        await interruption()
        async with play.open_link(journey):
            for step in (play.decide, play.book, play.hold, play.upload, play.release, play.withdraw):
                await step(journey)
                await interruption()
            assert (await play.certificate(journey))["completed_at"]
        whole = await play.timeline(journey, *play.THE_CHAIN)
    told = Counter(entry["type"] for entry in whole["timeline"])
    assert {name: told[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
    versions = [(entry["service"], entry["sequence"]) for entry in whole["timeline"]]
    assert len(versions) == len(set(versions))


async def test_the_chain_survives_kills_of_the_whole_process_after_every_second_step(own_system: System) -> None:
    steps = itertools.count()

    async def kill_all() -> None:
        if next(steps) % 2:  # `make soak` kills at any instant
            await own_system.everything.kill()
            await own_system.everything.start()

    await _whole_chain_with(kill_all, own_system)


async def test_the_chain_survives_kills_of_single_services_after_every_step(services: System) -> None:
    victims = itertools.cycle(services.programs.values())

    async def kill_one_after_another() -> None:
        victim = next(victims)
        await victim.kill()
        await victim.start()

    await _whole_chain_with(kill_one_after_another, services)


@pytest.mark.timeout(180)
async def test_the_chain_goes_on_by_itself_after_nats_was_away_for_twenty_seconds(services: System) -> None:
    async with play.school(services.url, services.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        assert services.nats
        await services.nats.stop()
        away = asyncio.create_task(asyncio.sleep(20))
        # a tutor works on meanwhile: what the services acknowledge is kept
        lead = await play.nominate(school, "patient.example")
        checks: dict[str, Any] = {
            "checks": {"public": True, "adult": True, "not_vulnerable": True, "not_asked_before": True},
            "language": "en",
        }
        cleared = await school.tutor.call("POST", f"/discovery/api/v1/leads/{lead}/clear", checks)
        journey = play.Journey(school, cleared["contact_id"], cleared["reference"])
        await away
        await services.nats.start()
        await play.timeline(journey, "contact.discovered", "invitation.prepared")
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            await play.decide(journey)
            await play.book(journey)
