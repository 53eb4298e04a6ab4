"""Events of one journey are handled in turn, those of others beside them, and nobody waits without end."""

import asyncio
from collections import defaultdict

import pytest

from firsthand.shared.bus.turns import Turns

ROSA, OMAR = ("qu-cdm", "rosa"), ("qu-cdm", "omar")


class Handler:
    """Notes what it begins and ends; each event ends when the test says so."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.begun: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.may_end: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, event: str) -> None:
        self.seen.append(f"{event} begins")
        self.begun[event].set()
        await self.may_end[event].wait()
        self.seen.append(f"{event} ends")


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def handler() -> Handler:
    return Handler()


def started(turns: Turns, handler: Handler, journey: tuple[str, str], *events: str) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(turns.take(journey, handler, event)) for event in events]


async def test_one_after_another_within_a_journey_and_beside_each_other_otherwise(handler: Handler) -> None:
    turns = Turns(patience=60)
    tasks = [*started(turns, handler, ROSA, "1", "2", "3"), *started(turns, handler, OMAR, "other")]
    await settled()
    assert handler.seen == ["1 begins", "other begins"]
    for event in ("1", "2", "3"):
        handler.may_end[event].set()
        await settled()
    assert handler.seen[2:] == ["1 ends", "2 begins", "2 ends", "3 begins", "3 ends"]
    handler.may_end["other"].set()
    await asyncio.gather(*tasks)
    assert not turns.in_hand


async def test_who_takes_too_long_is_not_waited_for(handler: Handler) -> None:
    turns = Turns(patience=0)
    tasks = started(turns, handler, ROSA, "slow", "next")
    await handler.begun["next"].wait()
    assert handler.seen == ["slow begins", "next begins"]
    for event in ("next", "slow"):
        handler.may_end[event].set()
        await settled()
    await asyncio.gather(*tasks)
    assert not turns.in_hand


async def test_what_fails_or_is_cancelled_gives_the_turn_on(handler: Handler) -> None:
    turns = Turns(patience=60)

    async def fail() -> None:
        raise ValueError("failed")

    cancelled, waiting = started(turns, handler, ROSA, "cancelled", "cancelled while it waits")
    failing = asyncio.create_task(turns.take(ROSA, fail))
    (last,) = started(turns, handler, ROSA, "last")
    await settled()
    waiting.cancel()
    cancelled.cancel()
    with pytest.raises(ValueError, match="failed"):
        await failing
    await settled()
    assert handler.seen == ["cancelled begins", "last begins"]
    handler.may_end["last"].set()
    await last
    assert not turns.in_hand
