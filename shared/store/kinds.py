"""What every adapter knows of a kind of documents: its name and indexes, and how one is made ready to be kept."""

import functools
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import AwareDatetime

from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import (
    MOST_VALUES,
    AlreadyExists,
    AnyOf,
    D,
    Document,
    Index,
    OneOf,
    Operand,
    OutboxEntry,
    Range,
    Scalar,
    Where,
)

_NAME: Final = re.compile(r"^[a-z][a-z0-9_]*$")
# What adapters call things of their own, and what databases keep for themselves.
_TAKEN: Final = re.compile(r"outbox.*|counts.*|sqlite.*|system.*")


def named(name: str) -> str:
    """Give a name back that may stand in a query. ValueError otherwise."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} cannot be the name of a kind or of an indexed field")
    return name


@dataclass(frozen=True)
class Kind:
    """One kind of documents, as read off its class by `kind_of`."""

    name: str
    indexes: tuple[Index, ...]
    counts: tuple[tuple[str, ...], ...]  # combinations of fields whose counts are kept
    datetimes: tuple[str, ...]  # the kind's own fields that hold a time; not those of lists, tables or inner models

    def index_name(self, index: Index) -> str:
        return f"{self.name}__by__{'__'.join(index.fields)}"

    def index_for(self, where: Where, sort: str) -> Index | None:
        """Choose by which declared index to read: the shortest that serves; None for all documents by id.

        It serves when it leads with the equalities and goes on with the range or sort; ValueError when none does.
        """
        equal, following = _asked(where, sort)
        if not where and not following:
            return None
        if index := self._serving(equal, following):
            return index
        asked = ", ".join(
            [*(f"{name} equal" for name in sorted(equal)), *(f"{name} by range or sort" for name in following)]
        )
        raise ValueError(f"{self.name} declares no index for {asked}")

    def has_index_for(self, where: Where) -> bool:
        return not where or self._serving(*_asked(where, "id")) is not None

    def _serving(self, equal: set[str], following: set[str]) -> Index | None:
        for index in sorted(self.indexes, key=lambda index: len(index.fields)):
            leading, rest = index.fields[: len(equal)], index.fields[len(equal) :]
            if set(leading) == equal and (not following or following == set(rest[:1])):
                return index
        return None

    def kept_count(self, where: Where) -> tuple[str, ...] | None:
        """Give the combination of fields whose kept counts answer this; None when it is to be counted."""
        if any(isinstance(test, Range) for test in where.values()):
            return None
        return next((fields for fields in self.counts if set(fields) == set(where)), None)

    def each_of(self, where: Where, *, most: int = MOST_VALUES) -> list[dict[str, Scalar | Range]]:
        """Give what is asked as questions without `OneOf`, one for each combination of values.

        ValueError when there are more than `most`.
        """
        choices = [self._choices(name, test) for name, test in where.items()]
        if (many := math.prod(map(len, choices))) > most:
            raise ValueError(f"{many} combinations of values are asked for; one find takes {MOST_VALUES}")
        return [dict(zip(where, chosen, strict=True)) for chosen in itertools.product(*choices)]

    def _choices(self, name: str, test: Operand) -> list[Scalar | Range]:
        if not isinstance(test, OneOf):
            return [test]
        for value in test.values:
            self.check_operand(name, value)
        return list(dict.fromkeys(test.values))

    def check_operand(self, name: str, value: Scalar) -> None:
        """ValueError when `name` cannot be compared with `value`: where it is no value (to MongoDB, a table is an
        operator), is no time and should be one, or has no zone.
        """
        if not isinstance(value, str | int | datetime | None):
            raise ValueError(f"{name} cannot be compared with a {type(value).__name__}")  # noqa: TRY004
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                raise ValueError(f"{value} has no time zone")
        elif name in self.datetimes and value is not None:
            raise ValueError(f"{name} holds a time; {type(value).__name__} is none")

    def to_keep(self, document: D, version: int, institution: InstitutionId) -> D:
        """Make what is to be stored: the document with its next version and its own times in UTC.

        ValueError for a time without a zone, or a document of another institution.
        """
        if document.institution != institution:
            raise ValueError(f"a document of {document.institution} cannot be kept by {institution}")
        changed: dict[str, Any] = {"version": version}
        if document.schema_number < (now := document.schema_now()):
            changed["schema_number"] = now
        for name in self.datetimes:
            at: datetime | None = getattr(document, name)
            if at is not None and at.tzinfo is not UTC:
                if at.utcoffset() is None:
                    raise ValueError(f"{name} of {self.name} {document.id} has no time zone")
                changed[name] = at.astimezone(UTC)
        return document.model_copy(update=changed)


def _asked(where: Where, sort: str) -> tuple[set[str], set[str]]:
    """Give the fields that are to be equal, and those that are sorted by or within a range."""
    ranges = {name for name, test in where.items() if isinstance(test, Range)}
    return where.keys() - ranges, ranges | ({sort} if sort != "id" else set())


def questions_of(where: Where | AnyOf | None) -> tuple[Where, ...]:
    return where.wheres if isinstance(where, AnyOf) else (where or {},)


def counted_apart(where: AnyOf) -> list[tuple[int, Where]]:
    """Give the questions whose counts add up to that of an `AnyOf`, each with how often: 1, or -1 for what two of its
    questions would count both. ValueError for two ranges of one field.
    """
    sizes = range(1, len(where.wheres) + 1)
    together = (some for size in sizes for some in itertools.combinations(where.wheres, size))
    return [(1 if len(some) % 2 else -1, functools.reduce(_both, some)) for some in together]


def _both(one: Where, other: Where) -> Where:
    together: dict[str, Operand] = {**one, **other}
    for name in one.keys() & other.keys():
        first, second = one[name], other[name]
        if isinstance(first, Range) or isinstance(second, Range):
            if first != second:
                raise ValueError(f"{name} is asked for by two ranges")
            continue
        allowed = second.values if isinstance(second, OneOf) else (second,)
        together[name] = OneOf(
            tuple(value for value in (first.values if isinstance(first, OneOf) else (first,)) if value in allowed)
        )
    return together


def check_event(event: AnyEvent, stored: Document) -> None:
    """ValueError unless the event tells of the state with which it is saved, in the same institution."""
    if event.sequence != stored.version:
        raise ValueError(f"the event's sequence is {event.sequence}, the version it is saved with is {stored.version}")
    if event.institution != stored.institution:
        raise ValueError(f"an event of {event.institution} cannot be saved by {stored.institution}")


def check_adopted(document: Document, waiting: Sequence[OutboxEntry]) -> None:
    """ValueError unless the document was stored before, and the events that wait are its own."""
    if document.version < 1:
        raise ValueError(f"{document.kind} {document.id} was never stored: only what has a version is taken over")
    for entry in waiting:
        if (entry.kind, entry.institution, entry.document_id) != (document.kind, document.institution, document.id):
            raise ValueError(f"the event {entry.event_id} is not one of {document.kind} {document.id}")


def already_there(document: Document) -> AlreadyExists:
    return AlreadyExists(f"{document.kind} {document.id} of {document.institution} is there already")


@functools.cache
def kind_of(document: type[Document]) -> Kind:
    """Read a kind off its class. ValueError for a name that cannot be one, or an index or counts over no field."""
    fields = document.model_fields
    for declared in (*(index.fields for index in document.indexes), *document.counts):
        for field in declared:
            if field not in fields:
                raise ValueError(f"{document.__name__} declares {field!r} as a field, which it does not have")
            named(field)
    if _TAKEN.fullmatch(document.kind):
        raise ValueError(f"{document.kind!r} is the name of something else in the database")
    return Kind(
        name=named(document.kind),
        indexes=document.indexes,
        counts=document.counts,
        datetimes=tuple(name for name, field in fields.items() if _is_datetime(field.annotation)),
    )


def _is_datetime(annotation: Any) -> bool:
    """Tell whether a field holds one time or none; a list or table of times is left as it is."""
    if annotation in (datetime, AwareDatetime):
        return True
    return get_origin(annotation) in (Annotated, Union, UnionType) and any(map(_is_datetime, get_args(annotation)))
