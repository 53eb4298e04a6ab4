"""One event given to one handler, and what becomes of it: done, again now, again later, or a dead letter.

| the handler | the event |
|---|---|
| returns | is acknowledged |
| raises Conflict or AlreadyExists | is handled again at once, ten times; then later |
| raises Transient or StoreUnavailable | comes again later, and later each time, without end |
| is not asked, for this release does not understand the event | comes again later, and later each time, without end |
| raises Hopeless, or the message is no event at all | is a dead letter |
| raises anything else | comes again later; after five deliveries a second time here makes it a dead letter |
| is cancelled, because we stop | comes again at once, to somebody else |
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from nats.aio.msg import Msg

from shared.bus.errors import Hopeless, Transient
from shared.events import AnyEvent, UnknownEvent, UnreadableEvent, parse_event
from shared.metrics import Metrics
from shared.store import AlreadyExists, Conflict, StoreUnavailable, Unreadable
from shared.topology import Placement
from shared.tracing import within

Call = Callable[[AnyEvent], Awaitable[None]]
Bury = Callable[[str, Msg, str], Awaitable[None]]  # handler, message, reason: keep it as a dead letter

ORIGINAL_SUBJECT: Final = "Firsthand-Subject"  # a replay's header: where the event was published

_TRIES_AT_ONCE: Final = 10
_ELSEWHERE: Final = "the subject that it was published on is not the event's"
_JITTER: Final = 0.002  # seconds, times the attempt; a save takes about half a millisecond


class Delivery:
    """Gives messages to one handler and settles each of them exactly once."""

    def __init__(
        self,
        handler: str,
        call: Call,
        *,
        bury: Bury,
        placement: Placement,
        delays: Sequence[float],
        deliveries: int,
        metrics: Metrics,
        log: logging.Logger,
        events: tuple[type[AnyEvent], ...] = (),
    ) -> None:
        """`events`: what the handler takes; others of the same entities are given only to be known of. Empty: all."""
        self._handler = handler
        self._events = events
        self._call = call
        self._bury = bury
        self._placement = placement
        self._delays = delays
        self._deliveries = deliveries
        self._metrics = metrics
        self._log = log
        # Stream and sequence of what failed here and came again. Deliveries are counted over all replicas and whatever
        # their reason: an event that waited for the store, or for others to save, has had many when it first fails.
        self._failed: set[tuple[str, int]] = set()
        # What waits because this release does not understand it, with when it came last (seconds, monotonic).
        self._unreadable: dict[tuple[str, int], float] = {}

    @property
    def unreadable(self) -> int:
        """How many events wait for a release that understands them, as far as they came to this replica lately."""
        lately = time.monotonic() - 3 * max(self._delays)
        self._unreadable = {place: at for place, at in self._unreadable.items() if at >= lately}
        return len(self._unreadable)

    async def __call__(self, message: Msg) -> None:
        started = time.perf_counter()
        try:
            outcome = await self._settle(message)
        except asyncio.CancelledError:
            if not message.is_acked:
                await message.nak()
            raise
        self._metrics.handled(self._handler, outcome, time.perf_counter() - started)

    async def _settle(self, message: Msg) -> str:
        try:
            event = self._read(message)
        except UnreadableEvent as error:
            return await self._wait(message, error)
        except (Hopeless, UnknownEvent) as error:
            return await self._give_up(message, error)
        if self._events and not isinstance(event, self._events):
            await message.ack()  # of an entity that the handler follows, and nothing for it
            return "done"
        return await self._hand_over(message, event)

    async def _hand_over(self, message: Msg, event: AnyEvent) -> str:
        count, place = message.metadata.num_delivered, _place(message)
        try:
            with within(event.traceparent):
                await self._handle(event)
        except Hopeless as error:
            return await self._give_up(message, error)
        except (Conflict, AlreadyExists) as error:
            return await self._later(message, "conflict", error)
        except (Transient, StoreUnavailable) as error:
            return await self._later(message, "delayed", error)
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way; the event must be settled
            if count >= self._deliveries and place in self._failed:
                return await self._give_up(message, error)
            self._failed.add(place)
            return await self._later(message, "failed", error)
        self._failed.discard(place)
        self._unreadable.pop(place, None)
        await message.ack()
        return "done"

    async def _wait(self, message: Msg, error: UnreadableEvent) -> str:
        """Keep an event for the release that understands it; say so once."""
        count, place = message.metadata.num_delivered, _place(message)
        if place not in self._unreadable:
            self._log.warning(
                "event waits for a release that understands it",
                extra={**_where(self._handler, message), "reason": reason_of(error)},
            )
        self._unreadable[place] = time.monotonic()
        await message.nak(delay=self._delays[min(count, len(self._delays)) - 1])
        return "unreadable"

    async def _handle(self, event: AnyEvent) -> None:
        for attempt in range(1, _TRIES_AT_ONCE + 1):
            try:
                await self._call(event)
            except (Conflict, AlreadyExists):
                if attempt == _TRIES_AT_ONCE:
                    raise
                await asyncio.sleep(random.uniform(0, _JITTER * attempt))  # noqa: S311 - jitter, not a secret
            else:
                return

    def _read(self, message: Msg) -> AnyEvent:
        event = event_in(message)
        if self._placement.institutions and event.institution not in self._placement.institutions:
            raise Hopeless("its institution is not in this placement")
        return event

    async def _later(self, message: Msg, outcome: str, error: Exception) -> str:
        count = message.metadata.num_delivered
        delay = self._delays[min(count, len(self._delays)) - 1]
        self._log.warning(
            "event comes again",
            extra={**_where(self._handler, message), "reason": reason_of(error), "in_seconds": delay},
        )
        await message.nak(delay=delay)
        return outcome

    async def _give_up(self, message: Msg, error: Exception) -> str:
        reason = reason_of(error)
        try:
            await self._bury(self._handler, message, reason)
        except Exception as failure:  # noqa: BLE001 - whatever keeps it from the dead letters, it must not be lost
            return await self._later(message, "delayed", failure)
        self._log.error("event is a dead letter", extra={**_where(self._handler, message), "reason": reason})
        self._failed.discard(_place(message))
        await message.ack()
        return "dead"


def event_in(message: Msg) -> AnyEvent:
    """Read a message. Raises UnreadableEvent for one that only a newer release understands, and UnknownEvent for what
    is no event, or was published on another one's subject.
    """
    subject = (message.headers or {}).get(ORIGINAL_SUBJECT, message.subject)
    try:
        event = parse_event(message.data)
    except UnreadableEvent as error:
        if error.envelope.nats_subject != subject:
            raise UnknownEvent(_ELSEWHERE) from error
        raise
    if event.nats_subject != subject:
        raise UnknownEvent(_ELSEWHERE)
    return event


def reason_of(error: Exception) -> str:
    """Say why, without repeating content: our own text where the error is ours, else only its kind and place."""
    if isinstance(error, Hopeless | UnknownEvent | UnreadableEvent | Unreadable):
        return f"{type(error).__name__}: {error}"
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" in {frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


def _place(message: Msg) -> tuple[str, int]:
    return message.metadata.stream, message.metadata.sequence.stream


def _where(handler: str, message: Msg) -> dict[str, object]:
    meta = message.metadata
    return {
        "handler": handler,
        "stream": meta.stream,
        "sequence": meta.sequence.stream,
        "deliveries": meta.num_delivered,
    }
