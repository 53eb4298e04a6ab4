"""The adapter of the storage port for MongoDB: a database a service, which all its replicas share.

Single-document operations only, no aggregation, no server-side code, no partial index: a replica set or a sharded
cluster serves unchanged (shard key `_id`). docs/decisions/0013-mongo.md has the why.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import OperationFailure

from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import D, Document, OutboxEntry, Store
from firsthand.shared.store.kinds import Kind, kind_of
from firsthand.shared.store.mongo_client import Address, Driver
from firsthand.shared.store.mongo_collection import MongoCollection
from firsthand.shared.store.mongo_database import Database
from firsthand.shared.store.mongo_shape import URGENT_BELOW, document, key, path, sortable, waiting_events
from firsthand.shared.store.versions import Readable

_KEY: Final = [("_id", ASCENDING)]
_INDEX_NOT_FOUND: Final = 27


class MongoStore:
    """A service's database in MongoDB. Made by `open`; satisfies `Store`."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database
        self._readable = Readable()
        self._kinds: dict[str, Kind] = {}  # those of which this process was told

    @classmethod
    async def open(cls, url: str, name: str, clock: Clock, *, driver: Driver = "motor") -> Self:
        """Open the database `<prefix>_<name>`, prefix being the address's path. Raises StoreUnavailable.

        `clock` gives events their place in the order of saves.
        """
        address = Address(url)
        store = cls(Database(address, f"{address.prefix}_{name}", clock, driver))
        try:
            await store.ping()
        except BaseException:
            await store.close()
            raise
        return store

    def collection(self, kind: type[D], institution: InstitutionId) -> MongoCollection[D]:
        self._kinds.setdefault(kind.kind, kind_of(kind))
        return MongoCollection(self._database, kind, institution)

    async def prepare(self, kinds: Sequence[type[Document]]) -> None:
        differing = await self._differences(kinds)
        if not differing:
            return
        async with self._database.patient_work() as database:
            for one in differing:
                if one.present:
                    try:
                        await database[one.kind].drop_index(one.name)
                    except OperationFailure as error:
                        if error.code != _INDEX_NOT_FOUND:  # another replica that starts now was first
                            raise
                if one.declared:
                    await database[one.kind].create_index(one.declared, name=one.name)

    async def drift(self, kinds: Sequence[type[Document]]) -> list[str]:
        told = []
        for one in await self._differences(kinds):
            if not one.present:
                told.append(f"The index {one.name} is missing.")
            elif not one.declared:
                told.append(f"The index {one.name} is there, but nothing declares it.")
            else:
                told.append(f"The index {one.name} is not as declared: it is {one.present}.")
        return told

    async def due(self, kind: type[D], now: datetime, limit: int = 100) -> list[D]:
        come = {path("due_at"): {"$lte": sortable(now)}}
        with self._database.work() as database:
            found = database[kind.kind].find(come, {"outbox": False}).sort([(path("due_at"), ASCENDING), *_KEY])
            rows = self._readable.rows(kind.kind, limit)
            raws = await found.limit(rows).to_list(rows)
        return self._readable.of(kind.kind, (partial(document, kind, raw) for raw in raws), limit)

    async def outbox(self, limit: int = 256, *, urgent: bool | None = None) -> list[OutboxEntry]:
        places = {"$gt": 0, "$lt": URGENT_BELOW} if urgent else {"$gt": 0}
        found = await asyncio.gather(*(self._waiting(kind, places, limit) for kind in self._kinds.values()))
        in_order = sorted((event for events in found for event in events), key=lambda event: event[0])
        return [entry for _, entry in in_order if urgent is None or entry.urgent is urgent][:limit]

    async def published(self, entries: Sequence[OutboxEntry]) -> None:
        changes: dict[str, list[UpdateOne]] = {}
        for entry in entries:
            gone = {"$unset": {f"outbox.{entry.event_id}": True}}
            changes.setdefault(entry.kind, []).append(UpdateOne(_of(entry), gone))
        for entry in entries:  # the flag goes where nothing waits any more
            changes[entry.kind].append(_unflag(_of(entry)))
        for kind, writes in changes.items():
            with self._database.work() as database:
                await database[kind].bulk_write(writes)

    def on_outbox(self, wake: Callable[[], None]) -> None:
        self._database.on_event_left(wake)

    def behind(self) -> float:
        return 0.0

    async def institutions(self, kind: type[Document]) -> list[InstitutionId]:
        """From one institution to the next by the key, however many documents each has."""
        found: list[InstitutionId] = []
        beyond = ""
        with self._database.work() as database:
            while raw := await database[kind.kind].find_one(
                {"_id": {"$gte": beyond}}, {"institution": True}, sort=_KEY
            ):
                found.append(InstitutionId(raw["institution"]))
                beyond = f"{raw['institution']}0"  # the first text after all that begin with "<institution>/"
        return sorted(found)

    async def ping(self) -> None:
        """Ask the primary, which a write would need."""
        with self._database.work() as database:
            await database.command("ping")

    async def compact(self) -> None:
        """Nothing is to be done: what was overwritten leaves the server's journal and oplog by their own limits.

        What it held is sealed with keys that are destroyed; docs/operate.md says how long traces of keys stay.
        """
        with self._database.work():
            pass

    async def close(self) -> None:
        await self._database.close()

    async def _waiting(self, kind: Kind, places: dict[str, int], limit: int) -> list[tuple[int, OutboxEntry]]:
        """Read the oldest outboxes of a kind, and take off flags that a crash left: many of them would hide events."""
        while True:
            with self._database.work() as database:
                found = database[kind.name].find({"waiting": places}, {"institution": True, "outbox": True})
                raws = await found.sort([("waiting", ASCENDING)]).limit(limit).to_list(limit)
            left = [_unflag({"_id": raw["_id"]}) for raw in raws if not raw["outbox"]]
            if not left:
                return [event for raw in raws for event in waiting_events(kind, raw)]
            with self._database.work() as database:
                await database[kind.name].bulk_write(left)

    async def _differences(self, kinds: Sequence[type[Document]]) -> list["_Difference"]:
        found: list[_Difference] = []
        for kind in map(kind_of, kinds):
            self._kinds[kind.name] = kind
            with self._database.work() as database:
                information = await database[kind.name].index_information()
            present = {name: _present(told) for name, told in information.items() if name != "_id_"}
            wanted = _declared(kind)
            found += [
                _Difference(kind.name, name, wanted.get(name, []), present.get(name, {}))
                for name in [*wanted, *(present.keys() - wanted.keys())]
                if name not in wanted or present.get(name) != {"key": wanted[name]}
            ]
        return found


