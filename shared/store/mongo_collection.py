"""One institution's documents of one kind in MongoDB. Every write is one operation on one document."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, Literal

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import (
    MOST_VALUES,
    AnyOf,
    Conflict,
    D,
    OneOf,
    OutboxEntry,
    OutboxNotEmpty,
    Page,
    Range,
    Where,
)
from firsthand.shared.store.cursors import cursor, page_by_page, place_of
from firsthand.shared.store.kinds import already_there, check_adopted, check_event, counted_apart, kind_of, questions_of
from firsthand.shared.store.mongo_client import READ_CONCERN
from firsthand.shared.store.mongo_database import COUNTED_EACH_TIME, Database
from firsthand.shared.store.mongo_shape import (
    Raw,
    document,
    key,
    keys_of,
    operand,
    path,
    state,
    version_of,
    waiting_event,
)

_STATE = {"outbox": False, "waiting": False}  # a reader needs no events


class MongoCollection(Generic[D]):
    """One institution's documents of one kind; satisfies `Collection`."""

    def __init__(self, database: Database, kind: type[D], institution: InstitutionId) -> None:
        self._database = database
        self._type = kind
        self._kind = kind_of(kind)
        self._institution = institution

    async def get(self, id_: str) -> D | None:
        with self._database.work() as database:
            raw = await database[self._kind.name].find_one({"_id": key(self._institution, id_)}, _STATE)
        return document(self._type, raw) if raw else None

    async def insert(self, document: D, event: AnyEvent | None = None) -> D:
        stored = self._kind.to_keep(document, 1, self._institution)
        if not await self._add(stored, self._entries(stored, event)):
            raise already_there(stored)
        return stored

    async def save(self, document: D, event: AnyEvent | None = None) -> D:
        stored = self._kind.to_keep(document, document.next_version, self._institution)
        change: dict[str, Raw] = {"$set": state(self._kind, stored)}
        for entry in self._entries(stored, event):
            order = self._database.next_order(urgent=entry.urgent)
            change["$set"][f"outbox.{entry.event_id}"] = waiting_event(order, stored.version, entry)
            change["$min"] = {"waiting": order}
        as_read = {"_id": key(self._institution, document.id), "version": document.version}
        with self._database.work() as database:
            result = await database[self._kind.name].update_one(as_read, change)
        if not result.matched_count:
            raise self._conflict(document.id)
        if event is not None:
            self._database.event_left()
        return stored

    async def put(self, document: D, event: AnyEvent | None = None) -> D:
        return await (self.save(document, event) if document.version else self.insert(document, event))

    async def delete(self, document: D) -> None:
        as_read = {"_id": key(self._institution, document.id), "version": document.version}
        with self._database.work() as database:
            kind = database[self._kind.name]
            if (await kind.delete_one({**as_read, "outbox": {}})).deleted_count:
                return
            there = await kind.find_one(as_read, {"_id": True})
        if there:
            raise OutboxNotEmpty(f"{self._kind.name} {document.id} has events that are not yet published")
        raise self._conflict(document.id)

    async def adopt(self, document: D, waiting: Sequence[OutboxEntry] = ()) -> None:
        check_adopted(document, waiting)
        stored = self._kind.to_keep(document, document.version, self._institution)
        if not await self._add(stored, waiting) and await self.get(stored.id) != stored:
            raise already_there(stored)

    async def find(
        self,
        where: Where | AnyOf | None = None,
        *,
        sort: str = "id",
        order: Literal["asc", "desc"] = "asc",
        limit: int = 100,
        after: str | None = None,
    ) -> Page[D]:
        if limit < 1:
            raise ValueError("a page holds at least one document")
        field, way = path(sort), DESCENDING if order == "desc" else ASCENDING
        by = [("_id", way)] if sort == "id" else [(field, way), ("_id", way)]
        narrowed: list[Raw] = [] if sort == "id" else [{field: {"$ne": None}}]
        if after is not None:
            value, id_ = place_of(after, sort, order)
            beyond, last = "$lt" if order == "desc" else "$gt", key(self._institution, id_)
            narrowed += (
                [{"_id": {beyond: last}}]
                if sort == "id"
                else [{field: {f"{beyond}e": value}}, {"$or": [{field: {beyond: value}}, {"_id": {beyond: last}}]}]
            )
        most, each = MOST_VALUES, []
        for one in questions_of(where):
            each.append({"$and": [*self._conditions(one, sort, most=most), *narrowed]})
            most -= len(self._kind.each_of(one))
        with self._database.work() as database:
            found = database[self._kind.name].find(_any_of(each), _STATE).sort(by).limit(limit + 1)
            raws: list[Raw] = await found.to_list(limit + 1)
        items = [document(self._type, raw) for raw in raws[:limit]]
        if len(raws) <= limit:
            return Page(items, None)
        value = items[-1].id if sort == "id" else _at(raws[limit - 1], field)
        return Page(items, cursor(sort, order, value, items[-1].id))

    async def count(self, where: Where | AnyOf | None = None) -> int:
        if isinstance(where, AnyOf):
            return sum([often * await self.count(one) for often, one in counted_apart(where)])
        asked = where or {}
        query = {"$and": self._conditions(asked, "id", counting=True)}
        if self._kind.kept_count(asked) is None:
            return await self._count(query)
        few = await self._count(query, limit=COUNTED_EACH_TIME)
        if few < COUNTED_EACH_TIME:
            return few
        return await self._database.remembered((self._kind.name, repr(query)), lambda: self._count(query))

    async def _count(self, query: Raw, **options: int) -> int:
        asked = {"query": query, "readConcern": {"level": READ_CONCERN}, **options}
        with self._database.work() as database:  # the driver's own counting is an aggregation
            return int((await database.command("count", self._kind.name, **asked))["n"])

    def all(self) -> AsyncIterator[D]:
        return page_by_page(self)

    async def _add(self, stored: D, waiting: Sequence[OutboxEntry]) -> bool:
        """Insert a document with the events that wait. False when its id is taken."""
        raw: Raw = {
            "_id": key(self._institution, stored.id),
            "institution": self._institution,
            **state(self._kind, stored),
            "outbox": {},
        }
        for entry in waiting:
            order = self._database.next_order(urgent=entry.urgent)
            raw["waiting"] = min(order, raw.get("waiting", order))
            raw["outbox"][entry.event_id] = waiting_event(order, version_of(entry), entry)
        try:
            with self._database.work() as database:
                await database[self._kind.name].insert_one(raw)
        except DuplicateKeyError:
            return False
        if waiting:
            self._database.event_left()
        return True

    def _conditions(self, where: Where, sort: str, *, most: int = MOST_VALUES, counting: bool = False) -> list[Raw]:
        """Give the conditions of one institution's documents. ValueError when no declared index serves them."""
        self._kind.each_of(where, most=most)  # refuses too many combinations
        if not where and sort == "id":
            return [{"_id": keys_of(self._institution)}]
        if not counting or self._kind.kept_count(where) is None:
            self._kind.index_for(where, sort)
        conditions: list[Raw] = [{"institution": self._institution}]
        for name, test in where.items():
            if isinstance(test, Range):
                bounds: Raw = {"$ne": None}
                if test.from_ is not None:
                    bounds["$gte"] = operand(self._kind, self._institution, name, test.from_)
                if test.to is not None:
                    bounds["$lt"] = operand(self._kind, self._institution, name, test.to)
                conditions.append({path(name): bounds})
            elif isinstance(test, OneOf):
                some = [operand(self._kind, self._institution, name, value) for value in test.values]
                conditions.append({path(name): {"$in": some}})
            else:
                conditions.append({path(name): operand(self._kind, self._institution, name, test)})
        return conditions

    def _entries(self, stored: D, event: AnyEvent | None) -> list[OutboxEntry]:
        """Make what the outbox keeps of an event. ValueError unless it is this document's next state."""
        if event is None:
            return []
        check_event(event, stored)
        named = (self._kind.name, self._institution, stored.id)
        return [OutboxEntry(*named, event.id, event.nats_subject, event.wire(), event.time, event.urgent)]

    def _conflict(self, id_: str) -> Conflict:
        return Conflict(f"{self._kind.name} {id_} of {self._institution} is not at the version that was read")


def _any_of(each: list[Raw]) -> Raw:
    """Join questions, so that the server merges their indexes: with nothing beside the `$or`."""
    if not each:
        return {"_id": {"$in": []}}
    return each[0] if len(each) == 1 else {"$or": each}


def _at(raw: Raw, where: str) -> Any:
    value: Any = raw
    for name in where.split("."):
        value = value[name]
    return value
