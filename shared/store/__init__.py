"""The storage port: typed, versioned documents of one institution each, saved together with the event they cause.

Two adapters pass one contract suite (tests/contract/test_store.py): `shared.store.sqlite` and `shared.store.mongo`.
Only single-document operations exist, so that what must be decided together lives in one document.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId


class StoreError(Exception):
    """The store could not do it; the message says what and what to do."""


class Conflict(StoreError):  # noqa: N818 - the field's word
    """The document was saved by somebody else since it was read. Read again and decide again."""


class AlreadyExists(StoreError):  # noqa: N818 - the field's word
    """A document with this institution, kind and id is there already."""


class NoSuchPlace(StoreError, ValueError):  # noqa: N818 - says what is the case
    """`after` names no place in this list: it was cut short, is of another list, or is made up."""


class StoreUnavailable(StoreError):  # noqa: N818 - the field's word
    """The store does not answer, is full or is closing. Try again later (`retry_after` seconds)."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoRoom(StoreUnavailable):
    """The disk is full, or what is left of it is kept for what cannot wait (`shared.disk`). Nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=60)


class Unreadable(StoreUnavailable):
    """A document is of a newer release, or damaged, and this release cannot read it: an enum has a value that it does
    not know. It stays as it is; a release that knows it, reads it. Until then whoever needs it tries again later.
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message, retry_after=60)
        self.kind = kind


class OutboxNotEmpty(StoreError):  # noqa: N818 - says what is the case
    """A document whose events are not yet published is never deleted."""


@dataclass(frozen=True)
class Index:
    """A declared index over top-level fields, always within one institution. Fields: str, int of
    64 bits, bool, datetime or None.

    `find` may test all its fields for equality, or a leading part for equality and the next one for a range or sort.
    A document stored before a field existed is found as one whose field is None, until it is saved again.
    """

    fields: tuple[str, ...]

    @classmethod
    def on(cls, *fields: str) -> Self:
        return cls(fields)


# One step from a schema number to the next: the document's raw JSON as it was, to what it is now. Pure, but it may
# change the table that it is given. It leaves fields alone that it does not know. How to write one: decision 0017.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class Document(BaseModel):
    """What a service keeps. Immutable by convention inside a save: change a copy (`model_copy(update=...)`) or in place
    before `save`; the version is raised by the store.

    Fields that a newer release wrote are kept, here and in nested models (`shared.store.versions`). A copy of a nested
    model keeps them too (`model_copy`); one that is built of its parts does not.
    """

    model_config = ConfigDict(extra="ignore", validate_assignment=False)

    kind: ClassVar[str]  # the collection's name, unique inside a service, `[a-z_]+`
    indexes: ClassVar[tuple[Index, ...]] = ()
    # Combinations of fields by whose values `count` is kept rather than counted, `()` for how many there are at all.
    # Each costs a save that changes one of its fields some microseconds, and others nothing.
    counts: ClassVar[tuple[tuple[str, ...], ...]] = ()
    # Written seldom and listed with nearly every event: SQLite remembers its pages until the next write.
    steady: ClassVar[bool] = False
    upgrades: ClassVar[tuple[Upgrade, ...]] = ()  # from schema 1 to 2, from 2 to 3 ...; run when one is read

    id: str
    institution: InstitutionId
    version: int = 0  # 0: not yet stored
    schema_number: int = 1  # with which it is stored: that of its kind, or a newer release's, which is never lowered
    due_at: AwareDatetime | None = None  # when the service's timer is to look at this document
    applied: dict[str, int] = {}  # event origin -> highest sequence taken (Event.origin)

    @classmethod
    def schema_now(cls) -> int:
        """Give the schema number of this release: one more than there are upgrades."""
        return len(cls.upgrades) + 1

    @property
    def next_version(self) -> int:
        """The version that the next save gives, which is the `sequence` of the event saved with it."""
        return self.version + 1

    def take(self, event: AnyEvent) -> bool:
        """Note that `event` is applied. False if it, or a later state of its source document, was applied before."""
        if event.sequence <= self.applied.get(event.origin, 0):
            return False
        self.applied = {**self.applied, event.origin: event.sequence}
        return True


D = TypeVar("D", bound=Document)

Scalar = str | int | bool | datetime | None
MOST_VALUES: Final = 8000  # combinations of the values of all `OneOf` of a find: a tutor of 500 cases at 15 stages


@dataclass(frozen=True)
class Range:
    """Half-open: `from_ <= field < to`. Either end may be left open (None); a field that is None is in no range."""

    from_: str | int | datetime | None = None
    to: str | int | datetime | None = None


@dataclass(frozen=True)
class OneOf:
    """Equality with any of some values; none finds nothing. A value that is given twice counts once.

    Each value is one walk of the index, merged in the order that is asked for, so that a page of 50 among a million
    reads 50. Several of them in one find multiply: more than `MOST_VALUES` combinations are a ValueError.
    """

    values: tuple[Scalar, ...]

    @classmethod
    def of(cls, values: Iterable[Scalar]) -> Self:
        return cls(tuple(dict.fromkeys(values)))


# What a field is compared with: a value (equality), some values, or a range.
Operand = Scalar | Range | OneOf
Where = Mapping[str, Operand]


@dataclass(frozen=True)
class AnyOf:
    """What answers any of some questions, each by an index of its own; what answers several is found once."""

    wheres: tuple[Where, ...]


