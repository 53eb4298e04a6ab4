"""The events of one journey in turn, so that two handlers of a replica do not save the same document at the same time.

They may come at once, from several streams. Who then saves second reads, decides and writes again: without turns one
save in fifteen was in vain. The store's versions alone keep what is right; this only saves the work. So nobody waits
long for another one, and replicas need not know of each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec

P = ParamSpec("P")

_PATIENCE: Final = 0.1  # seconds; some hundred times what a handler takes

Journey = tuple[str, str]  # institution and correlation id


class _Turn:
    """One event in hand."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] | None = None  # made by the one that waits for it


class Turns:
    """Whose turn it is, by journey, in one replica of one service."""

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        """`patience`: seconds that one waits for those before it."""
        self._patience = patience
        self._last: dict[Journey, _Turn] = {}  # the one that came last, while it is in hand

    @property
    def in_hand(self) -> bool:
        return bool(self._last)

    async def take(
        self, journey: Journey, handle: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Handle after those of this journey that came before, or beside them when they take too long."""
        before, turn = self._last.get(journey), _Turn()
        self._last[journey] = turn
        try:
            if before is not None:
                before.ended = asyncio.get_running_loop().create_future()
                await asyncio.wait((before.ended,), timeout=self._patience)
            await handle(*args, **kwargs)
        finally:
            if turn.ended is not None:
                turn.ended.set_result(None)
            if self._last.get(journey) is turn:
                del self._last[journey]
