"""Timers are `due_at` fields of the documents that they act on; no timer lives in memory.

Every second the documents that are due are given to the service, which saves them (versioned) with `due_at` moved on.
A timer that destroys looks by the time that surely is (`shared.trusted_clock`), the others by the machine's clock.
Two replicas may look at the same document; one save wins and the other is refused, so that the effect happens once.
What is caused outside of the store, such as a mail, comes after that save, which moves `due_at` far enough ahead for
nobody else to begin the same meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, Timer
from firsthand.shared.store import AlreadyExists, Conflict, Document, StoreUnavailable, Unreadable

_EVERY: Final = 1.0  # seconds between two looks
_BATCH: Final = 32  # documents at once, so that one slow mail server does not keep all others waiting
# A document whose timer failed is left alone for a while, so that one bad document does not starve the others. Each
# replica counts for itself.
_AFTER_FAILURE: Final = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
# What is due so soon is left to the ordinary look: another replica may be at it at this moment.
_CATCH_UP_AFTER: Final = timedelta(minutes=10)
_IN_VAIN: Final = 2  # rounds of one look; then the next look is waited for


class Timers:
    """Looks for due documents of one service."""

    def __init__(self, context: Context, timers: Mapping[type[Document], Timer]) -> None:
        self._context = context
        self._timers = timers
        self._failures: dict[tuple[str, str, str], int] = {}
        # How far ahead the clock was, where its documents are still to be gone through, and when that is tried again.
        self._to_catch_up: dict[tuple[type[Document], InstitutionId], datetime] = {}
        self._catch_up_at = timedelta(0)

    async def _note_return(self) -> None:
        """Note that the clock was set right, and where what it set is to be looked at. Raises StoreUnavailable."""
        kinds = [kind for kind, timer in self._timers.items() if not timer.destroys or timer.longest is not None]
        places = [(kind, one) for kind in kinds for one in await self._context.store.institutions(kind)]
        if (ahead := self._context.trusted.returned_from()) is not None:
            self._to_catch_up |= {place: max(ahead, self._to_catch_up.get(place, ahead)) for place in places}
            self._catch_up_at = timedelta(0)

    async def _catch_up(self) -> None:
        """The clock was set right after it had been ahead: what was to be done soon by it would wait until then.

        The timers that do not destroy look at it now, since to look early does no harm. Of the others, those that say
        how far ahead they are ever set are set as far. All documents are gone through, as the store has no order of
        those that are not due yet; a clock is set right once in years.
        """
        for (kind, institution), ahead in list(self._to_catch_up.items()):
            timer = self._timers[kind]
            soonest = self._now(timer) + (timer.longest or _CATCH_UP_AFTER)
            try:
                async for document in self._context.store.collection(kind, institution).all():
                    if document.due_at is None or document.due_at <= soonest:
                        continue
                    if timer.destroys:
                        await self._set(document, soonest)
                    elif document.due_at <= ahead + _CATCH_UP_AFTER:
                        await self._fire(timer, document)
            except Unreadable as error:  # those beyond it are looked at later, and nothing else waits for it
                self._catch_up_at = self._context.clock.elapsed() + _CATCH_UP_AFTER
                self._context.log.warning("timers cannot look at all that a wrong clock had put off: %s", error)
            else:
                del self._to_catch_up[kind, institution]

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                self._context.log.warning("timers wait for the store: %s", error)
            await asyncio.sleep(_EVERY)

    async def look(self) -> int:
        """Fire everything that is due now, each document once; tells how many documents were looked at."""
        looked = 0
        if self._context.trusted.has_returned:
            await self._note_return()
        if self._to_catch_up and self._context.clock.elapsed() >= self._catch_up_at:
            await self._catch_up()
        for kind, timer in self._timers.items():
            now = self._now(timer)
            fired: set[tuple[str, str]] = set()
            in_vain = 0  # rounds that brought none that was not fired before
            while due := await self._context.store.due(kind, now, _BATCH):
                fresh = [document for document in due if (document.institution, document.id) not in fired]
                await asyncio.gather(*(self._fire(timer, document) for document in fresh))
                fired |= {(document.institution, document.id) for document in fresh}
                looked += len(fresh)
                in_vain = 0 if fresh else in_vain + 1
                if len(due) < _BATCH or in_vain == _IN_VAIN:
                    break
                if not fresh:  # all others wait behind them
                    self._context.log.error("documents stay due", extra={"kind": kind.kind, "documents": len(due)})
                    await asyncio.gather(*(self._put_off(timer, document, _AFTER_FAILURE[0]) for document in due))
        return looked

    def _now(self, timer: Timer) -> datetime:
        return self._context.trusted.sure() if timer.destroys else self._context.clock.now()

    async def _fire(self, timer: Timer, document: Document) -> None:
        key = (document.kind, document.institution, document.id)
        if timer.destroys and document.due_at and document.due_at > self._now(timer):
            return  # the clock came into doubt since the look
        try:
            await timer.on_due(self._context, document)
            self._failures.pop(key, None)
        except (Conflict, AlreadyExists):
            return  # somebody was first; the next look sees what is left to do
        except Exception as error:
            if isinstance(error, StoreUnavailable) and not isinstance(error, Unreadable):
                raise  # nothing can be done for any; one document that this release cannot read is no such thing
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._context.log.exception("a timer failed", extra={"kind": document.kind, "failures": failures})
            await self._put_off(timer, document, _AFTER_FAILURE[min(failures, len(_AFTER_FAILURE)) - 1])

    async def _put_off(self, timer: Timer, document: Document, by: timedelta) -> None:
        collection = self._context.store.collection(type(document), document.institution)
        stored, now = await collection.get(document.id), self._now(timer)
        if stored and stored.due_at and stored.due_at <= now:
            await self._set(stored, now + by)

    async def _set(self, document: Document, due_at: datetime) -> None:
        document.due_at = due_at
        with contextlib.suppress(Conflict):  # somebody else saved it, who has set it too
            await self._context.store.collection(type(document), document.institution).save(document)