@dataclass(frozen=True)
class Page(Generic[D]):
    """One page of a find. `next` is the cursor of the following page, None on the last one."""

    items: list[D]
    next: str | None = None


@dataclass(frozen=True)
class OutboxEntry:
    """An event that was saved and is not yet known to be published."""

    kind: str
    institution: InstitutionId
    document_id: str
    event_id: str
    nats_subject: str
    body: bytes  # the event in JSON, as it goes on the wire
    at: datetime  # the event's time
    urgent: bool = False  # `Event.urgent`


class Collection(Protocol[D]):
    """The documents of one kind of ONE institution. Made by `Store.collection`; held by a service's repository.

    Every read upgrades documents of an older schema, and raises Unreadable for what this release cannot read.
    """

    async def get(self, id_: str) -> D | None: ...

    async def insert(self, document: D, event: AnyEvent | None = None) -> D:
        """Store a new document (version becomes 1) with the event it causes, whose `sequence` must be 1 (ValueError).

        Raises AlreadyExists.
        """
        ...

    async def save(self, document: D, event: AnyEvent | None = None) -> D:
        """Replace the stored document if its version is still `document.version`; returns it with the next version.

        The event, at most one a save so that (origin, sequence) names it, goes into the document's outbox in the same
        write; its `sequence` must be the new version (ValueError). Raises Conflict, also when the document is gone.
        """
        ...

    async def put(self, document: D, event: AnyEvent | None = None) -> D:
        """Insert a document that was never stored, or save one that was read. Raises AlreadyExists or Conflict."""
        ...

    async def delete(self, document: D) -> None:
        """Remove it if the version is still the one read. Raises Conflict; OutboxNotEmpty while an event waits."""
        ...

    async def adopt(self, document: D, waiting: Sequence[OutboxEntry] = ()) -> None:
        """Take a document over from another store as it is: its version, and its events that wait to be published.

        Done again it changes nothing. Raises AlreadyExists when another state of it is here, ValueError for version 0.
        """
        ...

    async def find(
        self,
        where: Where | AnyOf | None = None,
        *,
        sort: str = "id",
        order: Literal["asc", "desc"] = "asc",
        limit: int = 100,
        after: str | None = None,
    ) -> Page[D]:
        """Find by a declared index (ValueError otherwise). `after` is a cursor of a former page (or NoSuchPlace);
        stable under inserts.

        Documents whose sort field is None are left out when the sort is not by id.
        """
        ...

    async def count(self, where: Where | AnyOf | None = None) -> int:
        """Count by a declared index or one of the kind's `counts` (ValueError otherwise); of an `AnyOf` its questions
        together have one as well.

        By exactly the fields of one of the `counts` nothing is counted: SQLite keeps the numbers with each
        write, exact and in constant time. MongoDB, which has no write over two documents, counts by the index: exact
        below some thousands; what is more is counted once in a while by each replica, and may lag by that while.
        """
        ...

    def all(self) -> AsyncIterator[D]:
        """Go through every document by id, in pages, in flat memory."""
        ...


class Store(Protocol):
    """A service's database. Opened by one adapter; closed on shutdown."""

    def collection(self, kind: type[D], institution: InstitutionId) -> Collection[D]:
        """Give one institution's documents of a kind. There is no way to read without an institution but the
        frame's own (`due`, `outbox`, `institutions`), which never reach a door.
        """
        ...

    async def prepare(self, kinds: Sequence[type[Document]]) -> None:
        """Create what the kinds need (tables, indexes, kept counts) and drop what nobody declares; idempotent."""
        ...

    async def drift(self, kinds: Sequence[type[Document]]) -> list[str]:
        """Tell in plain sentences how indexes and kept counts differ from what is declared; empty when they agree."""
        ...

    async def due(self, kind: type[D], now: datetime, limit: int = 100) -> list[D]:
        """Documents of all institutions whose `due_at` has come, the earliest first.

        Those that this release cannot read are left out, and logged once, so that they hold up nobody else.
        """
        ...

    async def outbox(self, limit: int = 256, *, urgent: bool | None = None) -> list[OutboxEntry]:
        """The oldest events not yet published, in the order in which they were saved; the urgent ones before all
        others, or only those, or only the others.
        """
        ...

    async def published(self, entries: Sequence[OutboxEntry]) -> None:
        """Remove entries by event id, without touching any document's version."""
        ...

    def on_outbox(self, wake: Callable[[], None]) -> None:
        """Register a callable that is called in the event loop when a save left an event."""
        ...

    def behind(self) -> float:
        """Tell for how many seconds writes have waited for this process's writer; 0 where there is none."""
        ...

    async def institutions(self, kind: type[Document]) -> list[InstitutionId]:
        """The institutions that have documents of this kind."""
        ...

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the store answers."""
        ...

    async def compact(self) -> None:
        """Leave no trace of what was deleted or overwritten (SQLite: checkpoint with truncation)."""
        ...

    async def close(self) -> None:
        """Finish writes in hand and close."""
        ...


__all__ = [
    "MOST_VALUES",
    "AlreadyExists",
    "AnyOf",
    "Collection",
    "Conflict",
    "Document",
    "Index",
    "NoRoom",
    "NoSuchPlace",
    "OneOf",
    "Operand",
    "OutboxEntry",
    "OutboxNotEmpty",
    "Page",
    "Range",
    "Scalar",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "Unreadable",
    "Upgrade",
    "Where",
]
