"""From what `find` and `count` are asked to SQL that a declared index answers, and the cursors of pages."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from shared.identifiers import InstitutionId
from shared.store import NoSuchPlace, Range, Scalar
from shared.store.sqlite_schema import Table, sortable

Order = Literal["asc", "desc"]
_INTEGER: Final = 2**63  # what SQLite keeps as one


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
    """Give the table, and by which index to read it: the shortest declared one that serves.

    It serves when it leads with the equalities and goes on with the range or sort; ValueError when none does. It is
    named to SQLite, which without statistics would rather walk through all documents in the order of their ids.
    """
    ranges = [name for name, test in where.items() if isinstance(test, Range)]
    equal = {name for name in where if name not in ranges}
    following = {*ranges, *({sort} if sort != "id" else set())}
    if not where and not following:
        return f'"{table.name}"'
    for index in sorted(table.indexes, key=lambda index: len(index.fields)):
        leading, rest = index.fields[: len(equal)], index.fields[len(equal) :]
        if set(leading) == equal and (not following or following == set(rest[:1])):
            return f'"{table.name}" INDEXED BY "{table.index_name(index)}"'
    asked = ", ".join(
        [*(f"{name} equal" for name in sorted(equal)), *(f"{name} by range or sort" for name in following)]
    )
    raise ValueError(f"{table.name} declares no index for {asked}")


def _operand(table: Table, name: str, value: Scalar) -> str | int | None:
    if isinstance(value, datetime):
        return sortable(value)
    if name in table.datetimes and value is not None:
        raise ValueError(f"{name} holds a time; {type(value).__name__} is none")
    return value


def conditions(
    table: Table, institution: InstitutionId, where: Mapping[str, Scalar | Range], sort: str = "id"
) -> Conditions:
    """Give the conditions of one institution's documents. ValueError when no declared index serves them."""
    given = Conditions(_source(table, where, sort))
    given.add("institution = ?", institution)
    for name, test in where.items():
        value = table.expression(name)
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
        """Name the place after a row: its sort value and id, so that inserts elsewhere move nothing."""
        place = json.dumps([self.sort, self.order, value, id_], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str, sort: str, order: Order) -> tuple[str | int, str]:
    """Read a cursor. Raises NoSuchPlace unless it is one of a find with this sort and order."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(place, ensure_ascii=False).encode()  # half a character is no text that a database takes
    except (ValueError, RecursionError) as error:
        raise NoSuchPlace("this is no cursor of a page") from error
    match place:
        case [str(of), str(way), str() | int() as value, str(id_)] if (of, way) == (sort, order) and _fits(value):
            return value, id_
    raise NoSuchPlace("this cursor belongs to a page of another find")


def _fits(value: str | int) -> bool:
    return isinstance(value, str) or -_INTEGER <= value < _INTEGER


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
    value = table.expression(sort)
    way, beyond = ("DESC", "<") if order == "desc" else ("ASC", ">")
    by = f"id {way}" if sort == "id" else f"{value} {way}, id {way}"
    if sort != "id":
        given.add(f"{value} IS NOT NULL")
    if after is not None:
        last, id_ = _place(after, sort, order)
        given.add(f"{value} {beyond}= ?", last)
        given.add(f"({value}, id) {beyond} (?, ?)", last, id_)
    sql = f"SELECT body, {value}, id FROM {given.sql()} ORDER BY {by} LIMIT ?"  # noqa: S608 - checked names only
    return Query(sql, (*given.values, limit + 1), sort, order, limit)
