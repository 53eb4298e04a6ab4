"""Handlers are declared with FastStream; our own `Pull` feeds them. The only file that knows FastStream from inside.

FastStream's pull loop cannot see that a durable is gone, lets one slow event hold a batch, and gives nothing back on
stopping (docs/decisions/0019-faststream.md). So a subscriber is declared, included, tested, measured and traced as
FastStream's documentation says, and only its fetching is ours. For that we rely on what FastStream does not promise:

- `registrator.subscriber(...)` chooses a class by its arguments, and ours is none of them. What it made, a
  `PullStreamSubscriber`, takes another `__class__` (`FedSubscriber.made_of`).
- `start()` calls `_create_subscription()` once, when `connection` is there: the place where fetching begins.
- `process_message(raw)` runs one message through middlewares and handler: what `Pull` feeds, and `Bus` with replays.
- `_outer_config` is what broker and routers declared, merged at every look; here once, when fetching begins.
- `__build__middlewares_stack()` puts FastStream's acknowledging and logging around our middlewares: we have our own.
- `lock` holds `stop()` while messages are in hand, which the pull does; `get_log_context()` is what FastStream logs of
  a message, which here is nothing.
- `process_message` enters scopes for injection and logging, of which a handler here uses none; they cost a third of an
  event. So where no other middleware is added it is cut short: parser, `Settling`, handler (`calls[0]`).

`tests/integration/test_faststream.py` fails when an upgrade moves any of it.
"""

import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final, Self, Union, cast

from faststream import AckPolicy
from faststream.nats import JStream, NatsRouter
from faststream.nats.configs import NatsBrokerConfig
from faststream.nats.subscriber.usecases import LogicSubscriber, PullStreamSubscriber
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from firsthand.shared.bus.delivery import Call, EventMessage, Settling, event_in, handle_at_once
from firsthand.shared.bus.errors import Hopeless
from firsthand.shared.bus.room import Room
from firsthand.shared.bus.subscriptions import Pull
from firsthand.shared.bus.turns import Turns
from firsthand.shared.events import AnyEvent, UnknownEvent, UnreadableEvent
from firsthand.shared.topology import Durable, Placement, durables_of
from firsthand.shared.tracing import traceparent

_GRACE: Final = 20.0  # seconds


class FedSubscriber(PullStreamSubscriber):
    """A subscriber of FastStream that is fed by our `Pull`, which asks, notices and gives back as JetStream needs."""

    __slots__ = ()

    durable: Durable
    pull: Pull | None
    grace: float  # seconds that handlers in hand may take when it stops
    log: logging.Logger
    settling: Settling | None  # the only middleware, once that is certain
    room: Room

    @classmethod
    def made_of(cls, subscriber: LogicSubscriber[Any], durable: Durable) -> Self:
        """Turn what the registrator made into one that is fed. Raises TypeError when an upgrade makes another."""
        if type(subscriber) is not PullStreamSubscriber:
            raise TypeError(f"FastStream made a {type(subscriber).__name__}, which cannot be fed")
        fed = cast("Self", subscriber)
        fed.__class__ = cls
        fed.durable = durable
        fed.pull = None
        fed.grace = _GRACE
        fed.settling = None
        fed.room = Room()
        fed.log = logging.getLogger(f"firsthand.{durable.service}")
        return fed

    async def _create_subscription(self) -> None:
        self._outer_config = cast("NatsBrokerConfig", _Merged(self._outer_config))
        self.lock = contextlib.nullcontext()  # the pull waits for what is in hand
        middlewares = self._outer_config.broker_middlewares
        if len(middlewares) == 1 and isinstance(middlewares[0], Settling):
            self.settling = middlewares[0]
        name = self.config.durable_name or ""
        self.pull = Pull(self.connection, self.stream.name, name, self.process_message, self.log, room=self.room)
        await self.pull.start()

    async def process_message(self, msg: Msg) -> Any:
        """Run one message through middlewares and handler."""
        if self.settling is None:
            return await super().process_message(msg)
        item: Any = self.calls[0]  # there is one, and `start` has set its parser and decoder
        message = await item.parser(msg)
        message.set_decoder(item.decoder)
        return await self.settling.consume_scope(item.handler.call_wrapped, message)

    async def stop(self) -> None:
        """Ask for no more events, finish what is in hand, give back the rest at once."""
        if self.pull:
            await self.pull.stop(self.grace)
            self.pull = None
        await super().stop()

    def _SubscriberUsecase__build__middlewares_stack(self) -> tuple[Any, ...]:  # noqa: N802 - FastStream's mangled name
        return tuple(self._outer_config.broker_middlewares)

    def get_log_context(self, _message: object) -> dict[str, str]:
        return {}


def router_of(service: str, calls: Mapping[str, Call], placement: Placement) -> NatsRouter:
    """Declare handlers of a service's topology: each with its durable's stream, name, subjects and types of events."""
    router, turns = NatsRouter(), Turns()
    durables = durables_of(service)
    for durable in durables:
        if durable.handler in calls:
            kinds = {event for one in durables if one.handler == durable.handler for event in one.events}
            _declare(router, durable, _handler(durable, calls[durable.handler], frozenset(kinds), turns), placement)
    return router


def _declare(router: NatsRouter, durable: Durable, handle: Any, placement: Placement) -> None:
    subscriber = router.subscriber(
        stream=JStream(durable.stream.name, declare=False),
        durable=placement.durable_name(durable),
        config=ConsumerConfig(filter_subjects=[*placement.filter_subjects(durable)]),
        pull_sub=True,
        parser=_parser(durable.handler, placement),
        decoder=_decode,
        ack_policy=AckPolicy.MANUAL,  # `delivery.Settling` does it
        no_reply=True,
        title=": ".join(filter(None, (durable.service, durable.handler, durable.producer))),
    )
    FedSubscriber.made_of(subscriber, durable)(handle)


def _handler(durable: Durable, call: Call, kinds: frozenset[type[AnyEvent]], turns: Turns) -> Any:
    """Give the function that FastStream calls, typed by the durable's events.

    `kinds`: all that the handler hears, since a replay may come through any of its durables.
    """

    async def handle(event: AnyEvent) -> None:
        if type(event) not in kinds:
            return  # of an entity that the handler follows, and nothing for it
        token = traceparent.set(event.traceparent)
        try:
            await turns.take((event.institution, event.correlationid), handle_at_once, call, event)
        finally:
            traceparent.reset(token)

    handle.__name__ = durable.handler
    handle.__annotations__ = {"event": Union[durable.events], "return": None}  # noqa: UP007 - of a tuple
    return handle


def _parser(handler: str, placement: Placement) -> Any:
    async def parse(message: Msg) -> EventMessage:
        try:
            event = event_in(message)
        except (UnknownEvent, UnreadableEvent) as error:
            return EventMessage(message, handler, None, error)
        if placement.institutions and event.institution not in placement.institutions:
            return EventMessage(message, handler, None, Hopeless("its institution is not in this placement"))
        return EventMessage(message, handler, event, None)

    return parse


async def _decode(message: EventMessage) -> AnyEvent:
    """Give the event; raise here, inside of all middlewares, what kept it from being read."""
    if message.event is None:
        raise message.unread or UnknownEvent("the body is not an event")
    return message.event


class _Merged:
    """What broker and routers declared, merged once instead of at each of the five looks that a message takes."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.context = config.context
        self.logger = config.logger
        self.extra_context = config.extra_context
        self.broker_middlewares = tuple(config.broker_middlewares)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)
