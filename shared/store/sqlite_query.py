"""From what `find` and `count` are asked to SQL that a declared index answers, and the cursors of pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import MOST_VALUES, AnyOf, Range, Scalar, Where
from firsthand.shared.store.cursors import Order, cursor, place_of
from firsthand.shared.store.kinds import questions_of
from firsthand.shared.store.sqlite_schema import Table, sortable

_MERGED: Final = 500  # walks in one SELECT: SQLite takes no more, nor a sum of more than 1,000


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


def _source(table: Table, where: Where, sort: str) -> str:
    """Give the table, and by which index to read it; ValueError when no declared one serves.

    It is named to SQLite, which without statistics would rather walk through all documents in the order of their ids.
    """
    index = table.kind.index_for(where, sort)
    return f'"{table.name}"' if index is None else f'"{table.name}" INDEXED BY "{table.kind.index_name(index)}"'


def _operand(table: Table, name: str, value: Scalar) -> str | int | None:
    table.kind.check_operand(name, value)
    return sortable(value) if isinstance(value, datetime) else value


def conditions(
    table: Table, institution: InstitutionId, where: Where, sort: str = "id", *, most: int = MOST_VALUES
) -> list[Conditions]:
    """Give the conditions of one institution's documents, for each combination of values one; none when there is none.

    ValueError when no declared index serves them.
    """
    source = _source(table, where, sort)
    return [_conditions(table, institution, one, source) for one in table.kind.each_of(where, most=most)]


def _conditions(
    table: Table, institution: InstitutionId, where: Mapping[str, Scalar | Range], source: str
) -> Conditions:
    given = Conditions(source)
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


def count_queries(table: Table, institution: InstitutionId, where: Where) -> list[tuple[str, tuple[Any, ...]]]:
    """Build the SQL that counts, and its values: statements whose counts add up. ValueError as `conditions`."""
    return [_sum_of(some) for some in _some_at_once(conditions(table, institution, where))]


def _sum_of(given: Sequence[Conditions]) -> tuple[str, tuple[Any, ...]]:
    sums = " + ".join(f"(SELECT count(*) FROM {one.sql()})" for one in given)  # noqa: S608 - checked names only
    return f"SELECT {sums}", tuple(value for one in given for value in one.values)


def _some_at_once(given: Sequence[Conditions]) -> list[Sequence[Conditions]]:
    return [given[start : start + _MERGED] for start in range(0, len(given), _MERGED)]


def kept_count_query(
    table: Table, institution: InstitutionId, where: Where, fields: tuple[str, ...]
) -> tuple[str, tuple[Any, ...]]:
    """Build the SQL that adds up kept counts, and its values. ValueError as `conditions`."""
    asked = [[_operand(table, name, one[name]) for name in fields] for one in table.kind.each_of(where)]  # type: ignore[arg-type]
    marks = ", ".join([f"json_array({', '.join('?' for _ in fields)})"] * len(asked))
    sql = (
        "SELECT coalesce(sum(number), 0) FROM counts "  # noqa: S608 - marks only
        f"WHERE kind = ? AND institution = ? AND fields = ? AND value IN ({marks})"
    )
    return sql, (table.name, institution, " ".join(fields), *(value for values in asked for value in values))


Row = tuple[str, str | int, str]  # body, sort value, id


@dataclass(frozen=True)
class Query:
    """One page: statements that each give their first rows, one more than the page holds when there is a next one."""

    statements: list[tuple[str, tuple[Any, ...]]]
    sort: str
    order: Order
    limit: int

    def first(self, found: Sequence[Sequence[Row]]) -> tuple[list[Row], str | None]:
        """Give the page's rows, of those that each statement found, and the cursor of the next page."""
        rows = list(found[0]) if len(found) == 1 else self._merged(found)
        more = len(rows) > self.limit
        return rows[: self.limit], cursor(self.sort, self.order, *rows[self.limit - 1][1:]) if more else None

    def _merged(self, found: Sequence[Sequence[Row]]) -> list[Row]:
        each = {id_: (body, value, id_) for rows in found for body, value, id_ in rows}  # found by several: once
        return sorted(each.values(), key=lambda row: row[1:], reverse=self.order == "desc")[: self.limit + 1]


def page_query(
    table: Table,
    institution: InstitutionId,
    where: Where | AnyOf | None,
    *,
    sort: str,
    order: Order,
    limit: int,
    after: str | None,
) -> Query:
    """Build the query of one page; it has no statement when it asks for no value. ValueError for what no declared index
    serves or a limit under one; NoSuchPlace.
    """
    if limit < 1:
        raise ValueError("a page holds at least one document")
    place = None if after is None else place_of(after, sort, order)
    each: list[Conditions] = []
    for one in questions_of(where):
        each += conditions(table, institution, one, sort, most=MOST_VALUES - len(each))
    value = table.column(sort)
    way, beyond = ("DESC", "<") if order == "desc" else ("ASC", ">")
    for given in each:
        if sort != "id":
            given.add(f"{value} IS NOT NULL")
        if place is not None:
            last, id_ = place
            given.add(f"{value} {beyond}= ?", last)
            given.add(f"({value}, id) {beyond} (?, ?)", last, id_)
    if len(each) == 1:
        by = f"id {way}" if sort == "id" else f"{value} {way}, id {way}"
        sql = f"SELECT body, {value}, id FROM {each[0].sql()} ORDER BY {by} LIMIT ?"  # noqa: S608 - checked names only
        return Query([(sql, (*each[0].values, limit + 1))], sort, order, limit)
    # SQLite walks the index once for each and merges: only the entries of this page are read, and then their bodies.
    by = f"place {way}, one {way}"
    union = " UNION " if isinstance(where, AnyOf) else " UNION ALL "
    statements = []
    for some in _some_at_once(each):
        walks = union.join(f"SELECT {value} AS place, id AS one FROM {given.sql()}" for given in some)  # noqa: S608
        sql = (
            f"SELECT body, place, one FROM ({walks} ORDER BY {by} LIMIT ?) "  # noqa: S608
            f'CROSS JOIN "{table.name}" AS of_page ON of_page.institution = ? AND of_page.id = one ORDER BY {by}'
        )
        values = [value for given in some for value in given.values]
        statements.append((sql, (*values, limit + 1, institution)))
    return Query(statements, sort, order, limit)
