"""One service's connection to NATS: what it consumes, publishes, listens to, and whether all of it is well."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import nats.errors
import nats.js.errors
from faststream.nats import NatsBroker, NatsRouter
from faststream.security import BaseSecurity, SASLPlaintext
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from firsthand.shared.bus.batches import Publisher
from firsthand.shared.bus.dead_letters import bury
from firsthand.shared.bus.delivery import Call, Delivery, Settling
from firsthand.shared.bus.errors import Hopeless
from firsthand.shared.bus.feeding import FedSubscriber, router_of
from firsthand.shared.bus.listeners import Heard, Listener, Since, StreamListener, Unreadable
from firsthand.shared.bus.room import Room
from firsthand.shared.bus.subscriptions import Pull
from firsthand.shared.clock import Clock
from firsthand.shared.events import AnyEvent, Envelope
from firsthand.shared.metrics import Metrics
from firsthand.shared.store import OutboxEntry
from firsthand.shared.topology import (
    ACK_WAIT,
    DEAD_LETTERS,
    STREAMS,
    Placement,
    dead_letter_subject,
    durables_of,
    listenings_of,
    replay_durable,
)

if TYPE_CHECKING:
    from firsthand.shared.bus.times import Times

_PUBLISH_WITHIN: Final = 5.0  # seconds
_ANSWER_WITHIN: Final = 2.0  # seconds for a look at the server's state
_CLOSE_WITHIN: Final = 5.0  # seconds
_REFUSED_FOR: Final = 60.0  # seconds for which a refusal keeps the service from being ready


class BusSettings(BaseModel):
    """Where NATS is, who we are there, and how patient we are. Times in seconds."""

    model_config = ConfigDict(frozen=True)

    url: Annotated[str, Field(description="nats://host:port, several comma-separated; may hold user and password")]
    user: str = ""
    password: SecretStr = SecretStr("")
    inbox_prefix: Annotated[str, Field(description="where this service's user may be answered")] = "_INBOX"
    placement: Placement = Placement()
    replicas: Annotated[int, Field(ge=1, le=5, description="of streams and durables, when the topology is applied")] = 1
    delays: Annotated[tuple[float, ...], Field(description="before the 2nd, 3rd ... delivery; then the last")] = (
        1.0,
        2.0,
        5.0,
        15.0,
        60.0,
        300.0,
    )
    deliveries: Annotated[int, Field(description="after so many, an unforeseen error makes a dead letter")] = 5
    grace: Annotated[float, Field(description="how long handlers in hand may take when we stop")] = 20.0
    working_every: Annotated[float, Field(description="so often the server is told what is still in work")] = (
        ACK_WAIT.total_seconds() / 3
    )

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.url.split(",")]

    @property
    def places(self) -> str:
        """Host and port of each server, for people: an address may hold a password."""
        return ", ".join(server.rpartition("@")[2].removeprefix("nats://") for server in self.servers)

    @property
    def security(self) -> BaseSecurity | None:
        if self.user:
            return SASLPlaintext(self.user, self.password.get_secret_value())
        return None


class NotBound(Exception):  # noqa: N818 - says what is the case
    """The topology gives the service a handler that the service does not have, or the other way about; or the service
    wants to listen to what the topology does not give it.
    """


class NoServer(ConnectionError):  # noqa: N818 - says what is the case
    """No NATS server took us; the message is one line without the credentials that an address may hold."""

    def __init__(self, places: str, error: Exception) -> None:
        told = "nobody answers" if isinstance(error, nats.errors.NoServersError) else str(error) or type(error).__name__
        super().__init__(f"The NATS server at {places} took no connection: {told}.")


class NotPermitted(NoServer):
    """The server took us, but not what we asked for."""

    def __init__(self, refusal: str) -> None:
        ConnectionError.__init__(self, f"{refusal}. The commands need the NATS user `operator`, or one who may do all.")


class NotPublished(Exception):  # noqa: N818 - says what is the case
    """The server did not acknowledge an event; publishing it again is safe."""


def broker_of(name: str, settings: BusSettings, **callbacks: Any) -> NatsBroker:
    """Make a broker that never gives up: waits for the server at the start and for its return, four tries a second."""
    return NatsBroker(
        settings.servers,
        name=name,
        security=settings.security,
        inbox_prefix=settings.inbox_prefix,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.25,  # type: ignore[arg-type]  # it is handed to asyncio.sleep
        ping_interval=20,
        max_outstanding_pings=2,
        logger=None,
        apply_types=False,  # events are typed by our decoder; FastDepends costs several times what all the rest does
        **callbacks,
    )


@asynccontextmanager
async def connected(settings: BusSettings) -> AsyncIterator[Client]:
    """Connect for a moment, as the commands do. Raises NoServer within a second or two when there is none, and
    NotPermitted when a request was not answered because this user may not ask it.
    """
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        if refusal := _refusal_in(error):
            refusals.append(refusal)

    options: dict[str, Any] = {}
    if settings.user:
        options |= {"user": settings.user, "password": settings.password.get_secret_value()}
    try:
        client = await nats.connect(
            settings.servers,
            name="firsthand",
            allow_reconnect=False,
            max_reconnect_attempts=1,  # else it tries a server that is not there for two minutes
            reconnect_time_wait=1,
            inbox_prefix=settings.inbox_prefix,
            error_cb=note,  # anything else is raised to the caller
            **options,
        )
    except (nats.errors.Error, OSError) as error:
        raise NoServer(settings.places, error) from error
    try:
        yield client
    except TimeoutError as error:
        if refusals:
            raise NotPermitted(refusals[0]) from error
        raise
    finally:
        await client.close()


def _refusal_in(error: Exception) -> str:
    """What the server does not permit; empty for another error."""
    text = str(error).removeprefix("nats: ")
    return f"NATS does not permit it: {text}" if "permissions violation" in text.lower() else ""


class Bus:
    """One NATS connection of one service. Bind handlers, start, stop; a stopped one is not started again."""

    def __init__(
        self, service: str, settings: BusSettings, *, clock: Clock, metrics: Metrics, room: Room | None = None
    ) -> None:
        """`room`: of the process, if this is not its only bus."""
        self.service = service
        self.settings = settings
        self.broken = asyncio.Event()  # set when the connection is closed for good without us: leave the process
        self._clock = clock
        self._metrics = metrics
        self._room = room or Room()
        self._log = logging.getLogger(f"firsthand.{service}")
        self._calls: dict[str, Call] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._fed: list[FedSubscriber] = []
        self._replays: Pull | None = None
        self._listeners: set[Listener] = set()
        self._working: asyncio.Task[None] | None = None
        self._publishing: Publisher | None = None
        self._stopping = False
        self._away = False
        self._refusal: tuple[str, float] | None = None  # what the server did not permit last, and when
        self._client: Client | None = None
        self.broker = broker_of(
            f"firsthand-{service}",
            settings,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            middlewares=[Settling(self._deliveries)],  # the first is the outermost
        )

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client:
        if self._client is None:
            raise nats.errors.ConnectionClosedError
        return self._client

    def include(self, router: NatsRouter) -> None:
        """Take the subscribers of a service, as `shared.service.Subscribers` makes them. Before `start`."""
        self.broker.include_router(router)

    def handle(self, handler: str, call: Call) -> None:
        """Bind a handler of the topology to what it does, without a router. Before `start`."""
        self._calls[handler] = call

    async def connect(self) -> None:
        """Connect, waiting for the server, without consuming anything yet: it may be asked for its times first."""
        self._client = await self.broker.connect()
        self._js = self._client.jetstream(timeout=_PUBLISH_WITHIN)

    async def start(self) -> None:
        """Connect, unless that is done, and consume. Raises NotBound.

        A durable that is missing is looked for again and again, and told by `problems` meanwhile.
        """
        self._bind()
        if self._client is None:
            await self.connect()
        await self.broker.start()
        if self._fed:
            durable = replay_durable(self.settings.placement.name, self.service)
            # Of a handler with several durables, whichever: a replay is settled where it lies, among the dead letters.
            replayed = _Replays({one.durable.handler: one for one in self._fed}, self._bury)
            self._replays = Pull(self.client, DEAD_LETTERS, durable, replayed, self._log, room=self._room)
            await self._replays.start()
        self._working = asyncio.create_task(self._say_working(), name=f"working {self.service}")

    def _bind(self) -> None:
        fed = [one for one in self.broker.subscribers if isinstance(one, FedSubscriber)]
        bound = [*(one.durable.handler for one in fed), *self._calls]
        odd = sorted({durable.handler for durable in durables_of(self.service)}.symmetric_difference(bound))
        if odd:
            raise NotBound(f"{self.service}: the topology and the service's handlers differ in: {', '.join(odd)}")
        self.include(router_of(self.service, self._calls, self.settings.placement))
        for one in self.broker.subscribers:
            if isinstance(one, FedSubscriber):
                one.grace = self.settings.grace
                one.room = self._room
                self._fed.append(one)
                self._deliveries[one.durable.handler] = self._delivery(one.durable.handler)

    async def stop_fetching(self) -> None:
        """Ask for no more events, finish what is in hand, give back the rest at once. Publishing goes on."""
        self._stopping = True
        replays = [self._replays.stop(self.settings.grace)] if self._replays else []
        await asyncio.gather(*replays, *(one.stop() for one in self._fed))
        self._replays = None
        if self._working:
            self._working.cancel()

    async def stop(self) -> None:
        """Stop fetching and close the connection."""
        await self.stop_fetching()
        await asyncio.gather(*(listener.stop() for listener in [*self._listeners]))
        if self._client:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await self._client.flush(timeout=_CLOSE_WITHIN)  # type: ignore[arg-type]  # seconds, given to wait_for
            # The server may be gone. nats-py then writes to a closed transport: a TypeError from Python 3.13 on.
            with contextlib.suppress(nats.errors.Error, OSError, TypeError):
                await self._client.close()

    async def publish(self, entry: OutboxEntry) -> int:
        """Publish one event; returns its stream sequence. Raises NotPublished: it may or may not be in the stream."""
        (acknowledged,) = await self._publisher.publish([entry])
        if acknowledged is None:
            raise NotPublished(f"{entry.event_id} is not acknowledged")
        return acknowledged

    async def publish_all(self, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        """Publish in this order, many as one batch; returns those that the server acknowledged."""
        acknowledged = await self._publisher.publish(entries)
        return [entry for entry, sequence in zip(entries, acknowledged, strict=True) if sequence is not None]

    async def listen(self, name: str, call: Heard, *, unreadable: Unreadable, since: Since) -> Listener:
        """Hear the events of a listening of the topology at this replica, each once and in its stream's order, with
        their stream sequences. Raises NotBound for one that the topology does not have.

        `unreadable` is given the envelope of an event that only a newer release understands: what it could concern is
        to be closed. `since`: an instant, the stream sequence after which to begin, "new" (from now) or "all". It
        survives disconnects and restarts without missing any.
        """
        listener = self._listener(name, call, unreadable=unreadable, since=since, vital=True)
        await listener.start(within=_ANSWER_WITHIN)
        return listener

    async def read(self, name: str, call: Heard, *, unreadable: Unreadable, since: Since) -> None:
        """Hear once what was told until now, as `listen` does, however long it takes. Readiness does not wait."""
        async with self._listener(name, call, unreadable=unreadable, since=since, vital=False) as listener:
            await listener.start(within=_ANSWER_WITHIN)
            await listener.current()

    def _listener(self, name: str, call: Heard, *, unreadable: Unreadable, since: Since, vital: bool) -> Listener:
        """Raises NotBound."""
        listening = next((one for one in listenings_of(self.service) if one.name == name), None)
        if listening is None:
            raise NotBound(f"{self.service}: the topology has no listening {name}")
        placement = self.settings.placement
        parts = [
            StreamListener(
                self.client,
                stream.name,
                placement.heard_subjects(listening, stream),
                names=placement.listener_names(listening),
                call=call,
                unreadable=unreadable,
                since=since,
                log=self._log,
            )
            for stream in listening.streams
        ]
        return self._kept(Listener(parts, self._listeners.discard, vital=vital))

    async def beat(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens now. While disconnected nothing is sent: no old beat arrives late as a new one."""
        if self.connected:
            await self.client.publish(subject, payload)

    async def on_beat(self, subject: str, call: Callable[[bytes], Awaitable[None]]) -> Listener:
        """Hear beats; what is missed is missed."""

        async def receive(message: Msg) -> None:
            # Who may make a consumer can let the server bring a stream's message here, but never as a plain one.
            if message.subject == subject and not message.reply and not message.headers:
                await call(message.data)

        subscription: Subscription = await self.client.subscribe(subject, cb=receive)
        return self._kept(Listener([subscription], self._listeners.discard))

    async def last_sequence(self, stream: str) -> int:
        """Tell the last sequence of a stream (`FH_...`)."""
        return (await self._js.stream_info(stream)).state.last_seq

    async def acknowledged(self, handler: str) -> int:
        """Tell the stream sequence up to which this handler is done with everything that concerns it."""
        (durable,) = (d for d in durables_of(self.service) if d.handler == handler)
        last = await self.last_sequence(durable.stream.name)
        info = await self._js.consumer_info(durable.stream.name, self.settings.placement.durable_name(durable))
        floor: int = info.ack_floor.stream_seq if info.ack_floor else 0
        return max(floor, last) if not info.num_pending and not info.num_ack_pending else floor

    async def given_up(self, handler: str) -> int:
        """Tell how many events this handler could not take: they count as acknowledged, and are dead letters.

        What is given to this service once more counts too, until it is taken.
        """
        kept = await self.letters_kept(handler)
        again, _ = await self.given_again()  # asked second: a dead letter is given again before it is removed
        return kept + again

    async def given_again(self) -> tuple[int, int]:
        """Tell how many dead letters this service is being given once more, and the stream sequence before them."""
        replays = await self._js.consumer_info(DEAD_LETTERS, replay_durable(self.settings.placement.name, self.service))
        floor = replays.ack_floor.stream_seq if replays.ack_floor else 0
        return (replays.num_pending or 0) + (replays.num_ack_pending or 0), floor

    async def letters_kept(self, handler: str) -> int:
        """Tell how many dead letters of this handler are kept."""
        subject = dead_letter_subject(self.service, handler)
        info = await self._js.stream_info(DEAD_LETTERS, subjects_filter=subject)
        return int((info.state.subjects or {}).get(subject, 0))

    async def letters(self, name: str, *, since: Since = "all") -> list[Envelope | AnyEvent]:
        """Read the dead letters, or replays, that a listening of the topology names. Those without a whole envelope are
        left out.

        Raises TimeoutError when they are not read within seconds.
        """
        found: list[Envelope | AnyEvent] = []

        async def note(event: Envelope | AnyEvent, _sequence: int) -> None:
            found.append(event)

        async with await self.listen(name, note, unreadable=note, since=since) as listener:
            unread = listener.problems()
        if unread:
            raise TimeoutError(unread[0])
        return found

    async def times(self, *, newest_message: bool = False) -> "Times":
        """Ask what NATS knows of the time, if wished with the newest message of all streams that concern the service.
        Raises nats.errors.Error or TimeoutError.
        """
        from firsthand.shared.bus.times import times_of  # it needs `connected`

        own = {self._stream} if self.service in STREAMS else set()
        streams = own | {durable.stream.name for durable in durables_of(self.service)}
        return await times_of(self.client, sorted(streams) if newest_message else ())

    async def refuse_overlap(self) -> None:
        """Raise PlacementsOverlap when another placement stores an institution of this one, by what is recorded on the
        server. Raises nats.errors.Error or TimeoutError when that cannot be read.
        """
        from firsthand.shared.bus.placements import refuse_recorded_overlap  # it needs `connected`

        await refuse_recorded_overlap(self._js, self.settings.placement)

    def behind(self) -> int:
        """Tell how many events wait on the server for the handler of which most do."""
        return max((pull.behind() for pull in self._pulls), default=0)

    def impaired(self) -> list[str]:
        """Tell in plain sentences what waits although the service is ready."""
        waiting = [(handler, one.unreadable) for handler, one in self._deliveries.items() if one.unreadable]
        return [
            f"{count} event(s) for {handler} wait: this release does not understand them. Upgrade {self.service}."
            for handler, count in waiting
        ]

    async def problems(self) -> list[str]:
        """Tell in plain sentences what keeps the service from being ready; empty when nothing does."""
        from firsthand.shared.bus.topology_apply import differences  # the topology's own module knows what it should be

        if not self.connected:
            return ["There is no connection to NATS."]
        found = [problem for one in self._listeners if one.vital for problem in one.problems()]
        if self._refusal and time.monotonic() - self._refusal[1] < _REFUSED_FOR:
            found.append(f"{self._refusal[0]}. Has this service its own user, and the server the newest nats.conf?")
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                return found + await differences(self._js, self.settings.placement, service=self.service)
        except (nats.errors.Error, TimeoutError):
            return [*found, "JetStream does not answer."]

    @property
    def _stream(self) -> str:
        return STREAMS[self.service].name

    @property
    def _publisher(self) -> Publisher:
        if self._publishing is None:
            self._publishing = Publisher(self.client, self._stream, self._log)
        return self._publishing

    def _kept(self, listener: Listener) -> Listener:
        self._listeners.add(listener)
        return listener

    @property
    def _pulls(self) -> list[Pull]:
        return [pull for pull in (self._replays, *(one.pull for one in self._fed)) if pull]

    def _delivery(self, handler: str) -> Delivery:
        return Delivery(
            handler,
            bury=self._bury,
            delays=self.settings.delays,
            deliveries=self.settings.deliveries,
            metrics=self._metrics,
            log=self._log,
        )

    async def _bury(self, handler: str, message: Msg, reason: str) -> None:
        at = self._clock.now()
        await bury(
            self._js,
            message,
            reason,
            placement=self.settings.placement.name,
            service=self.service,
            handler=handler,
            at=at,
        )

    async def _say_working(self) -> None:
        every = self.settings.working_every
        while True:
            await asyncio.sleep(every)
            with contextlib.suppress(nats.errors.Error, OSError):
                for pull in self._pulls:
                    await pull.say_working(longer_than=every / 2)

    async def _on_error(self, error: Exception) -> None:
        if refusal := _refusal_in(error):
            self._refusal = (refusal, time.monotonic())
        if self.connected:  # a refused subject, a slow consumer: nothing that waiting mends
            self._log.error("NATS refuses something", extra={"reason": str(error)})
        elif not self._away and not self._stopping:
            self._away = True
            self._log.warning("NATS is away; waiting for it", extra={"reason": type(error).__name__})

    async def _on_disconnected(self) -> None:
        if self._publishing:
            self._publishing.disconnected()
        if not self._away and not self._stopping:
            self._away = True
            self._log.warning("NATS is away; waiting for it")

    async def _on_reconnected(self) -> None:
        self._away = False
        self._log.info("NATS is back")
        for pull in self._pulls:
            pull.asked_in_vain()
        for listener in self._listeners:
            listener.reconnected()

    async def _on_closed(self) -> None:
        if not self._stopping:
            self._log.critical("the connection to NATS is closed for good")
            self.broken.set()


class _Replays:
    """Gives a replayed dead letter to the handler that its subject names last."""

    def __init__(self, fed: Mapping[str, FedSubscriber], bury: Callable[[str, Msg, str], Awaitable[None]]) -> None:
        self._fed = fed
        self._bury = bury

    async def __call__(self, message: Msg) -> None:
        handler = message.subject.rpartition(".")[2]
        if fed := self._fed.get(handler):
            await fed.process_message(message)
        else:
            await self._bury(handler, message, f"Hopeless: {Hopeless('there is no such handler any more')}")
            await message.ack()
