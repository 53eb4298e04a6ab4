"""One event given to one handler, and what becomes of it: done, again now, again later, or a dead letter.

| the handler | the event |
|---|---|
| returns | is acknowledged |
| raises Conflict or AlreadyExists | is handled again at once, ten times; then later |
| raises Transient or StoreUnavailable; or the disk is full | comes again later, and later each time, without end |
| is not asked, for this release does not understand the event | comes again later, and later each time, without end |
| raises Hopeless, or the message is no event at all | is a dead letter |
| raises anything else | comes again later; after five deliveries a second time here makes it a dead letter |
| is cancelled, because we stop | comes again at once, to somebody else |
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

from faststream import BaseMiddleware
from faststream.nats import NatsMessage
from nats.aio.msg import Msg

from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.disk import is_no_room
from firsthand.shared.events import AnyEvent, UnknownEvent, UnreadableEvent, parse_event
from firsthand.shared.metrics import Metrics
from firsthand.shared.store import AlreadyExists, Conflict, StoreUnavailable, Unreadable
from firsthand.shared.tracing import within

Call = Callable[[AnyEvent], Awaitable[None]]
Bury = Callable[[str, Msg, str], Awaitable[None]]  # handler, message, reason: keep it as a dead letter
Proceed = Callable[["EventMessage"], Awaitable[Any]]  # the middlewares inside of this one, then the handler
Outcome = Literal["done", "conflict", "delayed", "unreadable", "failed", "dead"]

ORIGINAL_SUBJECT: Final = "Firsthand-Subject"  # a replay's header: where the event was published

_TRIES_AT_ONCE: Final = 10
_ELSEWHERE: Final = "the subject that it was published on is not the event's"
_JITTER: Final = 0.002  # seconds, times the attempt; a save takes about half a millisecond


class EventMessage(NatsMessage):
    """A message as middlewares see it: read when it comes, so that each of them may know the event."""

    def __init__(self, raw: Msg, handler: str, event: AnyEvent | None, unread: Exception | None) -> None:
        """`handler`: of the topology. `unread`: why there is no `event`; raised to whoever asks for it."""
        # Only what tracing looks for. The sender's other headers are the server's, or a stranger's.
        headers = {"traceparent": event.traceparent} if event is not None and event.traceparent else {}
        id_ = event.id if event is not None else "unread"
        super().__init__(raw, raw.data, headers=headers, correlation_id=id_, message_id=id_)
        self.handler = handler
        self.event = event
        self.unread = unread


class Settling(BaseMiddleware[Any, Msg]):
    """The outermost middleware of a service's broker: what leaves a handler, or any middleware inside, settles.

    One object serves all messages, because it keeps nothing of any of them: what it knows is in its deliveries.
    """

    def __init__(self, deliveries: Mapping[str, "Delivery"]) -> None:  # no message, hence no super().__init__
        self._deliveries = deliveries

    def __call__(self, _message: object, /, **_context: object) -> Self:
        """Give the middleware of one message, as FastStream asks for it."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Let pass what was raised: settling itself failed, as when the connection is closed."""

    async def consume_scope(self, call_next: Proceed, msg: EventMessage) -> None:  # type: ignore[override]  # no other
        await self._deliveries[msg.handler].settle(call_next, msg)


class Delivery:
    """Settles the messages of one handler, each of them exactly once."""

    def __init__(
        self,
        handler: str,
        *,
        bury: Bury,
        delays: Sequence[float],
        deliveries: int,
        metrics: Metrics,
        log: logging.Logger,
    ) -> None:
        self._handler = handler
        self._bury = bury
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

    async def settle(self, proceed: Proceed, message: EventMessage) -> None:
        """Let the handler have the event; then acknowledge it, give it back for now or later, or bury it."""
        started = time.perf_counter()
        raw = message.raw_message
        try:
            outcome = await self._settle(proceed, message)
        except asyncio.CancelledError:
            if not raw.is_acked:
                await raw.nak()
            raise
        self._metrics.handled(self._handler, outcome, time.perf_counter() - started)

    async def _settle(self, proceed: Proceed, message: EventMessage) -> Outcome:
        raw = message.raw_message
        try:
            await proceed(message)
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way; the event must be settled
            with within(message.event.traceparent if message.event else None):  # its log line names it
                return await self._settle_failed(raw, error, _outcome_of(error, message))
        if self._failed or self._unreadable:
            place = _place(raw)
            self._failed.discard(place)
            self._unreadable.pop(place, None)
        await raw.ack()
        return "done"

    async def _settle_failed(self, message: Msg, error: Exception, outcome: Outcome) -> Outcome:
        if outcome == "unreadable":
            return await self._wait(message, error)
        if outcome == "failed":
            place = _place(message)
            if message.metadata.num_delivered >= self._deliveries and place in self._failed:
                outcome = "dead"
            else:
                self._failed.add(place)
        if outcome == "dead":
            return await self._give_up(message, error)
        return await self._later(message, outcome, error)

    async def _wait(self, message: Msg, error: Exception) -> Outcome:
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

    async def _later(self, message: Msg, outcome: Outcome, error: Exception) -> Outcome:
        count = message.metadata.num_delivered
        delay = self._delays[min(count, len(self._delays)) - 1]
        self._log.warning(
            "event comes again",
            extra={**_where(self._handler, message), "reason": reason_of(error), "in_seconds": delay},
        )
        await message.nak(delay=delay)
        return outcome

    async def _give_up(self, message: Msg, error: Exception) -> Outcome:
        reason = reason_of(error)
        try:
            await self._bury(self._handler, message, reason)
        except Exception as failure:  # noqa: BLE001 - whatever keeps it from the dead letters, it must not be lost
            return await self._later(message, "delayed", failure)
        self._log.error("event is a dead letter", extra={**_where(self._handler, message), "reason": reason})
        self._failed.discard(_place(message))
        await message.ack()
        return "dead"


def _outcome_of(error: Exception, message: EventMessage) -> Outcome:
    """Say what an error makes of its event, before deliveries are counted. The table above, in one place."""
    match error:
        case UnreadableEvent() if error is message.unread:
            return "unreadable"
        case UnknownEvent() if error is message.unread:
            return "dead"
        case Hopeless():
            return "dead"
        case Conflict() | AlreadyExists():
            return "conflict"
        case _ if isinstance(error, Transient | StoreUnavailable) or is_no_room(error):  # a dead letter helps nobody
            return "delayed"
        case _:
            return "failed"


async def handle_at_once(call: Call, event: AnyEvent) -> None:
    """Handle an event, and again at once while somebody else saves in between. Raises the last Conflict or
    AlreadyExists.
    """
    for attempt in range(1, _TRIES_AT_ONCE + 1):
        try:
            await call(event)
        except (Conflict, AlreadyExists):
            if attempt == _TRIES_AT_ONCE:
                raise
            await asyncio.sleep(random.uniform(0, _JITTER * attempt))  # noqa: S311 - jitter, not a secret
        else:
            return


def published_on(message: Msg) -> str:
    """Tell where an event was published. Only a dead letter or a replay names another subject than its own: who may
    publish an event could write that header too.
    """
    kept = message.subject.startswith(("fh.dead.", "fh.replay."))
    return (message.headers or {}).get(ORIGINAL_SUBJECT, message.subject) if kept else message.subject


def event_in(message: Msg) -> AnyEvent:
    """Read a message. Raises UnreadableEvent for one that only a newer release understands, and UnknownEvent for what
    is no event, or was published on another one's subject.
    """
    subject = published_on(message)
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
