"""Runs services: one alone (`serve`) or all in one process (`up`), from the same composition."""

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

import nats.errors
from starlette.types import ASGIApp

from firsthand.shared.bus import Bus
from firsthand.shared.bus.observing import event_metrics
from firsthand.shared.bus.relay import Relay
from firsthand.shared.bus.room import Room
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.clock import Clock, SystemClock
from firsthand.shared.clock_watch import judge_at_start, report, watch_clock
from firsthand.shared.disk import Disk
from firsthand.shared.events import AnyEvent, Envelope
from firsthand.shared.keys import SIGNS, Keys
from firsthand.shared.load import Load
from firsthand.shared.mail import mailer_of
from firsthand.shared.metrics import Metrics
from firsthand.shared.renewals import keep_renewing
from firsthand.shared.service import Context, Service, use_case
from firsthand.shared.sessions import FAMILY_LIFE, LONGEST_SESSION, SessionIssuer, SessionVerifier
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.status import COUNTED_UP_TO, ClockStatus, Status, answer_the_operator, disks_of, host, version
from firsthand.shared.store import Store, StoreError
from firsthand.shared.store.opened import open_key_store, open_store
from firsthand.shared.tasks import ended
from firsthand.shared.timers import Timers
from firsthand.shared.trusted_clock import ClockMark, TrustedClock
from firsthand.shared.vault import OwnerKey, Vault
from firsthand.shared.web.app import MountedPart, build_app
from firsthand.shared.web.health import Condition
from firsthand.shared.web.navigation import Section

Progress = Callable[[str], None]

# What lies in a key store: keys, or the ledger's entries in their place, and the highest time.
KEY_STORE_KINDS: Final = (OwnerKey, ClockMark)

_LOOK_AT_DISK_EVERY = 10.0  # seconds
_PUBLISH_WITHIN = 5.0  # seconds for the last outbox entries at shutdown; what is left is published at the next start
# So many seconds events, in hand or on their way to NATS, and writes may wait before bulk work is put off, and so many
# events on the server for one handler. Consent's pulse stops, and every player, when an event has waited for a second.
_EVENTS_BEHIND = 500
_EVENTS_WAIT = 0.5
_WRITES_WAIT = 0.25
_OVERLAP_TRIES = 3  # each waits as long as the bus does for an answer
_RESTART_AFTER = 1.0  # seconds until a background task that failed is started again
# How often the collector looks for cycles: after so many new objects, and the older ones after so many looks. Python's
# own 700 and 10 stopped the process more often, and for up to 132 ms: docs/decisions/0019-faststream.md.
_COLLECTED_AFTER = (200_000, 50, 50)
# Seconds for which a thread may keep the interpreter while another one waits for it. The store's writer gives it up and
# takes it again at every statement; with Python's own 5 ms, a busy event loop kept each commit waiting for over 100.
_THREADS_TURN = 0.002


@dataclass
class RunningService:
    """One service while it runs."""

    service: Service
    context: Context
    timers: Timers
    keys: Store
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)  # background task -> what it last failed with

    async def examine(self) -> Condition:
        """Ask everything that this service needs whether it answers."""
        found = [f"{name} failed and is being started again" for name in self.failing]
        for name, store in (("store", self.context.store), ("key store", self.keys)):
            try:
                await store.ping()
            except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
                found.append(f"the {name} does not answer: {error}")
        found += await look_at_disk(self.context)
        reading = report(self.context)
        return Condition(
            found + await self.context.bus.problems(),
            [*self.context.impaired, *self.context.bus.impaired(), *self.context.relay.waiting()],
            {
                "now": reading.now.isoformat(),
                "sure": reading.sure.isoformat(),
                "state": reading.state,
                "sentence": reading.sentence,
            },
            self.context.mail.state.told(),
        )

    async def status(self) -> Status:
        """Tell the operator how this replica is; never raises."""
        settings, store = self.context.settings, self.context.store
        condition = await self.examine()
        status = Status(
            service=self.service.name,
            version=version(),
            host=host(),
            placement=settings.placement,
            problems=condition.problems,
            impaired=condition.impaired,
            clock=ClockStatus.model_validate(condition.clock),
        )
        try:
            status.drift = await store.drift(self.service.documents)
            entries = await store.outbox(COUNTED_UP_TO)
            status.waiting, status.waiting_since = len(entries), min((one.at for one in entries), default=None)
            status.disks = await asyncio.to_thread(disks_of, settings)
        except (StoreError, OSError) as error:
            status.problems.append(f"not everything could be looked at: {type(error).__name__}")
        return status


