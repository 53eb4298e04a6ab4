"""From what `find` and `count` are asked to SQL that a declared index answers, and the cursors of pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import Range, Scalar
from firsthand.shared.store.cursors import Order, cursor, place_of
from firsthand.shared.store.sqlite_schema import Table, sortable


@dataclass
class Conditions:
    """What follows FROM, and its parameters in the same order."""

    source: str
    texts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, text: str, *values: Any) -> None:
        self.texts.append(text)
        self.values.extend(values)

    def sql(self) -> str:
        return f"{self.source} WHERE {' AND '.join(self.texts)}"


def _source(table: Table, where: Mapping[str, Scalar | Range], sort: str) -> str:
    """Give the table, and by which index to read it; ValueError when no declared one serves.

    It is named to SQLite, which without statistics would rather walk through all documents in the order of their ids.
    """
    index = table.kind.index_for(where, sort)
    return f'"{table.name}"' if index is None else f'"{table.name}" INDEXED BY "{table.kind.index_name(index)}"'


def _operand(table: Table, name: str, value: Scalar) -> str | int | None:
    table.kind.check_operand(name, value)
    return sortable(value) if isinstance(value, datetime) else value


def conditions(
    table: Table, institution: InstitutionId, where: Mapping[str, Scalar | Range], sort: str = "id"
) -> Conditions:
    """Give the conditions of one institution's documents. ValueError when no declared index serves them."""
    given = Conditions(_source(table, where, sort))
    given.add("institution = ?", institution)
    for name, test in where.items():
        value = table.column(name)
        if isinstance(test, Range):
            given.add(f"{value} IS NOT NULL")
            if test.from_ is not None:
                given.add(f"{value} >= ?", _operand(table, name, test.from_))
            if test.to is not None:
                given.add(f"{value} < ?", _operand(table, name, test.to))
        elif test is None:
            given.add(f"{value} IS NULL")
        else:
            given.add(f"{value} = ?", _operand(table, name, test))
    return given


@dataclass(frozen=True)
class Query:
    """One page: SQL whose rows are (body, sort value, id), one more than the page holds when there is a next one."""

    sql: str
    values: tuple[Any, ...]
    sort: str
    order: Order
    limit: int

    def cursor(self, value: str | int, id_: str) -> str:
        return cursor(self.sort, self.order, value, id_)


def page_query(
    table: Table,
    institution: InstitutionId,
    where: Mapping[str, Scalar | Range],
    *,
    sort: str,
    order: Order,
    limit: int,
    after: str | None,
) -> Query:
    """Build the query of one page. ValueError for what no declared index serves or a limit under one; NoSuchPlace."""
    if limit < 1:
        raise ValueError("a page holds at least one document")
    given = conditions(table, institution, where, sort)
    value = table.column(sort)
    way, beyond = ("DESC", "<") if order == "desc" else ("ASC", ">")
    by = f"id {way}" if sort == "id" else f"{value} {way}, id {way}"
    if sort != "id":
        given.add(f"{value} IS NOT NULL")
    if after is not None:
        last, id_ = place_of(after, sort, order)
        given.add(f"{value} {beyond}= ?", last)
        given.add(f"({value}, id) {beyond} (?, ?)", last, id_)
    sql = f"SELECT body, {value}, id FROM {given.sql()} ORDER BY {by} LIMIT ?"  # noqa: S608 - checked names only
    return Query(sql, (*given.values, limit + 1), sort, order, limit)