@dataclass(frozen=True)
class _Difference:
    """An index that is not as declared. Nothing declared, or nothing present, is empty."""

    kind: str
    name: str
    declared: list[tuple[str, int]]
    present: dict[str, Any]


def _declared(kind: Kind) -> dict[str, list[tuple[str, int]]]:
    """Give what is to be there, by name: the declared indexes, institution first, those by which kept counts
    are counted, and the frame's own two.
    """
    declared = {
        f"{kind.name}__due": [(path("due_at"), ASCENDING), *_KEY],
        f"{kind.name}__waiting": [("waiting", ASCENDING)],
    }
    for index in kind.indexes:
        fields = [(path(field), ASCENDING) for field in index.fields]
        declared[kind.index_name(index)] = [("institution", ASCENDING), *fields, *_KEY]
    for number, counted in enumerate(kind.counts):
        if not kind.has_index_for(dict.fromkeys(counted)):
            fields = [(path(field), ASCENDING) for field in counted]
            declared[f"{kind.name}__counts_{number}"] = [("institution", ASCENDING), *fields, *_KEY]
    return declared


def _present(told: dict[str, Any]) -> dict[str, Any]:
    """Give an index's keys, and options that change what it does (unique, partial, expiring ...)."""
    keys = [(field, int(way) if isinstance(way, int | float) else way) for field, way in told["key"]]
    return {"key": keys} | {name: value for name, value in told.items() if name not in {"key", "v", "ns", "background"}}


def _of(entry: OutboxEntry) -> dict[str, Any]:
    return {"_id": key(entry.institution, entry.document_id)}


def _unflag(document: dict[str, Any]) -> UpdateOne:
    """Take the flag off, if nothing waits."""
    return UpdateOne(document | {"outbox": {}}, {"$unset": {"waiting": True}})


if TYPE_CHECKING:

    def _satisfies(store: MongoStore) -> Store:
        return store


__all__ = ["MongoCollection", "MongoStore"]
