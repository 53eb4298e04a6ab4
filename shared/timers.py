"""Timers are `due_at` fields of the documents that they act on; no timer lives in memory.

Every second the documents that are due are given to the service, which saves them (versioned) with `due_at` moved on.
Two replicas may look at the same document; one save wins and the other is refused, so that the effect happens once.
What is caused outside of the store, such as a mail, comes after that save, which moves `due_at` far enough ahead for
nobody else to begin the same meanwhile.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.service import Context, Timer
from shared.store import AlreadyExists, Conflict, Document, StoreUnavailable, Unreadable

_EVERY: Final = 1.0  # seconds between two looks
_BATCH: Final = 32  # documents at once, so that one slow mail server does not keep all others waiting
# A document whose timer failed is left alone for a while, so that one bad document does not starve the others. Each
# replica counts for itself.
_AFTER_FAILURE: Final = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_IN_VAIN: Final = 2  # rounds of one look; then the next look is waited for


class Timers:
    """Looks for due documents of one service."""

    def __init__(self, context: Context, timers: Mapping[type[Document], Timer]) -> None:
        self._context = context
        self._timers = timers
        self._failures: dict[tuple[str, str, str], int] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                self._context.log.warning("timers wait for the store: %s", error)
            await asyncio.sleep(_EVERY)

    async def look(self) -> int:
        """Fire everything that is due now, each document once; tells how many documents were looked at."""
        now, looked = self._context.clock.now(), 0
        for kind, on_due in self._timers.items():
            fired: set[tuple[str, str]] = set()
            in_vain = 0  # rounds that brought none that was not fired before
            while due := await self._context.store.due(kind, now, _BATCH):
                fresh = [document for document in due if (document.institution, document.id) not in fired]
                await asyncio.gather(*(self._fire(on_due, document) for document in fresh))
                fired |= {(document.institution, document.id) for document in fresh}
                looked += len(fresh)
                in_vain = 0 if fresh else in_vain + 1
                if len(due) < _BATCH or in_vain == _IN_VAIN:
                    break
                if not fresh:  # all others wait behind them
                    self._context.log.error("documents stay due", extra={"kind": kind.kind, "documents": len(due)})
                    await asyncio.gather(*(self._put_off(document, _AFTER_FAILURE[0]) for document in due))
        return looked

    async def _fire(self, on_due: Timer, document: Document) -> None:
        key = (document.kind, document.institution, document.id)
        try:
            await on_due(self._context, document)
            self._failures.pop(key, None)
        except (Conflict, AlreadyExists):
            return  # somebody was first; the next look sees what is left to do
        except Exception as error:
            if isinstance(error, StoreUnavailable) and not isinstance(error, Unreadable):
                raise  # nothing can be done for any; one document that this release cannot read is no such thing
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._context.log.exception("a timer failed", extra={"kind": document.kind, "failures": failures})
            await self._put_off(document, _AFTER_FAILURE[min(failures, len(_AFTER_FAILURE)) - 1])

    async def _put_off(self, document: Document, by: timedelta) -> None:
        collection = self._context.store.collection(type(document), document.institution)
        stored = await collection.get(document.id)
        if stored and stored.due_at and stored.due_at <= self._context.clock.now():
            stored.due_at = self._context.clock.now() + by
            try:
                await collection.save(stored)
            except Conflict:
                return
