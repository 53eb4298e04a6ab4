"""One well-formed event of each type, made by walking the models, and the named values in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from firsthand.shared.events import AnyEvent

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
Path = tuple[str | int, ...]


def sample(event: type[AnyEvent], sequence: int = 1, subject: str = "c1") -> dict[str, Any]:
    """Give an event as it is on the wire, with every optional field set."""
    return {
        "specversion": "1.0",
        "id": f"{event.entity}-{event.name}-{sequence}",
        "type": event.event_type(),
        "source": f"/institutions/example-dental/{event.service}",
        "subject": subject,
        "time": AT.isoformat(),
        "datacontenttype": "application/json",
        "institution": "example-dental",
        "correlationid": subject,
        "actor": "system",
        "sequence": f"{sequence:010d}",
        "data": _value(event.model_fields["data"].annotation),
    }


def named_values(event: type[AnyEvent]) -> list[Path]:
    """Give the paths below `data` at which an event holds one of some named values."""
    return list(_named(event.model_fields["data"].annotation, ("data",)))


def put(raw: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Put a value into an event on the wire."""
    *way, last = path
    place: Any = raw
    for step in way:
        place = place[step]
    place[last] = value
    return raw


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for one in get_args(annotation) for option in _options(one)]
    return [annotation]


def _value(annotation: Any) -> Any:
    kind = _options(annotation)[0]
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is list:
        return [_value(get_args(kind)[0])]
    if get_origin(kind) is dict:
        return {"en": _value(get_args(kind)[1])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: _value(field.annotation) for name, field in kind.model_fields.items()}
    plain: dict[Any, Any] = {str: "en", int: 3, float: 1.5, bool: True, AwareDatetime: "2026-03-02T09:00:00Z"}
    return plain[str if isinstance(kind, NewType) else kind]


def _named(annotation: Any, path: Path) -> Iterator[Path]:
    for kind in _options(annotation):
        if get_origin(kind) is Literal:
            yield path
        elif get_origin(kind) is list:
            yield from _named(get_args(kind)[0], (*path, 0))
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                yield from _named(field.annotation, (*path, name))
