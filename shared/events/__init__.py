"""The public contract: every event by its type. Schemas are generated into docs/events/ and checked."""

from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from firsthand.shared.events import archive, consent, discovery, portal, scheduling, webhooks
from firsthand.shared.events.envelope import AnyEvent, Envelope, Event, State, Unknown

_MODULES = (portal, discovery, consent, scheduling, archive, webhooks)


def _concrete() -> dict[str, type[AnyEvent]]:
    found: dict[str, type[AnyEvent]] = {}
    for module in _MODULES:
        for member in vars(module).values():
            if (
                isinstance(member, type)
                and issubclass(member, Event)
                and member.name
                and not member.__name__.startswith("_")
            ):
                if member.event_type() in found and found[member.event_type()] is not member:
                    raise ValueError(f"two events are called {member.event_type()}")
                found[member.event_type()] = member
    return found


EVENTS: dict[str, type[AnyEvent]] = _concrete()


class UnknownEvent(ValueError):  # noqa: N818 - the field's word
    """The message is no event of this contract; `reason` says why, without repeating the content."""


class UnreadableEvent(ValueError):  # noqa: N818 - says what is the case
    """An event whose envelope is whole and whose content this release does not understand, as a newer one may write.

    It is no rubbish: it concerns the contact that `envelope` names, so whoever hears it closes what it could concern,
    and a durable keeps it until a release comes that understands it.
    """

    def __init__(self, envelope: Envelope, reason: str) -> None:
        super().__init__(reason)
        self.envelope = envelope


def parse_event(body: bytes) -> AnyEvent:
    """Read an event off the wire: its envelope, then its data, by its `type`.

    Raises UnreadableEvent when only the envelope can be read, and UnknownEvent when not even that.
    """
    return _parse_once(body) if len(body) <= _REMEMBERED_BYTES else _parse(body)


def _parse(body: bytes) -> AnyEvent:
    try:
        raw: Any = from_json(body)
        type_ = raw["type"]
        model = EVENTS.get(type_)
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownEvent("the body is not an event") from error
    try:
        if model is not None:
            return model.model_validate(raw).came_as(body)
        reason = f"this release does not know the type {type_!r:.80}"
    except ValueError:
        reason = f"a {type_} does not have the shape that this release knows"
    try:
        envelope = Envelope.model_validate(raw)
    except ValueError as error:
        raise UnknownEvent("the body has no whole envelope") from error
    raise UnreadableEvent(envelope, reason)


# In a process with several services each event comes some three times within milliseconds, to handlers and listeners.
# Events are never changed, so these may share one. What cannot be read is not remembered.
_REMEMBERED: Final = 1024
_REMEMBERED_BYTES: Final = 4096  # an event of ours has some 700; so it is some 3 MB when full
_parse_once = lru_cache(maxsize=_REMEMBERED)(_parse)


__all__ = [
    "EVENTS",
    "AnyEvent",
    "Envelope",
    "Event",
    "State",
    "Unknown",
    "UnknownEvent",
    "UnreadableEvent",
    "parse_event",
]
