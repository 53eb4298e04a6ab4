"""The embedded adapter of the storage port: one SQLite file a service, held by one process."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import D, Document, OutboxEntry, Store
from firsthand.shared.store.sqlite_collection import SqliteCollection
from firsthand.shared.store.sqlite_database import Database
from firsthand.shared.store.sqlite_schema import drift, microseconds, prepare, table_of
from firsthand.shared.store.versions import Readable
from firsthand.shared.store.versions import read as read_document

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES = 2**63 - 1  # in the outbox: urgent events below nought, all others above (`sqlite_collection`)


class SqliteStore:
    """A service's database in one file. Made by `open`; satisfies `Store`."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database
        self._readable = Readable()

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, remembers: bool = True) -> Self:
        """Open or make the file, for this process alone. Raises StoreUnavailable with what is wrong and what to do.

        `clock` notes since when this process holds the file, for the next one that tries. `remembers`: what was read or
        written last stays in memory.
        """
        return cls(Database(path, clock, remembers=remembers))

    def collection(self, kind: type[D], institution: InstitutionId) -> SqliteCollection[D]:
        return SqliteCollection(self._database, kind, institution)

    async def prepare(self, kinds: Sequence[type[Document]]) -> None:
        await self._database.write(lambda connection: prepare(connection, kinds))

    async def drift(self, kinds: Sequence[type[Document]]) -> list[str]:
        return await self._database.walk(lambda connection: drift(connection, kinds))

    async def due(self, kind: type[D], now: datetime, limit: int = 100) -> list[D]:
        name, at = table_of(kind).name, microseconds(now)
        if not self._database.point(f'SELECT 1 FROM "{name}" WHERE due_at <= ? LIMIT 1', (at,)):  # noqa: S608
            return []  # the usual answer, every second for every kind, without going to a thread and back
        sql = f'SELECT body FROM "{name}" WHERE due_at <= ? ORDER BY due_at, id LIMIT ?'  # noqa: S608

        def read(connection: sqlite3.Connection) -> list[D]:
            rows = connection.execute(sql, (at, self._readable.rows(name, limit))).fetchall()
            return self._readable.of(name, (partial(read_document, kind, body) for (body,) in rows), limit)

        return await self._database.read(read)

    async def outbox(self, limit: int = 256, *, urgent: bool | None = None) -> list[OutboxEntry]:
        below, above = (0 if urgent is True else _PLACES, 0 if urgent is False else -_PLACES)
        sql = (
            "SELECT kind, institution, document_id, event_id, nats_subject, body, at, seq < 0 "
            "FROM outbox WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        )

        def read(connection: sqlite3.Connection) -> list[OutboxEntry]:
            rows = connection.execute(sql, (above, below, limit)).fetchall()
            return [
                OutboxEntry(kind, of, document, event, subject, body, _EPOCH + timedelta(microseconds=at), bool(first))
                for kind, of, document, event, subject, body, at, first in rows
            ]

        return self._database.here(read)  # half a millisecond at most, and no waiting behind pages

    async def published(self, entries: Sequence[OutboxEntry]) -> None:
        ids = json.dumps([entry.event_id for entry in entries])
        sql = "DELETE FROM outbox WHERE event_id IN (SELECT value FROM json_each(?))"

        def apply(connection: sqlite3.Connection) -> None:
            connection.execute(sql, (ids,))

        await self._database.write(apply)

    def on_outbox(self, wake: Callable[[], None]) -> None:
        self._database.on_event_left(wake)

    def behind(self) -> float:
        return self._database.behind()

    async def institutions(self, kind: type[Document]) -> list[InstitutionId]:
        name = table_of(kind).name
        # From one institution to the next by the primary key, however many documents each has.
        sql = (
            f'WITH RECURSIVE found(it) AS (SELECT min(institution) FROM "{name}" UNION ALL '  # noqa: S608
            f'SELECT (SELECT min(institution) FROM "{name}" WHERE institution > it) FROM found WHERE it IS NOT NULL) '
            "SELECT it FROM found WHERE it IS NOT NULL"
        )
        return await self._database.walk(lambda c: [InstitutionId(row[0]) for row in c.execute(sql).fetchall()])

    async def ping(self) -> None:
        """Go the way of a write, changing nothing."""
        await self._database.write(lambda connection: connection.execute("SELECT 1 FROM sqlite_master").fetchone())

    async def compact(self) -> None:
        """Empty the write-ahead log into the file, where `secure_delete` has zeroed what was deleted or replaced."""
        await self._database.compact()

    async def close(self) -> None:
        await self._database.close()


if TYPE_CHECKING:

    def _satisfies(store: SqliteStore) -> Store:
        return store


__all__ = ["SqliteCollection", "SqliteStore"]