class Deployment:
    """The services of this process, started, and the web application that holds their doors."""

    def __init__(self, settings: Settings, running: Mapping[str, RunningService], app: ASGIApp) -> None:
        self.settings = settings
        self.running = running
        self.app = app

    @property
    def contexts(self) -> dict[str, Context]:
        return {name: running.context for name, running in self.running.items()}

    async def broken(self) -> None:
        """Return when a connection to NATS is closed for good: then the process is to end and be started anew."""
        waits = [asyncio.create_task(one.context.bus.broken.wait()) for one in self.running.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls,
        settings: Settings,
        services: Sequence[Service],
        *,
        clock: Clock | None = None,
        create_keys: bool = False,
        menu: Sequence[Section] | None = None,
        progress: Progress = lambda _: None,
    ) -> AsyncIterator[Self]:
        """Start the services against the NATS server of `settings.nats_url`, whose topology must be applied.

        `menu`: the staff's navigation, also to services that run elsewhere; by default to these.

        Raises CannotStart, KeysError or StoreUnavailable, each with one line on what to do. On leaving: stops fetching,
        finishes what is in hand, publishes outboxes, closes.
        """
        clock = clock or SystemClock()
        keys = Keys.load(settings.key_folder, create=create_keys)
        async with contextlib.AsyncExitStack() as stack:
            running: dict[str, RunningService] = {}
            room, load = Room(), Load()
            load.watch("events in work", room.behind, _EVENTS_WAIT)
            for service in services:
                progress(f"starting {service.name}")
                running[service.name] = await stack.enter_async_context(
                    _running(settings, service, keys, clock, room, load)
                )
            parts = [
                MountedPart(
                    name=one.service.name,
                    router=one.service.router,
                    context=one.context,
                    examine=one.examine,
                    metrics=one.context.metrics,
                )
                for one in running.values()
            ]
            for one in running.values():
                one.context.metrics.measure_load(load.names, lambda: load.behind)
            looking = asyncio.create_task(load.run(), name="load")
            stack.push_async_callback(ended, [looking])
            gc.freeze()  # what was loaded at the start is not garbage; the collector need not look at it again
            gc.set_threshold(*_COLLECTED_AFTER)
            sys.setswitchinterval(_THREADS_TURN)
            if menu is None:
                menu = [section for service in services for section in service.menu]
            app = build_app(parts, menu=menu, public_url=settings.public_url, behind_proxy=settings.proxied)
            yield cls(settings, running, app)


@contextlib.asynccontextmanager
async def _running(
    settings: Settings, service: Service, keys: Keys, clock: Clock, room: Room, load: Load
) -> AsyncIterator[RunningService]:
    """Start one service in the order in which it can work, and stop it the other way round."""
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(settings, service.name, clock)
        stack.push_async_callback(store.close)
        key_store = await open_key_store(settings, service.name, clock)
        stack.push_async_callback(key_store.close)
        await store.prepare(service.documents)
        await key_store.prepare(KEY_STORE_KINDS)
        trusted = TrustedClock(clock, key_store)
        await trusted.load()

        metrics = Metrics(service.name)
        bus = Bus(service.name, bus_settings(settings), clock=clock, metrics=metrics, room=room)
        context = Context(
            service=service.name,
            clock=clock,
            trusted=trusted,
            store=store,
            vault=Vault(key_store, keys.masters, clock, service=service.name),
            bus=bus,
            relay=Relay(store, bus, clock, metrics),
            settings=settings,
            mail=mailer_of(settings, clock),
            verifier=SessionVerifier(keys.verifying, clock),
            issuer=_issuer(service.name, keys, clock),
            log=logging.getLogger(f"firsthand.{service.name}"),
            metrics=metrics,
            load=load,
            disk=Disk.of(settings),
        )
        if wrong := await context.vault.check():
            raise CannotStart(" ".join(wrong))
        running = RunningService(service, context, Timers(context, service.timers), key_store)
        await _apply_erasure_ledger(running)

        if settings.event_metrics:
            bus.broker.add_middleware(event_metrics(metrics.registry, service.name))
        if settings.event_traces_url:
            await stack.enter_async_context(_traced(bus, settings.event_traces_url))
        bus.include(service.handlers.router(context, bus.settings.placement))
        stack.push_async_callback(bus.stop)
        await bus.connect()
        await _refuse_overlap(context)
        await judge_at_start(trusted, clock, bus)  # before any handler stores what it thinks has ended
        await bus.start()
        await bus.listen("note_sign_out", _revocation(context), unreadable=_sign_out(context), since="all")
        replaced = _replacement(context)
        await bus.listen("note_new_link", replaced, unreadable=replaced, since=trusted.sure() - FAMILY_LIFE)
        ended = _end(context)
        await bus.listen("note_session_end", ended, unreadable=ended, since=trusted.sure() - LONGEST_SESSION)
        await answer_the_operator(bus, running.status)
        load.watch(f"handlers of {service.name}", bus.behind, _EVENTS_BEHIND)
        load.watch(f"outbox of {service.name}", context.relay.behind, _EVENTS_WAIT)
        load.watch(f"store of {service.name}", store.behind, _WRITES_WAIT)
        _run(running, "relay", context.relay.run)
        _run(running, "clock", partial(watch_clock, context))
        _run(running, "timers", running.timers.run)
        _run(running, "disk", partial(_watch_disk, context))
        if service.renewals:
            _run(running, "renewals", partial(keep_renewing, context, service.renewals))
        for task in service.background:
            _run(running, task.__name__, partial(task, context))
        try:
            yield running
        finally:
            await _stop(running)


