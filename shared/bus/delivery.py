"""One event given to one handler, and what becomes of it: done, again now, again later, or a dead letter.

| the handler | the event |
|---|---|
| returns | is acknowledged |
| raises Conflict or AlreadyExists | is handled again at once, ten times; then later |
| raises Transient or StoreUnavailable | comes again later, and later each time, without end |
| raises Hopeless, or the message is no event of ours | is a dead letter |
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
from shared.events import AnyEvent, UnknownEvent, parse_event
from shared.metrics import Metrics
from shared.store import AlreadyExists, Conflict, StoreUnavailable
from shared.topology import Placement
from shared.tracing import within

Call = Callable[[AnyEvent], Awaitable[None]]
Bury = Callable[[str, Msg, str], Awaitable[None]]  # handler, message, reason: keep it as a dead letter

ORIGINAL_SUBJECT: Final = "Firsthand-Subject"  # a replay's header: where the event was published

_TRIES_AT_ONCE: Final = 10
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
    ) -> None:
        self._handler = handler
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
        count = message.metadata.num_delivered
        place = (message.metadata.stream, message.metadata.sequence.stream)
        try:
            event = self._read(message)
            with within(event.traceparent):
                await self._handle(event)
        except (Hopeless, UnknownEvent) as error:
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
        await message.ack()
        return "done"

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
        self._failed.discard((message.metadata.stream, message.metadata.sequence.stream))
        await message.ack()
        return "dead"


def event_in(message: Msg) -> AnyEvent:
    """Read a message. Raises UnknownEvent for what is no event of ours, or was published on another one's subject."""
    event = parse_event(message.data)
    if event.nats_subject != (message.headers or {}).get(ORIGINAL_SUBJECT, message.subject):
        raise UnknownEvent("the subject that it was published on is not the event's")
    return event


def reason_of(error: Exception) -> str:
    """Say why, without repeating content: our own text where the error is ours, else only its kind and place."""
    if isinstance(error, Hopeless | UnknownEvent):
        return f"{type(error).__name__}: {error}"
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f" in {frame.tb_frame.f_globals.get('__name__')}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}{place}"


def _where(handler: str, message: Msg) -> dict[str, object]:
    meta = message.metadata
    return {
        "handler": handler,
        "stream": meta.stream,
        "sequence": meta.sequence.stream,
        "deliveries": meta.num_delivered,
    }
