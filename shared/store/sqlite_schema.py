"""How documents lie in SQLite: a table a kind, the document as JSON, and columns for what is searched and counted by.

Why not indexes over the JSON itself: docs/decisions/0014-columns-for-indexed-fields.md.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from firsthand.shared.store import Document
from firsthand.shared.store.kinds import Kind, kind_of, named

_MICROSECONDS = 1_000_000
_FRAME = ("institution", "id", "version")  # fields that every table has a column for

OUTBOX = {
    "outbox": (
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, "
        "kind TEXT NOT NULL, institution TEXT NOT NULL, document_id TEXT NOT NULL, "
        "nats_subject TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL)"
    ),
    "outbox_by_document": "CREATE INDEX outbox_by_document ON outbox (institution, document_id, kind)",
}

# How many documents have which values in the fields by which a kind's counts are kept; none where there are none.
COUNTS = {
    "counts": (
        "CREATE TABLE counts (kind TEXT NOT NULL, institution TEXT NOT NULL, fields TEXT NOT NULL, "
        "value TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (kind, institution, fields, value)) WITHOUT ROWID"
    ),
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
    in_utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return in_utc.isoformat().removesuffix("+00:00")


@dataclass(frozen=True)
class Table:
    """One kind's table. All names in its SQL come from checked names of classes and fields, never from values."""

    kind: Kind
    fields: tuple[str, ...]  # those with a column of their own, filled at each write

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def columns(self) -> list[str]:
        return [self.column(field) for field in self.fields]

    def column(self, field: str) -> str:
        return field if field in _FRAME else f"by_{named(field)}"

    def values(self, stored: Document) -> tuple[str | int | None, ...]:
        """Give what the columns of `fields` hold."""
        found = (getattr(stored, field) for field in self.fields)
        return tuple(sortable(value) if isinstance(value, datetime) else value for value in found)

    def statements(self, columns: Sequence[str]) -> dict[str, str]:
        """Give what is to be in the database, by name, when the table has these columns for fields, in this order."""
        name = self.name
        by = "".join(f'"{column}", ' for column in columns)
        declared = {
            name: (
                f'CREATE TABLE "{name}" (institution TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, '
                f"due_at INTEGER, body TEXT NOT NULL, {by}PRIMARY KEY (institution, id))"
            ),
            f"{name}__due": f'CREATE INDEX "{name}__due" ON "{name}" (due_at, id) WHERE due_at IS NOT NULL',
        }
        for index in self.kind.indexes:
            called = self.kind.index_name(index)
            values = ", ".join(self.column(field) for field in index.fields)
            declared[called] = f'CREATE INDEX "{called}" ON "{name}" (institution, {values}, id)'
        if self.kind.counts:
            # Empty for ever. A release that does not keep these counts drops it at its start; so the next one that does
            # knows that columns which only counts need were not filled meanwhile.
            declared[f"{name}__counted"] = f'CREATE INDEX "{name}__counted" ON "{name}" (id) WHERE id IS NULL'
        return declared | dict(self._triggers())

    def _triggers(self) -> Iterator[tuple[str, str]]:
        """Give the triggers that keep the counts, by name: whatever writes a document, the numbers follow in the same
        transaction. A save that leaves the counted columns alone fires none.
        """
        for number, fields in enumerate(self.kind.counts):
            begin, more = f'CREATE TRIGGER "{self.name}__counts_{number}', self._one("NEW", fields)
            table, less = f'"{self.name}"', self._one("OLD", fields)
            yield f"{self.name}__counts_{number}_new", f'{begin}_new" AFTER INSERT ON {table} BEGIN {more} END'
            yield f"{self.name}__counts_{number}_gone", f'{begin}_gone" AFTER DELETE ON {table} BEGIN {less} END'
            if fields:
                columns = ", ".join(map(self.column, fields))
                moved = " OR ".join(f"OLD.{one} IS NOT NEW.{one}" for one in map(self.column, fields))
                on = f"AFTER UPDATE OF {columns} ON {table} WHEN {moved}"
                yield f"{self.name}__counts_{number}_moved", f'{begin}_moved" {on} BEGIN {less} {more} END'

    def _one(self, row: str, fields: Sequence[str]) -> str:
        """Give the SQL that counts a trigger's row: one more for NEW, one less for OLD."""
        institution, value, by = f"{row}.institution", self._value(fields, f"{row}."), " ".join(fields)
        if row == "NEW":
            return (
                "INSERT INTO counts (kind, institution, fields, value, number) "  # noqa: S608 - checked names only
                f"VALUES ('{self.name}', {institution}, '{by}', {value}, 1) "
                "ON CONFLICT DO UPDATE SET number = number + 1;"
            )
        of = f"kind = '{self.name}' AND institution = {institution} AND fields = '{by}' AND value = {value}"
        return (
            f"UPDATE counts SET number = number - 1 WHERE {of}; "  # noqa: S608
            f"DELETE FROM counts WHERE {of} AND number = 0;"
        )

    def _value(self, fields: Sequence[str], row: str = "") -> str:
        return f"json_array({', '.join(f'{row}{self.column(field)}' for field in fields)})"

    def counting(self) -> Iterator[str]:
        """Give the SQL that makes the kept counts of this kind anew from its rows."""
        yield f"DELETE FROM counts WHERE kind = '{self.name}'"  # noqa: S608
        for fields in self.kind.counts:
            yield (
                "INSERT INTO counts (kind, institution, fields, value, number) "  # noqa: S608 - checked names only
                f"SELECT '{self.name}', institution, '{' '.join(fields)}', value, number FROM ({self.counted(fields)})"
            )

    def counted(self, fields: Sequence[str]) -> str:
        """Give the SQL that counts all rows by these fields: (institution, value, number)."""
        of_each = ", ".join(["institution", *map(self.column, fields)])
        return (
            f"SELECT institution, {self._value(fields)} AS value, count(*) AS number "  # noqa: S608 - checked names only
            f'FROM "{self.name}" GROUP BY {of_each}'
        )

    def filling(self, columns: Sequence[str]) -> str:
        """Give the SQL that fills these columns from the bodies, and empties those that no index needs any more."""
        wanted = {}
        for field, column in zip(self.fields, self.columns, strict=True):
            value = f"json_extract(body, '$.{named(field)}')"
            wanted[column] = f"rtrim({value}, 'Z')" if field in self.kind.datetimes else value
        filled = ", ".join(f'"{column}"' for column in columns)
        of_bodies = ", ".join(wanted.get(column, "NULL") for column in columns)
        # Rows that are right are not written anew: mostly all are.
        return f'UPDATE "{self.name}" SET ({filled}) = ({of_bodies}) WHERE ({filled}) IS NOT ({of_bodies})'  # noqa: S608