async def _refuse_overlap(context: Context) -> None:
    """Refuse to start where another placement stores the same institutions. Raises PlacementsOverlap.

    Where the server does not say, the service starts, and says that it could not look.
    """
    for _ in range(_OVERLAP_TRIES):
        try:
            await context.bus.refuse_overlap()
        except (nats.errors.Error, OSError, TimeoutError):
            continue
        return
    unchecked = (
        "Whether another placement stores the same institutions could not be checked: NATS did not say. Run `firsthand "
        "doctor`, which checks it too."
    )
    context.impair("placement", [unchecked])


async def look_at_disk(context: Context) -> list[str]:
    """Tell what keeps the service from being ready; what it cannot do for now is said as its impairment."""
    problems, impaired = await asyncio.to_thread(context.disk.amiss)
    context.impair("disk", problems or impaired)
    return problems


async def _watch_disk(context: Context) -> None:
    while True:
        await look_at_disk(context)
        await asyncio.sleep(_LOOK_AT_DISK_EVERY)


async def _stop(running: RunningService) -> None:
    """Fetching ends, what is in hand is finished, and what was saved is still published."""
    await running.context.bus.stop_fetching()
    await ended(running.tasks)
    await running.context.relay.drain(_PUBLISH_WITHIN)


async def _apply_erasure_ledger(running: RunningService) -> None:
    """Erase again what a data restore brought back, before any door opens."""
    for institution in await running.keys.institutions(OwnerKey):
        for owner in await running.context.vault.erased(institution):
            restore = partial(running.service.restore_erasure, running.context, institution, owner)
            await use_case(restore)()  # another replica that starts now does the same


def _revocation(context: Context) -> Callable[[AnyEvent, int], Coroutine[Any, Any, None]]:
    async def revoke(event: AnyEvent, _stream_sequence: int) -> None:
        if event.data.signed_out_before:
            context.verifier.revoke(event.institution, event.subject, event.data.signed_out_before)

    return revoke


def _sign_out(context: Context) -> Callable[[Envelope, int], Coroutine[Any, Any, None]]:
    """What changed of a person is not understood: it may be a sign-out, so every session from before ends."""

    async def revoke(envelope: Envelope, _stream_sequence: int) -> None:
        context.verifier.revoke(envelope.institution, envelope.subject, int(envelope.time.timestamp()) + 1)

    return revoke


def _end(context: Context) -> Callable[[AnyEvent | Envelope, int], Coroutine[Any, Any, None]]:
    """A browser signed out, or a page was locked on a device: the event's subject is the session, also where a newer
    release tells more of it.
    """

    async def end(event: AnyEvent | Envelope, _stream_sequence: int) -> None:
        context.verifier.end(event.institution, event.subject)

    return end


def _replacement(context: Context) -> Callable[[AnyEvent | Envelope, int], Coroutine[Any, Any, None]]:
    """Who opened the personal link before this one, e.g. because it went to somebody else, is out at once."""

    async def revoke(event: AnyEvent | Envelope, _stream_sequence: int) -> None:
        context.verifier.revoke(event.institution, event.subject, int(event.time.timestamp()))

    return revoke


def _run(running: RunningService, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Keep a background task going; while it fails the service is not ready."""

    async def keep() -> None:
        while True:
            try:
                await work()
            except Exception as error:
                running.failing[name] = str(error)
                running.context.log.exception("%s failed; starting it again", name)
                await asyncio.sleep(_RESTART_AFTER)
                running.failing.pop(name, None)
            else:
                return

    running.tasks.append(asyncio.create_task(keep(), name=f"{running.service.name}-{name}"))


@contextlib.asynccontextmanager
async def _traced(bus: Bus, url: str) -> AsyncIterator[None]:
    """Send spans of what is handled; the last ones when the bus is closed."""
    try:
        from firsthand.shared.bus.spans import exporting, traces_with

        provider = exporting(bus.service, url)
    except ImportError as error:
        raise CannotStart(
            "FIRSTHAND_EVENT_TRACES_URL needs an exporter: pip install opentelemetry-exporter-otlp-proto-http."
        ) from error
    bus.broker.add_middleware(traces_with(provider))
    try:
        yield
    finally:
        await asyncio.to_thread(provider.shutdown)


def _issuer(service: str, keys: Keys, clock: Clock) -> SessionIssuer | None:
    """Give a service the one key that it signs with, and none to the others."""
    who = SIGNS.get(service)
    return SessionIssuer({who: keys.signing[who]}, clock) if who else None
