"""Few are in work at once, whoever waits gets in by turns, and one who is slow holds nobody."""

import asyncio

from firsthand.shared.bus.room import Room
from tests.patience import PATIENCE


async def entered(room: Room, count: int) -> list[int]:
    return [await room.enter() for _ in range(count)]


async def test_no_more_are_in_work_than_there_are_places_and_others_come_in_by_turns() -> None:
    room = Room(3, patience=PATIENCE)
    first = await entered(room, 3)
    order: list[str] = []

    async def wait(name: str) -> None:
        await room.enter()
        order.append(name)

    waiting = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0.01)
    assert order == []
    room.leave(first[1])
    await waiting[0]
    assert order == ["a"]
    room.leave(first[0])
    room.leave(first[2])
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c"]


async def test_who_is_slow_counts_no_longer_and_leaves_without_letting_one_too_many_in() -> None:
    room = Room(2, patience=0.02)
    slow = await entered(room, 2)
    async with asyncio.timeout(PATIENCE):
        await entered(room, 2)  # the slow ones are still in work
    for place in slow:
        room.leave(place)
    one_more = asyncio.create_task(room.enter())
    await asyncio.sleep(0)
    assert not one_more.done()
    async with asyncio.timeout(PATIENCE):
        await one_more


async def test_who_gives_up_waiting_takes_no_place() -> None:
    room = Room(1, patience=PATIENCE)
    (first,) = await entered(room, 1)
    gone, got_it_too_late, other = (asyncio.create_task(room.enter()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    room.leave(first)  # gives the place to the second one, which is cancelled before it knows
    got_it_too_late.cancel()
    async with asyncio.timeout(PATIENCE):
        assert isinstance(await other, int)
