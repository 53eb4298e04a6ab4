"""Documents of other releases: what this release does not know is kept, and what is older is upgraded on reading.

Only the store reads with `extra="allow"`, which reaches into nested models and lists of them whatever their own
configuration says. Unknown fields then lie in `__pydantic_extra__`, where a copy keeps them, and where no `model_dump`,
event, page or answer finds them; only `body_of` and `raw_of` write them back. A request is never read that way, so that
it cannot set any. Why so: docs/decisions/0017-documents-survive-versions.md.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from firsthand.shared.store import D, Document, Unreadable

_log = logging.getLogger("firsthand.store")
_FRAME = ("id", "institution", "version")  # what no upgrade may change


def read(kind: type[D], body: str | bytes) -> D:
    """Read a stored document. Raises Unreadable when this release cannot: nothing is then written, and nothing lost."""
    try:
        found = kind.model_validate_json(body, extra="allow")
    except ValidationError as error:
        return _upgraded(kind, body, error)
    return found if found.schema_number >= kind.schema_now() else _upgraded(kind, body, None)


def body_of(document: Document) -> str:
    """Give a document as JSON, with the fields that this release does not know."""
    return to_json(raw_of(document)).decode() if _has_unknown(document) else document.model_dump_json()


def raw_of(document: Document) -> dict[str, Any]:
    """Give a document as values of JSON, with the fields that this release does not know."""
    raw = document.model_dump(mode="json")
    if _has_unknown(document):
        _put_back(document, raw)
    return raw


class Readable:
    """What of one store's due documents can be read: those that cannot hold up no others, and are logged once."""

    def __init__(self) -> None:
        self._passed_over: dict[str, set[str]] = {}  # by kind, at the last look

    def rows(self, kind: str, limit: int) -> int:
        """Tell how many rows to ask for, so that those that cannot be read leave room for `limit` others."""
        return limit + len(self._passed_over.get(kind, ()))

    def of(self, kind: str, reads: Iterable[Callable[[], D]], limit: int) -> list[D]:
        """Make the first `limit` documents that can be read."""
        found: list[D] = []
        passed_over: set[str] = set()
        for one in reads:
            if len(found) == limit:
                break
            try:
                found.append(one())
            except Unreadable as error:
                passed_over.add(str(error))
        for told in passed_over - self._passed_over.get(kind, set()):
            _log.error("a document that is due waits for a release that can read it: %s", told)
        self._passed_over[kind] = passed_over
        return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give the models that a field's annotation names, at any depth of lists, tables and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


@cache
def _nesting(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the fields in which other models may lie: the only ones worth looking into."""
    return tuple(name for name, field in model.model_fields.items() if any(models_in(field.annotation)))


def _has_unknown(value: Any) -> bool:
    """Tell whether anything is to be put back. At each save, so without generators: 0.2 us a model."""
    if isinstance(value, BaseModel):
        if value.__pydantic_extra__:
            return True
        fields = value.__dict__
        for name in _nesting(type(value)):  # noqa: SIM110
            if (inner := fields[name]) and _has_unknown(inner):
                return True
        return False
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    for inner in value:  # noqa: SIM110
        if _has_unknown(inner):
            return True
    return False


def _put_back(value: Any, raw: Any) -> None:
    """Put the unknown fields of a value, at any depth, into what it was dumped to."""
    if isinstance(value, BaseModel):
        for name in _nesting(type(value)):
            _put_back(getattr(value, name), raw[name])
        for name, unknown in (value.__pydantic_extra__ or {}).items():
            raw.setdefault(name, unknown)
    elif isinstance(value, list | tuple):
        for inner, of_inner in zip(value, raw, strict=True):
            _put_back(inner, of_inner)
    elif isinstance(value, dict):
        for inner, of_inner in zip(value.values(), raw.values(), strict=True):
            _put_back(inner, of_inner)


def _upgraded(kind: type[D], body: str | bytes, failure: Exception | None) -> D:
    """Bring an older document to the present shape, one step after the other, and read it."""
    raw: dict[str, Any] = from_json(body)
    frame = {name: raw.get(name) for name in _FRAME}
    number = raw.get("schema_number", 1)
    steps = kind.upgrades[number - 1 :] if isinstance(number, int) and number >= 1 else ()
    if not steps:
        raise _unreadable(kind, frame, number, failure) from None  # what pydantic says quotes the document
    try:
        for step in steps:
            raw = step(raw)
        upgraded = to_json(raw | frame | {"schema_number": number + len(steps)})
        return kind.model_validate_json(upgraded, extra="allow")
    except Exception as error:  # noqa: BLE001 - whatever a step stumbles over, the document stays as it is
        raise _unreadable(kind, frame, number, error) from None


def _unreadable(kind: type[Document], frame: dict[str, Any], number: object, failure: Exception | None) -> Unreadable:
    """Say what cannot be read: names of fields that are ours and kinds of errors, never a value."""
    why = type(failure).__name__
    if isinstance(failure, ValidationError):
        errors = failure.errors(include_url=False, include_context=False, include_input=False)
        fields = sorted({f"{error['loc'][0]} ({error['type']})" for error in errors if error["loc"]})
        why = ", ".join(fields) or why
    return Unreadable(
        f"{kind.kind} {frame['id']} of {frame['institution']}, written with schema {number}, cannot be read by this "
        f"release, which knows {kind.schema_now()}: {why}. It is left as it is",
        kind=kind.kind,
    )


__all__ = ["Readable", "body_of", "models_in", "raw_of", "read"]
