"""The public contract: every event by its type. Schemas are generated into docs/events/ and checked."""

import json
from typing import Any

from shared.events import archive, consent, discovery, portal, scheduling
from shared.events.envelope import AnyEvent, Event, State

_MODULES = (portal, discovery, consent, scheduling, archive)


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


def parse_event(body: bytes) -> AnyEvent:
    """Read an event off the wire by its `type`. Raises UnknownEvent for anything that is not one of EVENTS."""
    try:
        raw: Any = json.loads(body)
        model = EVENTS[raw["type"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownEvent("the body is not an event of a known type") from error
    try:
        return model.model_validate(raw)
    except ValueError as error:
        raise UnknownEvent(f"a {model.event_type()} does not have the shape of its schema") from error


__all__ = ["EVENTS", "AnyEvent", "Event", "State", "UnknownEvent", "parse_event"]
