"""What a service is, what its use cases are given, and how they run again when somebody else saved first."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from fastapi import APIRouter
from faststream.nats import NatsRouter

from firsthand.shared.bus import Bus, NotBound
from firsthand.shared.bus.feeding import router_of
from firsthand.shared.bus.relay import Relay
from firsthand.shared.clock import Clock
from firsthand.shared.disk import Disk
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.load import Load
from firsthand.shared.mail import Mailer
from firsthand.shared.metrics import Metrics
from firsthand.shared.sessions import SessionIssuer, SessionVerifier
from firsthand.shared.settings import Settings, ToldSettings
from firsthand.shared.store import AlreadyExists, Conflict, Document, Store, Where
from firsthand.shared.topology import Placement, durables_of
from firsthand.shared.trusted_clock import TrustedClock
from firsthand.shared.vault import Vault
from firsthand.shared.web.navigation import Section

P = ParamSpec("P")
T = TypeVar("T")

# Under a race of n writers the last one wins after n tries; fifty concurrent writers are what the store's suite shows.
_TRIES = 60


@dataclass(frozen=True)
class Context:
    """What a service's use cases are given. One a service and process; nothing else is global."""

    service: str
    clock: Clock  # the machine's: it dates, serves and reminds
    trusted: TrustedClock  # what destroys by time goes by this one
    store: Store
    vault: Vault
    bus: Bus
    relay: Relay
    settings: Settings
    mail: Mailer
    verifier: SessionVerifier
    issuer: SessionIssuer | None  # portal signs staff sessions, consent signs family sessions, the others none
    log: logging.Logger
    metrics: Metrics
    load: Load = field(default_factory=Load, repr=False, compare=False)  # of the process
    disk: Disk = field(default_factory=lambda: Disk(()), repr=False, compare=False)  # of the process
    # What it cannot do for now while it serves all the rest: plain sentences by the part that finds it out (`impair`).
    impairments: dict[str, list[str]] = field(default_factory=dict, repr=False, compare=False)
    # What this replica keeps in memory, one object of each kind. It goes with the context, and so with the replica.
    owned: dict[Callable[["Context"], Any], Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def impaired(self) -> list[str]:
        return [sentence for found in self.impairments.values() for sentence in found]

    def impair(self, part: str, sentences: Sequence[str]) -> None:
        """Say what a part cannot do for now, none when all is well. A change is logged and counted."""
        before, now = self.impairments.get(part, []), list(sentences)
        if before == now:
            return
        self.impairments[part] = now
        self.metrics.impaired(len(self.impaired))
        for sentence in now:
            if sentence not in before:
                self.log.warning("impaired: %s", sentence)
        if not now:
            self.log.info("no longer impaired: %s", part)

    def own(self, kind: "Callable[[Context], T]") -> T:
        """Give this replica's one object of a kind, such as its gate; made from this context when first asked for."""
        if kind not in self.owned:
            self.owned[kind] = kind(self)
        kept: T = self.owned[kind]
        return kept

    def renew(self, kind: "Callable[[Context], T]") -> T:
        """Put a new object in place of the one that `own` gives, when what that one remembered no longer holds."""
        self.owned.pop(kind, None)
        return self.own(kind)


Handler = Callable[[Context, Any], Awaitable[None]]  # an event of the types that topology gives to the handler


@dataclass(frozen=True)
class Timer:
    """What a service does with a document whose `due_at` has come.

    `destroys`: something is then gone, or no longer allowed, for good. Such a timer goes by the time that surely is,
    and so does one that does not say. The others go by the machine's clock.
    """

    on_due: Callable[[Context, Any], Awaitable[None]]
    destroys: bool = True
    longest: timedelta | None = None  # how far ahead it is ever set; what is set farther was set by a wrong clock


@dataclass(frozen=True)
class Renewal:
    """How a document of an older release gets an indexed field that it lacks (`shared.renewals`).

    `renew` sets `field`, whose index leads with it, to something else than None, and changes nothing that is told.
    """

    field: str
    renew: Callable[[Context, Any], Awaitable[None]]
    first: tuple[Where, ...] = ()  # documents that lists cannot do without: once these are renewed, none is missed
    sort: str = "id"  # by which `first` is gone through


H = TypeVar("H", bound=Handler)


class Subscribers(Mapping[str, Handler]):
    """The handlers of a service, by their names in the topology. FastStream runs them through `router`.

    Handlers are declared when the service is imported; a router is made for each replica, as one belongs to one broker.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._handlers: dict[str, Handler] = {}

    def subscriber(self, handler: str) -> Callable[[H], H]:
        """Declare what a handler of the topology does: stream, durable, subjects and types of events are the
        topology's. Raises NotBound for a handler that it does not have.
        """
        if handler not in {durable.handler for durable in durables_of(self.service)}:
            raise NotBound(f"{self.service}: the topology has no handler {handler}")

        def declare(function: H) -> H:
            self._handlers[handler] = function
            return function

        return declare

    def router(self, context: Context, placement: Placement) -> NatsRouter:
        """Make the FastStream router of one replica; its handlers are given the replica's context."""
        calls = {name: partial(handler, context) for name, handler in self._handlers.items()}
        return router_of(self.service, calls, placement)

    def __getitem__(self, handler: str) -> Handler:
        return self._handlers[handler]

    def __iter__(self) -> Iterator[str]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)


@dataclass(frozen=True)
class Service:
    """A service as its `app.py` declares it. `shared.deployment` runs it, alone or with others."""

    name: str
    documents: tuple[type[Document], ...]
    handlers: Subscribers
    timers: Mapping[type[Document], Timer]
    router: APIRouter
    # Erase a contact that the erasure ledger names but that is here again, because data was restored from a backup.
    restore_erasure: Callable[[Context, InstitutionId, str], Awaitable[None]]
    background: tuple[Callable[[Context], Coroutine[Any, Any, None]], ...] = ()
    renewals: Mapping[type[Document], Renewal] = field(default_factory=dict)
    menu: tuple[Section, ...] = ()  # its entries of the staff navigation, which every service shows
    settings: type[ToldSettings] | None = None  # knobs of its own; a wrong one is told before the service starts


def use_case(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Declare a function as a use case: it loads, decides and saves, and runs again while somebody else saved in
    between. Raises the last Conflict or AlreadyExists.
    """

    @wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(_TRIES):
            try:
                return await function(*args, **kwargs)
            except (Conflict, AlreadyExists):
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(random.uniform(0, 0.002 * (attempt + 1)))  # noqa: S311 - jitter, not a secret
        raise AssertionError

    return run
