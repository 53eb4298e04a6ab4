"""How many events a process has in work at once, whoever's they are.

Each one in work puts its steps into the same queue of the event loop, and whatever comes, such as a withdrawal, waits
until all that is in the queue has had its turn. So no more are in work than keep the store's commits large, and the
others wait here. docs/decisions/0023-withdrawals-first.md has the figures.
"""

import asyncio
from collections import deque
from typing import Final

PLACES: Final = 128
_PATIENCE: Final = 0.25  # seconds; some hundred times what a handler takes


class Room:
    """The places of one process. One who keeps a place for long, as it waits for somebody else, no longer counts."""

    def __init__(self, places: int = PLACES, *, patience: float = _PATIENCE) -> None:
        """`patience`: seconds that one who is in work counts."""
        self._places = places
        self._patience = patience
        self._number = 0
        self._within: dict[int, float] = {}  # place -> since when (the loop's time), the first in first
        self._waiting: deque[tuple[asyncio.Future[int], float]] = deque()  # with since when
        self._look: asyncio.TimerHandle | None = None

    def behind(self) -> float:
        """Tell for how many seconds the first one has waited."""
        return asyncio.get_running_loop().time() - self._waiting[0][1] if self._waiting else 0.0

    def take(self) -> int | None:
        """Give the number of a free place; None when one is to be waited for."""
        return self._take() if len(self._within) < self._places and not self._waiting else None

    async def enter(self) -> int:
        """Wait for a place; gives its number."""
        if (free := self.take()) is not None:
            return free
        loop = asyncio.get_running_loop()
        place: asyncio.Future[int] = loop.create_future()
        self._waiting.append((place, loop.time()))
        self._look_later(loop)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(place.result())
            raise

    def leave(self, place: int) -> None:
        self._within.pop(place, None)
        if self._waiting:
            self._let_in()

    def _take(self) -> int:
        self._number += 1
        self._within[self._number] = asyncio.get_running_loop().time()
        return self._number

    def _let_in(self) -> None:
        while self._waiting and len(self._within) < self._places:
            place, _ = self._waiting.popleft()
            if not place.done():  # whoever waited has gone
                place.set_result(self._take())

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._look is None and self._within:
            first = next(iter(self._within.values()))
            self._look = loop.call_at(first + self._patience, self._count_the_slow_out)

    def _count_the_slow_out(self) -> None:
        self._look = None
        loop = asyncio.get_running_loop()
        for place, since in list(self._within.items()):
            if since + self._patience > loop.time():
                break
            del self._within[place]
        self._let_in()
        if self._waiting:
            self._look_later(loop)
