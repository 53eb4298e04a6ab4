"""Insert, get, versioned save, indexed find through the storage port beside the bare driver in the same run; aim 0.7.

Both sides keep the same typed documents (pydantic, about 1.2 kB) and are asked by as many tasks at once, in turns; the
median of the turns counts. What a turn wrote and found is checked.

Floors, each as somebody would write it by hand who needs no port: no event, no outbox, no institution, no cursor.
    sqlite  `sqlite3`, WAL, FULL, in a thread: a statement a document with its JSON, one transaction for all writes
            that wait; a find by an index over a column
    mongo   motor, majority and journal: the document as BSON; an update that asks for the version; a find by an index

MongoDB is the server that FIRSTHAND_MONGO_URL names, else a FerretDB that `.ci/ferretdb` builds, else not measured.
"""

import asyncio
import contextlib
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import uvloop
from bson.codec_options import CodecOptions
from pydantic import AwareDatetime, BaseModel

from firsthand.shared.clock import SystemClock
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.store import Document, Index, Store
from firsthand.shared.store.mongo import MongoStore
from firsthand.shared.store.mongo_client import Address
from firsthand.shared.store.sqlite import SqliteStore

_DOCUMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 5000  # a multiple of 1000
_TURNS = 5
_AT_ONCE = 32
_PAGE = 20  # documents that a find gives
_ON_FERRETDB = 50  # it walks through a collection even for one id: so many times fewer documents
_AIM = 0.7
_CLOCK = SystemClock()
_DOHA = InstitutionId("bench-dental")
_ROOT = Path(__file__).parent.parent


class Person(BaseModel):
    person_id: str
    role: str
    says_yes_to: list[str] = []


class Visit(Document):
    kind: ClassVar[str] = "visit"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("case_id", "starts_at"),)

    case_id: str
    starts_at: AwareDatetime
    state: str = "planned"
    seats: int = 0
    note: str = "x" * 400
    people: list[Person] = []


def _visits(turn: int, documents: int) -> list[Visit]:
    people = [Person(person_id=new_id(), role="student", says_yes_to=["audio", "video"]) for _ in range(6)]
    return [
        Visit(
            id=f"{turn}-{n:06}",
            institution=_DOHA,
            case_id=f"case-{turn}-{n % (documents // _PAGE)}",
            starts_at=_CLOCK.now(),
            people=people,
        )
        for n in range(documents)
    ]


class Side(Protocol):
    """One way to keep visits."""

    async def insert(self, visit: Visit) -> None: ...
    async def get(self, id_: str) -> Visit: ...
    async def save(self, visit: Visit) -> None: ...
    async def find(self, case_id: str) -> list[Visit]: ...


class Ours:
    def __init__(self, store: Store) -> None:
        self._visits = store.collection(Visit, _DOHA)

    async def insert(self, visit: Visit) -> None:
        await self._visits.insert(visit)

    async def get(self, id_: str) -> Visit:
        found = await self._visits.get(id_)
        assert found is not None
        return found

    async def save(self, visit: Visit) -> None:
        await self._visits.save(visit)

    async def find(self, case_id: str) -> list[Visit]:
        return (await self._visits.find({"case_id": case_id}, sort="starts_at")).items


class BareSqlite:
    """While one transaction is committed, the writes of the next one gather; a get is answered where it is asked."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE visit (id TEXT PRIMARY KEY, "
            "version INTEGER, case_id TEXT, starts_at TEXT, body TEXT); "
            "CREATE INDEX by_case ON visit (case_id, starts_at)"
        )
        self._reading = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._thread = ThreadPoolExecutor(1)
        self._finding = ThreadPoolExecutor(1)
        self._waiting: list[tuple[str, tuple[Any, ...], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def insert(self, visit: Visit) -> None:
        stored = visit.model_copy(update={"version": 1})
        row = (stored.id, 1, stored.case_id, stored.starts_at.isoformat(), stored.model_dump_json())
        await self._write("INSERT INTO visit VALUES (?, ?, ?, ?, ?)", row)

    async def get(self, id_: str) -> Visit:
        (body,) = self._reading.execute("SELECT body FROM visit WHERE id = ?", (id_,)).fetchone()
        return Visit.model_validate_json(body)

    async def save(self, visit: Visit) -> None:
        stored = visit.model_copy(update={"version": visit.version + 1})
        row = (stored.version, stored.model_dump_json(), stored.id, visit.version)
        await self._write("UPDATE visit SET version = ?, body = ? WHERE id = ? AND version = ?", row)

    async def find(self, case_id: str) -> list[Visit]:
        def read() -> list[Visit]:
            asked = "SELECT body FROM visit WHERE case_id = ? ORDER BY starts_at LIMIT 100"
            return [Visit.model_validate_json(body) for (body,) in self._reading.execute(asked, (case_id,)).fetchall()]

        return await asyncio.get_running_loop().run_in_executor(self._finding, read)

    async def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sql, values, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all())
        await done

    async def _commit_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            statements = [(sql, values) for sql, values, _ in batch]
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, statements)
            for _, _, done in batch:
                done.set_result(None)

    def _commit(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            assert self._database.execute(sql, values).rowcount == 1
        self._database.execute("COMMIT")


class BareMongo:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._visits = client["bench_bare"].get_collection("visit", CodecOptions(tz_aware=True))

    async def prepare(self) -> Self:
        await self._visits.create_index([("case_id", 1), ("starts_at", 1)])
        return self

    async def insert(self, visit: Visit) -> None:
        await self._visits.insert_one({"_id": visit.id, **visit.model_dump(), "version": 1})

    async def get(self, id_: str) -> Visit:
        return Visit.model_validate(await self._visits.find_one({"_id": id_}))

    async def save(self, visit: Visit) -> None:
        changed = visit.model_dump() | {"version": visit.version + 1}
        result = await self._visits.update_one({"_id": visit.id, "version": visit.version}, {"$set": changed})
        assert result.matched_count == 1

    async def find(self, case_id: str) -> list[Visit]:
        found = self._visits.find({"case_id": case_id}).sort([("starts_at", 1)]).limit(100)
        return [Visit.model_validate(raw) for raw in await found.to_list(100)]


async def _rate(calls: list[Callable[[], Awaitable[object]]]) -> float:
    """Make the calls, so many at once; gives calls a second."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return len(calls) / (time.perf_counter() - started)


