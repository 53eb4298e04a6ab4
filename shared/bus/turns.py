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


class Turns:
    """Whose turn it is, by journey, in one replica of one service."""

    def __init__(self) -> None:
        self._last: dict[Journey, asyncio.Future[None]] = {}  # ends with the one that came last

    async def take(
        self, journey: Journey, handle: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Handle after those of this journey that came before, or without them when they take too long."""
        before, ended = self._last.get(journey), asyncio.get_running_loop().create_future()
        self._last[journey] = ended
        try:
            if before is not None:
                await asyncio.wait((before,), timeout=_PATIENCE)
            await handle(*args, **kwargs)
        finally:
            ended.set_result(None)
            if self._last[journey] is ended:
                del self._last[journey]
