"""How documents lie in SQLite: a table a kind with the body as JSON, and an index over JSON fields a declared index."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from pydantic import TypeAdapter

from shared.store import Document
from shared.store.kinds import Kind, kind_of, named

_MICROSECONDS = 1_000_000
_DATETIME: TypeAdapter[datetime] = TypeAdapter(datetime)

OUTBOX = {
    "outbox": (
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, "
        "kind TEXT NOT NULL, institution TEXT NOT NULL, document_id TEXT NOT NULL, "
        "nats_subject TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL)"
    ),
    "outbox_by_document": "CREATE INDEX outbox_by_document ON outbox (institution, document_id, kind)",
}


def microseconds(at: datetime) -> int:
    """Give a time as whole microseconds since 1970, without the rounding of a float. ValueError unless it is aware."""
    if at.utcoffset() is None:
        raise ValueError(f"{at} has no time zone")
    past = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (past.days * 86_400 + past.seconds) * _MICROSECONDS + past.microseconds


def sortable(at: datetime) -> str:
    """Give a time as bodies hold it, in UTC, without the `Z`: text then sorts as time, fraction or not."""
    if at.utcoffset() is None:
        raise ValueError(f"{at} has no time zone")
    return str(_DATETIME.dump_python(at.astimezone(UTC), mode="json")).rstrip("Z")


@dataclass(frozen=True)
class Table:
    """One kind's table. All names in its SQL come from checked names of classes and fields, never from values."""

    kind: Kind

    @property
    def name(self) -> str:
        return self.kind.name

    def expression(self, field: str) -> str:
        """Give the SQL of a field's value."""
        if field in ("id", "institution", "version"):
            return field
        value = f"json_extract(body,'$.{named(field)}')"
        return f"rtrim({value},'Z')" if field in self.kind.datetimes else value

    def statements(self) -> dict[str, str]:
        """Give what is to be in the database, by name."""
        name = self.name
        declared = {
            name: (
                f'CREATE TABLE "{name}" (institution TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, '
                "due_at INTEGER, body TEXT NOT NULL, PRIMARY KEY (institution, id))"
            ),
            f"{name}__due": f'CREATE INDEX "{name}__due" ON "{name}" (due_at, id) WHERE due_at IS NOT NULL',
        }
        for index in self.kind.indexes:
            called = self.kind.index_name(index)
            values = ", ".join(self.expression(field) for field in index.fields)
            declared[called] = f'CREATE INDEX "{called}" ON "{name}" (institution, {values}, id)'
        return declared


@cache
def table_of(kind: type[Document]) -> Table:
    """Give a kind's table. ValueError as `kind_of`."""
    return Table(kind_of(kind))


def _present(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,))
    return dict(rows.fetchall())


def _differences(connection: sqlite3.Connection, kinds: Sequence[type[Document]]) -> Iterator[tuple[str, str, str]]:
    """Go through what differs: (name, SQL that is declared or empty, SQL that is present or empty)."""
    wanted = {"outbox": OUTBOX} | {table.name: table.statements() for table in map(table_of, kinds)}
    for table, declared in wanted.items():
        present = _present(connection, table)
        for name in [*declared, *(present.keys() - declared.keys())]:
            if declared.get(name) != present.get(name):
                yield name, declared.get(name, ""), present.get(name, "")


def prepare(connection: sqlite3.Connection, kinds: Sequence[type[Document]]) -> None:
    """Create what is missing; make indexes that differ anew and drop those that nobody declares any more."""
    for name, declared, present in list(_differences(connection, kinds)):
        if present.startswith("CREATE TABLE"):
            continue  # a table that differs is told by `drift`: only a person may decide about data
        if present:
            connection.execute(f'DROP INDEX "{name}"')
        if declared:
            connection.execute(declared)


def drift(connection: sqlite3.Connection, kinds: Sequence[type[Document]]) -> list[str]:
    """Tell in plain sentences how the database differs from what is declared."""
    told = []
    for name, declared, present in _differences(connection, kinds):
        what = "table" if (declared or present).startswith("CREATE TABLE") else "index"
        if not present:
            told.append(f"The {what} {name} is missing.")
        elif not declared:
            told.append(f"The {what} {name} is there, but nothing declares it.")
        else:
            told.append(f"The {what} {name} is not as declared: it is `{present}`.")
    return told
