"""One institution's documents of one kind in SQLite."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Generic, Literal

from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import AnyOf, Conflict, D, Document, OutboxEntry, OutboxNotEmpty, Page, Where
from firsthand.shared.store.cursors import page_by_page
from firsthand.shared.store.kinds import already_there, check_adopted, check_event, counted_apart
from firsthand.shared.store.sqlite_database import Database
from firsthand.shared.store.sqlite_query import Query, count_queries, kept_count_query, page_query
from firsthand.shared.store.sqlite_remembered import Bodies, Columns, Key
from firsthand.shared.store.sqlite_schema import microseconds, table_of
from firsthand.shared.store.versions import body_of
from firsthand.shared.store.versions import read as read_document

# Places in the outbox are counted from 1; urgent events have those below nought, so that they come first, also to a
# release that knows of none.
_LEAVE = (
    "INSERT INTO outbox (event_id, kind, institution, document_id, nats_subject, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_LEAVE_FIRST = (
    "INSERT INTO outbox (event_id, kind, institution, document_id, nats_subject, at, body, seq) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, coalesce((SELECT max(seq) + 1 FROM outbox WHERE seq < 0), -4611686018427387904))"
)


@dataclass(frozen=True)
class _Statements:
    """The SQL of one kind, made once: a use case makes its collections anew, some fifteen in each chain."""

    select: str
    insert: str
    update: str
    move: str
    delete: str


@cache
def _statements_of(kind: type[Document]) -> _Statements:
    table = table_of(kind)
    name = table.name  # checked, as are the columns' names
    columns = ", ".join(f'"{column}"' for column in ("due_at", *table.columns))
    marks = ", ".join("?" for _ in ("due_at", *table.columns))
    return _Statements(
        select=f'SELECT body FROM "{name}" WHERE institution = ? AND id = ?',  # noqa: S608
        insert=(
            f'INSERT INTO "{name}" (institution, id, version, body, {columns}) '  # noqa: S608
            f"VALUES (?, ?, ?, ?, {marks}) ON CONFLICT DO NOTHING"
        ),
        update=f'UPDATE "{name}" SET version = ?, body = ? WHERE institution = ? AND id = ? AND version = ?',  # noqa: S608
        # Only where they may change: SQLite writes all entries of indexes anew, each on a page of its own.
        move=(
            f'UPDATE "{name}" SET version = ?, body = ?, ({columns}) = ({marks}) '  # noqa: S608
            "WHERE institution = ? AND id = ? AND version = ?"
        ),
        delete=f'DELETE FROM "{name}" WHERE institution = ? AND id = ? AND version = ?',  # noqa: S608
    )


class SqliteCollection(Generic[D]):
    """One institution's documents of one kind; satisfies `Collection`."""

    def __init__(self, database: Database, kind: type[D], institution: InstitutionId) -> None:
        self._database = database
        self._kind = kind
        self._institution = institution
        self._table = table_of(kind)
        self._sql = _statements_of(kind)

    async def get(self, id_: str) -> D | None:
        remembered, key = self._database.remembered, self._key(id_)
        body = remembered.get(key)
        if body is None:
            row = self._database.point(self._sql.select, (self._institution, id_))
            if row is None:
                return None
            (body,) = row
            remembered.put(key, body)
        return read_document(self._kind, body)

    async def insert(self, document: D, event: AnyEvent | None = None) -> D:
        stored, body, columns = self._next(document, 1)
        values = (self._institution, stored.id, 1, body, *columns)
        entry = self._entry(stored, event)

        def apply(connection: sqlite3.Connection) -> None:
            if connection.execute(self._sql.insert, values).rowcount == 0:
                raise already_there(stored)
            _leave(connection, entry)

        await self._database.write(apply, leaves_event=event is not None, settled=self._settled(stored, body, columns))
        return stored

    async def save(self, document: D, event: AnyEvent | None = None) -> D:
        stored, body, columns = self._next(document, document.next_version)
        same = self._database.remembered.columns(self._key(document.id), document.version) == columns
        sql, moved = (self._sql.update, ()) if same else (self._sql.move, columns)
        values = (stored.version, body, *moved, self._institution, document.id, document.version)
        entry = self._entry(stored, event)

        def apply(connection: sqlite3.Connection) -> None:
            if connection.execute(sql, values).rowcount == 0:
                raise self._conflict(stored.id)
            _leave(connection, entry)

        settled = self._settled(stored, body, columns)
        await self._database.write(apply, leaves_event=event is not None, settled=settled)
        return stored

    async def put(self, document: D, event: AnyEvent | None = None) -> D:
        return await (self.save(document, event) if document.version else self.insert(document, event))

    async def delete(self, document: D) -> None:
        of_document = (self._institution, document.id)
        waiting = "SELECT 1 FROM outbox WHERE institution = ? AND document_id = ? AND kind = ?"
        version = document.version

        def apply(connection: sqlite3.Connection) -> None:
            if connection.execute(waiting, (*of_document, self._table.name)).fetchone():
                raise OutboxNotEmpty(f"{self._table.name} {of_document[1]} has events that are not yet published")
            if connection.execute(self._sql.delete, (*of_document, version)).rowcount == 0:
                raise self._conflict(of_document[1])

        remembered, key = self._database.remembered, self._key(document.id)
        await self._database.write(apply, settled=lambda _: remembered.forget(key))

    async def adopt(self, document: D, waiting: Sequence[OutboxEntry] = ()) -> None:
        check_adopted(document, waiting)
        stored, body, columns = self._next(document, document.version)
        key = (self._institution, document.id)
        values = (*key, document.version, body, *columns)
        named = (self._table.name, self._institution, stored.id)
        entries = [
            (one.urgent, one.event_id, *named, one.nats_subject, microseconds(one.at), one.body) for one in waiting
        ]

        def apply(connection: sqlite3.Connection) -> None:
            if connection.execute(self._sql.insert, values).rowcount == 0:
                if connection.execute(self._sql.select, key).fetchone() != (body,):
                    raise already_there(stored)
                return
            for entry in entries:
                _leave(connection, entry)

        await self._database.write(apply, leaves_event=bool(entries), settled=self._settled(stored, body, columns))

    async def find(
        self,
        where: Where | AnyOf | None = None,
        *,
        sort: str = "id",
        order: Literal["asc", "desc"] = "asc",
        limit: int = 100,
        after: str | None = None,
    ) -> Page[D]:
        if self._kind.steady:
            return await self._find_steady(where, sort=sort, order=order, limit=limit, after=after)
        query = page_query(self._table, self._institution, where, sort=sort, order=order, limit=limit, after=after)
        if not query.statements:
            return Page([])

        def read(connection: sqlite3.Connection) -> Page[D]:
            page = _bodies(query, connection)
            return Page([read_document(self._kind, body) for body in page.bodies], page.following)

        return await self._database.read(read)

    async def _find_steady(
        self, where: Where | AnyOf | None, *, sort: str, order: Literal["asc", "desc"], limit: int, after: str | None
    ) -> Page[D]:
        """Find in what is remembered, or read it and remember it."""
        remembered, of = self._database.remembered, (self._table.name, self._institution)
        question = f"{where!r} {sort} {order} {limit} {after}"
        page = remembered.page(of, question)
        if page is None:
            query = page_query(self._table, self._institution, where, sort=sort, order=order, limit=limit, after=after)
            if not query.statements:
                return Page([])
            writes = remembered.writes(of)
            page = await self._database.read(partial(_bodies, query))
            remembered.put_page(of, question, page, writes=writes)
        return Page([read_document(self._kind, body) for body in page.bodies], page.following)

    async def count(self, where: Where | AnyOf | None = None) -> int:
        if isinstance(where, AnyOf):
            return sum([often * await self.count(one) for often, one in counted_apart(where)])
        asked = where or {}
        if (kept := self._table.kind.kept_count(asked)) is not None:
            row = self._database.point(*kept_count_query(self._table, self._institution, asked, kept))
            return int(row[0])
        if not (queries := count_queries(self._table, self._institution, asked)):
            return 0

        def add_up(connection: sqlite3.Connection) -> int:
            return sum(int(connection.execute(*query).fetchone()[0]) for query in queries)

        return await self._database.walk(add_up)

    def all(self) -> AsyncIterator[D]:
        return page_by_page(self)

    def _key(self, id_: str) -> Key:
        return self._table.name, self._institution, id_

    def _settled(self, stored: D, body: str, columns: Columns) -> Callable[[bool], None]:
        """Give what remembers a document once it is committed."""
        remembered, key = self._database.remembered, self._key(stored.id)

        def settled(committed: bool) -> None:
            if committed:
                remembered.put(key, body, written=(stored.version, columns))
            else:
                remembered.forget(key)

        return settled

    def _next(self, document: D, version: int) -> tuple[D, str, tuple[str | int | None, ...]]:
        """Make what is to be stored: the document with its next version, its body, what its other columns hold."""
        stored = self._table.kind.to_keep(document, version, self._institution)
        due_at = microseconds(stored.due_at) if stored.due_at else None
        return stored, body_of(stored), (due_at, *self._table.values(stored))

    def _entry(self, stored: D, event: AnyEvent | None) -> tuple[Any, ...] | None:
        """Make the outbox's row of an event. ValueError unless it is this document's next state."""
        if event is None:
            return None
        check_event(event, stored)
        named = (event.urgent, event.id, self._table.name, self._institution, stored.id, event.nats_subject)
        return (*named, microseconds(event.time), event.wire())

    def _conflict(self, id_: str) -> Conflict:
        return Conflict(f"{self._table.name} {id_} of {self._institution} is not at the version that was read")


def _bodies(query: Query, connection: sqlite3.Connection) -> Bodies:
    rows, following = query.first([connection.execute(*one).fetchall() for one in query.statements])
    return Bodies(tuple(body for body, _, _ in rows), following)


def _leave(connection: sqlite3.Connection, entry: tuple[Any, ...] | None) -> None:
    """Leave an event in the outbox, in the transaction of the document that it tells of."""
    if entry is None:
        return
    urgent, *row = entry
    try:
        connection.execute(_LEAVE_FIRST if urgent else _LEAVE, row)
    except sqlite3.IntegrityError as error:
        raise ValueError(f"the event {row[0]} waits already: an event is saved once") from error