async def _turn(side: Side, turn: int, documents: int) -> dict[str, float]:
    visits = _visits(turn, documents)
    rates = {"insert": await _rate([lambda v=v: side.insert(v) for v in visits])}  # type: ignore[misc]
    found: dict[str, Visit] = {}

    async def get(id_: str) -> None:
        found[id_] = await side.get(id_)

    rates["get"] = await _rate([lambda v=v: get(v.id) for v in visits])  # type: ignore[misc]
    assert all(found[v.id].people == v.people and found[v.id].version == 1 for v in visits)
    changed = [one.model_copy(update={"seats": 4}) for one in found.values()]
    rates["save"] = await _rate([lambda v=v: side.save(v) for v in changed])  # type: ignore[misc]
    sizes: list[int] = []

    async def find(case_id: str) -> None:
        page = await side.find(case_id)
        assert all((one.case_id, one.seats, one.version) == (case_id, 4, 2) for one in page)
        sizes.append(len(page))

    cases = [visits[n % (documents // _PAGE)].case_id for n in range(documents // 5)]
    rates["find"] = await _rate([lambda c=c: find(c) for c in cases])  # type: ignore[misc]
    assert set(sizes) == {_PAGE}
    return rates


async def _compare(name: str, ours: Side, bare: Side, documents: int) -> None:
    turns: list[tuple[dict[str, float], dict[str, float]]] = []
    for turn in range(_TURNS):
        floors = await _turn(bare, turn, documents)
        turns.append((floors, await _turn(ours, turn, documents)))
    for what in ("insert", "get", "save", "find"):
        floor = statistics.median(floor[what] for floor, _ in turns)
        rate = statistics.median(rate[what] for _, rate in turns)
        ratio = statistics.median(rate[what] / floor[what] for floor, rate in turns)
        aim = f"aim {_AIM}: {'met' if ratio >= _AIM else 'MISSED'}"
        print(f"{name:<28} {what:<7} {floor:>9,.0f}/s bare  {rate:>9,.0f}/s ours  {ratio:.2f} of it, {aim}")


async def _sqlite(folder: Path) -> None:
    store = await SqliteStore.open(folder / "ours.db", _CLOCK)
    await store.prepare([Visit])
    try:
        await _compare("sqlite", Ours(store), BareSqlite(folder / "bare.db"), _DOCUMENTS)
    finally:
        await store.close()


async def _mongo(url: str, name: str) -> None:
    store = await MongoStore.open(url, "store", _CLOCK)
    await store.prepare([Visit])
    client = Address(url).connect()
    try:
        documents = _DOCUMENTS // _ON_FERRETDB if "FerretDB" in name else _DOCUMENTS
        await _compare(name, Ours(store), await BareMongo(client).prepare(), documents)
    finally:
        await store.close()
        for database in (f"{Address(url).prefix}_store", "bench_bare"):
            await client.drop_database(database)
        client.close()


@contextlib.contextmanager
def _mongo_server(folder: Path) -> Iterator[tuple[str, str]]:
    """Give an address and what is there; an empty address when none can be had."""
    if url := os.environ.get("FIRSTHAND_MONGO_URL", ""):
        yield url, "mongo"
        return
    built = subprocess.run([_ROOT / ".ci" / "ferretdb"], capture_output=True, text=True, check=False)
    if built.returncode:
        yield "", built.stderr.strip()
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = [f"--listen-addr=127.0.0.1:{port}", f"--sqlite-url=file:{folder}/", f"--state-dir={folder}"]
    quiet = ["--debug-addr=-", "--telemetry=disable", "--log-level=error"]
    with subprocess.Popen([built.stdout.strip(), "--handler=sqlite", *where, *quiet]) as server:
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
            yield f"mongodb://127.0.0.1:{port}/bench", "mongo (FerretDB on SQLite)"
        finally:
            server.terminate()


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await _sqlite(Path(folder))
        with _mongo_server(Path(folder)) as (url, name):
            if url:
                await _mongo(url, name)
            else:
                print(f"mongo: not measured: {name}, and FIRSTHAND_MONGO_URL names no server")


if __name__ == "__main__":
    uvloop.run(_main())
