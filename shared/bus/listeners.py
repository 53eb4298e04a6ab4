"""What every replica must hear for itself: events in order by an ephemeral consumer, and beats on core NATS.

The consumer's name is one of the few that the topology gives; whoever holds the right to make a consumer of any name
can change everybody's (docs/decisions/0009-nats-users.md). A name that another replica has is left to it.
"""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from firsthand.shared.bus.delivery import event_in, reason_of
from firsthand.shared.events import AnyEvent, Envelope, UnknownEvent, UnreadableEvent
from firsthand.shared.tasks import ended

Since = datetime | int | Literal["new", "all"]  # an instant, a stream sequence that is known already, or as it says
Heard = Callable[[AnyEvent, int], Awaitable[None]]
Unreadable = Callable[[Envelope, int], Awaitable[None]]  # an event that only a newer release understands

_HEARTBEAT: Final = 2.0  # seconds
_SILENCE: Final = 5.0  # seconds without a word, after which the consumer is made anew
_READ_WITHIN: Final = 30.0  # seconds in which all that was told before is taken at the start
_FORGOTTEN_AFTER: Final = 10.0  # seconds; the server removes the consumer of a replica that is gone
_ANSWER_WITHIN: Final = 5.0  # seconds
_NAME_TAKEN: Final = 10148  # the server's code: there is a consumer of this name
_AGAIN_AFTER: Final = (0.1, 0.5, 1.0, 5.0, 15.0)  # seconds before each further attempt


class NoPlace(nats.errors.Error):
    """As many replicas listen as may."""