@cache
def table_of(kind: type[Document]) -> Table:
    """Give a kind's table. ValueError as `kind_of`."""
    known = kind_of(kind)
    needed = {field for fields in (*(index.fields for index in known.indexes), *known.counts) for field in fields}
    return Table(known, tuple(sorted(needed.difference(_FRAME))))


def prepare(connection: sqlite3.Connection, kinds: Sequence[type[Document]]) -> None:
    """Create what is missing; make indexes and counts that differ anew and drop those that nobody declares any more.

    A table that differs otherwise is told by `drift`: only a person may decide about data.
    """
    for name, declared in (("outbox", OUTBOX), ("counts", COUNTS)):
        changes = _differences(connection, name, declared)
        _drop(connection, changes)
        _create(connection, changes)
    for table in map(table_of, kinds):
        there = _columns(connection, table.name)
        missing = [column for column in table.columns if column not in there]
        if _present(connection, table.name):
            for column in missing:
                connection.execute(f'ALTER TABLE "{table.name}" ADD COLUMN "{column}"')
        columns = there + missing
        changes = _differences(connection, table.name, table.statements(columns))
        _drop(connection, changes)
        # Also a column that was there: a release that did not know of it may have written meanwhile.
        if changes and columns and _present(connection, table.name):
            connection.execute(table.filling(columns))
        _create(connection, changes)
        if changes or not _adds_up(connection, table):  # the rest a file is not searched for at each start
            for sql in table.counting():
                connection.execute(sql)


def drift(connection: sqlite3.Connection, kinds: Sequence[type[Document]]) -> list[str]:
    """Tell in plain sentences how the database differs from what is declared."""
    changes = _differences(connection, "outbox", OUTBOX) + _differences(connection, "counts", COUNTS)
    told = []
    for table in map(table_of, kinds):
        there = _columns(connection, table.name)
        of_table = _differences(connection, table.name, table.statements(there))
        if _present(connection, table.name):
            told += [f"The column {one} of {table.name} is missing." for one in table.columns if one not in there]
        if not (changes or of_table or told):
            told += _miscounted(connection, table)
        changes += of_table
    for name, declared, present in changes:
        what = (declared or present).split()[1].lower()
        if not present:
            told.append(f"The {what} {name} is missing.")
        elif not declared:
            told.append(f"The {what} {name} is there, but nothing declares it.")
        else:
            told.append(f"The {what} {name} is not as declared: it is `{present}`.")
    return told


def _adds_up(connection: sqlite3.Connection, table: Table) -> bool:
    """Tell whether as many documents are counted as there are."""
    if not table.kind.counts:
        return True
    kept = "SELECT coalesce(sum(number), 0) FROM counts WHERE kind = ? AND fields = ?"
    (there,) = connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()  # noqa: S608 - checked names only
    of_each = (connection.execute(kept, (table.name, " ".join(fields))).fetchone() for fields in table.kind.counts)
    return all(counted == there for (counted,) in of_each)


def _miscounted(connection: sqlite3.Connection, table: Table) -> Iterator[str]:
    """Go through all documents and tell which kept counts are wrong."""
    kept = "SELECT institution, value, number FROM counts WHERE kind = ? AND fields = ?"
    for fields in table.kind.counts:
        counted = connection.execute(table.counted(fields)).fetchall()
        if sorted(counted) != sorted(connection.execute(kept, (table.name, " ".join(fields))).fetchall()):
            yield (
                f"The kept counts of {table.name} by {', '.join(fields) or 'institution'} are wrong. Stop the service "
                "and delete all rows of the table counts: at its next start they are counted again."
            )


def _present(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,))
    return dict(rows.fetchall())


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Give a table's columns for fields, in their order."""
    rows = connection.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,)).fetchall()
    return [name for (name,) in rows if name.startswith("by_")]


def _differences(connection: sqlite3.Connection, table: str, declared: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Give what differs: (name, SQL that is declared or empty, SQL that is present or empty)."""
    present = _present(connection, table)
    names = [*declared, *(present.keys() - declared.keys())]
    found = ((name, declared.get(name, ""), present.get(name, "")) for name in names)
    return [one for one in found if one[1] != one[2]]


def _drop(connection: sqlite3.Connection, changes: Sequence[tuple[str, str, str]]) -> None:
    for name, _, present in changes:
        if present.startswith(("CREATE INDEX", "CREATE TRIGGER")):
            connection.execute(f'DROP {present.split()[1]} "{name}"')


def _create(connection: sqlite3.Connection, changes: Sequence[tuple[str, str, str]]) -> None:
    for _, declared, present in changes:
        if declared and not present.startswith("CREATE TABLE"):
            connection.execute(declared)
