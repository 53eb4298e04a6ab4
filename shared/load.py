"""How far a process is behind: what decides whether it still takes bulk work.

Bulk work, such as an import of posts, can wait; a family's withdrawal, a sign-in or a player cannot. So what falls
behind first is measured, and bulk doors (`shared.web.shedding`) answer 429 from then on, long before a promise breaks.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LOOP: Final = "event loop"
_LOOP_LIMIT: Final = 0.1  # seconds that a turn of the event loop may take
_EVERY: Final = 0.2  # seconds between two looks
_LOOKS: Final = 2  # in a row that must agree: a single pause, as of a collector or a disk, says nothing

_log = logging.getLogger("firsthand.load")


@dataclass(frozen=True)
class Measure:
    """Something that may be behind: how far it is, and may be, in seconds or in events."""

    name: str
    behind: Callable[[], float]
    limit: float


class Load:
    """The load of one process. What it is not told to look at is never behind."""

    def __init__(self) -> None:
        self._measures: list[Measure] = []
        self._looks = 0  # in a row that found something too far behind, at most `_LOOKS`
        self.strained = False
        self.behind: dict[str, float] = {}  # by measure, as shares of its limit, as of the last look

    def watch(self, name: str, behind: Callable[[], float], limit: float) -> None:
        """Look at this too: `behind` tells how far it is behind, `limit` how far it may be."""
        self._measures.append(Measure(name, behind, limit))

    @property
    def names(self) -> list[str]:
        return [LOOP, *(measure.name for measure in self._measures)]

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.look(late=loop.time() - due)

    async def calm(self, *, within: float) -> None:
        """Wait while bulk work is put off, at most `within` seconds: for bulk work that has begun."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while self.strained and loop.time() < until:  # noqa: ASYNC110 - a look changes it, and looks are as often
            await asyncio.sleep(_EVERY)

    def look(self, *, late: float = 0.0) -> None:
        """Look once. `late`: seconds by which the event loop was late."""
        self.behind = {LOOP: late / _LOOP_LIMIT}
        self.behind |= {measure.name: measure.behind() / measure.limit for measure in self._measures}
        worst = max(self.behind, key=self.behind.__getitem__)
        too_far = self.behind[worst] > 1
        self._looks = min(self._looks + 1, _LOOKS) if too_far else max(self._looks - 1, 0)
        if self._looks == _LOOKS and not self.strained:
            self.strained = True
            _log.warning("bulk work is put off", extra={"behind": worst})
        elif self._looks == 0 and self.strained:
            self.strained = False
            _log.info("bulk work is taken again")