class Listener:
    """Something that is listened to until it is stopped. As a context manager it stops at the end."""

    def __init__(
        self,
        parts: "Sequence[StreamListener | Subscription]",
        stopped: "Callable[[Listener], None]",
        *,
        vital: bool = True,
    ) -> None:
        """`stopped` is called once it is. From the moment when stopping begins, its problems are nobody's. `vital`: the
        service is not ready while this has problems.
        """
        self.vital = vital
        self._parts = parts
        self._stopped = stopped
        self._stopping: asyncio.Task[None] | None = None

    async def start(self, within: float) -> None:
        """Start every part, see `StreamListener.start`. Whoever is cancelled meanwhile leaves nothing behind."""
        try:
            await asyncio.gather(*(part.start(within) for part in self._parts if isinstance(part, StreamListener)))
        except BaseException:
            await self.stop()
            raise

    async def current(self) -> None:
        """Return when all that was told before it began is taken."""
        await asyncio.gather(*(part.current() for part in self._parts if isinstance(part, StreamListener)))

    def seen(self, stream: str) -> int:
        """Tell the stream sequence up to which every event listened for has been taken."""
        return max((p.seen for p in self._parts if isinstance(p, StreamListener) and p.stream == stream), default=0)

    async def heard(self, stream: str) -> int:
        """Tell the stream sequence up to which nothing is left to hear, whoever the last events are for."""
        return max([await p.heard() for p in self._parts if isinstance(p, StreamListener) and p.stream == stream])

    def problems(self) -> list[str]:
        if self._stopping:
            return []
        return [p.problem for p in self._parts if isinstance(p, StreamListener) and p.problem]

    def reconnected(self) -> None:
        for part in self._parts:
            if isinstance(part, StreamListener):
                part.restart()

    async def stop(self) -> None:
        """Stop every part. Stopping has a task of its own: it goes on when the caller is cancelled meanwhile, as a
        request's tasks are once its browser has gone.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="stop listening")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        ends = (part.stop() if isinstance(part, StreamListener) else part.unsubscribe() for part in self._parts)
        try:
            for result in await asyncio.gather(*ends, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(result, nats.errors.Error):
                    raise result
        finally:
            self._stopped(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class StreamListener:
    """Events of one stream, each once and in the stream's order. One that the caller cannot take is given again, later
    each time, and none after it meanwhile: who decides by what it has heard (`seen`) then decides carefully.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        subjects: Sequence[str],
        *,
        names: Sequence[str],
        call: Heard,
        unreadable: Unreadable,
        since: Since,
        log: logging.Logger,
    ) -> None:
        """`names`: of consumers, one of which this replica takes for as long as it listens."""
        self.stream = stream
        self.seen = since if isinstance(since, int) else 0
        self.problem = ""
        self._client = client
        self._subjects = list(subjects)
        self._names = random.sample(names, len(names))  # two replicas that begin together rarely want the same one
        self._call = call
        self._unreadable = unreadable
        self._since = since
        self._log = log
        self._attached = asyncio.Event()
        self._current = asyncio.Event()  # what was told before we listened is taken
        self._before: int | None = None  # so many events; nobody knows until the server has answered
        self._lost = asyncio.Event()
        self._heard = 0.0
        self._expected = 1
        self._failures = 0
        self._refused = False  # the caller could not take the last event: a problem until it can
        self._consumer = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self, within: float) -> None:
        """Begin; returns when all that was told before is taken, e.g. who may no longer enter.

        Also returns when the stream is not listened to within `within` seconds, or not read in half a minute; it goes
        on trying then, and `problem` says so.
        """
        self._task = asyncio.create_task(self._run(), name=f"listen {self.stream}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attached.wait(), within)
            await asyncio.wait_for(self._current.wait(), _READ_WITHIN)

    async def current(self) -> None:
        await self._current.wait()

    async def stop(self) -> None:
        if self._task:
            await ended([self._task])

    def restart(self) -> None:
        self._lost.set()

    async def heard(self) -> int:
        """Tell the stream sequence up to which all that is listened for is taken; the stream's last one if nothing is
        left. Asks the server.
        """
        js, consumer = self._client.jetstream(), self._consumer
        if not consumer:
            return self.seen
        last = (await js.stream_info(self.stream)).state.last_seq
        info = await js.consumer_info(self.stream, consumer)  # asked second: it knows of all up to `last`
        given = info.delivered.consumer_seq if info.delivered else 0
        nothing_left = not info.num_pending and given == self._expected - 1 and consumer == self._consumer
        return max(self.seen, last) if nothing_left else self.seen

    async def _run(self) -> None:
        while True:
            self._lost.clear()
            subscription: Subscription | None = None
            try:
                subscription = await self._attach()
                await self._until_lost()
            except (nats.errors.Error, OSError, TimeoutError) as error:
                problem = f"Cannot listen to {self.stream} ({type(error).__name__})."
                if problem != self.problem:
                    self._log.warning("cannot listen", extra={"stream": self.stream, "reason": type(error).__name__})
                self.problem = problem
                self._failures += 1
            finally:
                await self._detach(subscription)
            if self._failures:
                await asyncio.sleep(_AGAIN_AFTER[min(self._failures, len(_AGAIN_AFTER)) - 1])

    async def _attach(self) -> Subscription:
        js = self._client.jetstream()
        if self._since == "new":  # fixed now, so that nothing is missed if the consumer must be made anew
            self.seen = (await js.stream_info(self.stream)).state.last_seq
            self._since = "all"
        inbox = self._client.new_inbox()
        config = ConsumerConfig(
            deliver_subject=inbox,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=_HEARTBEAT,
            inactive_threshold=_FORGOTTEN_AFTER,
            mem_storage=True,
            num_replicas=1,
        )
        if self.seen:
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, self.seen + 1
        elif isinstance(self._since, datetime):
            config.deliver_policy, config.opt_start_time = DeliverPolicy.BY_START_TIME, self._since
        if len(self._subjects) == 1:
            config.filter_subject = self._subjects[0]
        else:
            config.filter_subjects = self._subjects
        self._expected, self._heard, self._before = 1, time.monotonic(), None
        subscription = await self._client.subscribe(inbox, cb=self._receive)
        making = asyncio.create_task(self._make_consumer(config), name=f"make the consumer of {self.stream}")
        try:
            consumer = await asyncio.shield(making)
        except BaseException:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
            await self._undo(making)
            raise
        on_the_way = consumer.delivered.consumer_seq if consumer.delivered else 0
        self._consumer, self._before = consumer.name, on_the_way + (consumer.num_pending or 0)
        self._attached.set()
        if not self._refused:
            self._failures = 0
            self._see_whether_current()
        return subscription

    async def _make_consumer(self, config: ConsumerConfig) -> ConsumerInfo:
        """Make it under the first of our names that is free. nats-py has no such request: its own would take over one
        that is there.
        """
        for name in self._names:
            subject = f"$JS.API.CONSUMER.CREATE.{self.stream}.{name}"
            if config.filter_subject:  # then the server holds us to it
                subject = f"{subject}.{config.filter_subject}"
            wanted = {"stream_name": self.stream, "config": config.as_dict() | {"name": name}, "action": "create"}
            answer = await self._client.request(subject, json.dumps(wanted).encode(), timeout=_ANSWER_WITHIN)
            told = json.loads(answer.data)
            if "error" not in told:
                made: ConsumerInfo = ConsumerInfo.from_response(told)
                return made
            if told["error"].get("err_code") != _NAME_TAKEN:
                raise nats.js.errors.APIError.from_error(told["error"])
        raise NoPlace

    async def _undo(self, making: asyncio.Task[ConsumerInfo]) -> None:
        """Remove a consumer that the server was asked for when we were cancelled: its name is one of a few."""
        if not self._client.is_connected:
            making.cancel()
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await self._client.jetstream().delete_consumer(self.stream, (await making).name)

    async def _until_lost(self) -> None:
        while time.monotonic() - self._heard < _SILENCE:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SILENCE):
                    await self._lost.wait()
                return

    async def _detach(self, subscription: Subscription | None) -> None:
        if subscription:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        # When it has been silent for long, the server may have forgotten it and given its name to another replica.
        if self._consumer and self._client.is_connected and time.monotonic() - self._heard < _SILENCE:
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await self._client.jetstream().delete_consumer(self.stream, self._consumer)
        self._consumer = ""

    async def _receive(self, message: Msg) -> None:
        self._heard = time.monotonic()
        headers = message.headers or {}
        if headers.get("Status") == "100":
            if message.reply:  # flow control: we have taken what came before
                await message.respond(b"")
            return
        if self._lost.is_set():
            return
        sequence = message.metadata.sequence
        if not message.reply or sequence.consumer != self._expected:
            self._lost.set()
            return
        try:
            await self._hear(message, sequence.stream)
        except UnknownEvent as error:  # rubbish names nobody, so it closes nothing
            self._log.error("listener passes over what is no event", extra=self._where(sequence.stream, error))
        except Exception as error:  # noqa: BLE001 - it is tried again, whatever it was
            self._failures += 1
            self._refused = True
            self.problem = f"Event {sequence.stream} of {self.stream} could not be taken: {reason_of(error)}."
            self._log.warning(
                "listener could not take an event",
                extra=self._where(sequence.stream, error),
            )
            self._lost.set()
            return
        self._expected += 1
        self._failures, self._refused = 0, False
        self.seen = sequence.stream
        self._see_whether_current()

    async def _hear(self, message: Msg, sequence: int) -> None:
        try:
            event = event_in(message)
        except UnreadableEvent as error:
            self._log.warning("listener hears what it does not understand", extra=self._where(sequence, error))
            await self._unreadable(error.envelope, sequence)
        else:
            await self._call(event, sequence)

    def _where(self, sequence: int, error: Exception) -> dict[str, object]:
        return {"stream": self.stream, "sequence": sequence, "reason": reason_of(error)}

    def _see_whether_current(self) -> None:
        if self._before is None or self._expected <= self._before:
            self.problem = f"{self.stream} is still being read."
        else:
            self._current.set()
            self.problem = ""
