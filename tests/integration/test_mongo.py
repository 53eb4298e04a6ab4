"""What only the MongoDB adapter has: what it asks of the server, and how the server's failures are told."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import monitoring

from firsthand.shared.clock import ManualClock
from firsthand.shared.events.portal import PersonChangedV1, PersonState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import (
    AnyOf,
    Collection,
    Document,
    Index,
    OneOf,
    Range,
    StoreUnavailable,
    mongo_collection,
    mongo_database,
)
from firsthand.shared.store.mongo import MongoStore
from firsthand.shared.store.mongo_client import Address, examine_server
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.real_servers import MongoServer, mongo_drivers

DOHA = InstitutionId("qu-cdm")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = ManualClock(NOON)


class Note(Document):
    kind: ClassVar[str] = "note"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("topic", "number"), Index.on("number"))
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("topic",),)

    topic: str = "lips"
    number: int = 0
    text: str = ""


def note(id_: str, **fields: Any) -> Note:
    return Note(id=id_, institution=DOHA, **fields)


def event_of(one: Note) -> PersonChangedV1:
    state = PersonState(person_id=one.id, roles=["tutor"], cohorts=[], active=True)
    return PersonChangedV1.record(
        institution=DOHA, subject=one.id, sequence=one.next_version, at=NOON, actor="system", data=state
    )


class Heard(monitoring.CommandListener, monitoring.ConnectionPoolListener):
    """What the drivers of this process sent, and how many connections they held at once."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.open: dict[Any, int] = {}
        self.most = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append({"called": event.command_name, **event.command})

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        self.open[event.address] = self.open.get(event.address, 0) + 1
        self.most = max(self.most, self.open[event.address])

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        self.open[event.address] = self.open.get(event.address, 0) - 1

    def _nothing(self, _event: Any) -> None: ...

    succeeded = failed = pool_created = pool_ready = pool_cleared = pool_closed = _nothing
    connection_ready = connection_check_out_started = connection_check_out_failed = _nothing
    connection_checked_out = connection_checked_in = _nothing


_HEARD = Heard()
monitoring.register(_HEARD)  # drivers look for listeners when a client is made; nothing takes one off again


@pytest.fixture
def heard() -> Heard:
    _HEARD.forget()
    return _HEARD


@pytest.fixture(params=mongo_drivers())
async def store(request: pytest.FixtureRequest, mongo_url: str) -> AsyncIterator[MongoStore]:
    opened = await MongoStore.open(mongo_url, "notes", CLOCK, driver=request.param)
    await opened.prepare([Note])
    yield opened
    await opened.close()


@pytest.fixture
def notes(store: MongoStore) -> Collection[Note]:
    return store.collection(Note, DOHA)


async def fill(notes: Collection[Note], from_: int, to: int) -> None:
    for n in range(from_, to):
        await notes.insert(note(f"n{n}"))


async def use_all(store: MongoStore) -> None:
    """Call everything that the port has."""
    notes = store.collection(Note, DOHA)
    stored = await notes.insert(note("a", due_at=NOON), event_of(note("a")))
    stored = await notes.save(stored, event_of(stored))
    await notes.adopt(note("b").model_copy(update={"version": 4}))
    await notes.get("a")
    await notes.find({"topic": "lips", "number": Range(0, 9)}, sort="number", order="desc")
    await notes.find({"topic": OneOf(("lips", "palate"))}, sort="number")
    await notes.count({"number": 0})
    await notes.count({"topic": OneOf(("lips", "palate"))})
    assert [one.id async for one in notes.all()] == ["a", "b"]
    assert await store.due(Note, NOON) == [stored]
    assert await store.institutions(Note) == [DOHA]
    await store.published(await store.outbox())
    await notes.delete(stored)
    await store.drift([Note])
    await store.ping()


WRITES = {"insert", "update", "delete", "findAndModify"}
READS = {"find", "count", "distinct"}


class TestWhatIsAsked:
    async def test_writes_are_for_a_majority_with_journal_and_reads_see_what_a_majority_has(
        self, store: MongoStore, heard: Heard
    ) -> None:
        await use_all(store)
        writes = [command for command in heard.commands if command["called"] in WRITES]
        reads = [command for command in heard.commands if command["called"] in READS]
        assert {command["called"] for command in writes} == {"insert", "update", "delete"}
        assert all(command["writeConcern"].items() >= {"w": "majority", "j": True}.items() for command in writes)
        assert {command["called"] for command in reads} == {"find", "count"}
        assert all(command["readConcern"] == {"level": "majority"} for command in reads)

    async def test_there_is_no_aggregation_no_transaction_and_no_code_for_the_server(
        self, store: MongoStore, heard: Heard
    ) -> None:
        await use_all(store)
        assert {command["called"] for command in heard.commands} <= {*WRITES, *READS, "ping", "listIndexes"}
        assert not any("startTransaction" in command or "autocommit" in command for command in heard.commands)
        updates = [update for command in heard.commands for update in command.get("updates", [])]
        assert updates
        assert all(isinstance(update["u"], dict) and not update.get("multi") for update in updates)
        assert "$where" not in str(heard.commands)

    async def test_an_address_cannot_weaken_it(self, mongo_url: str, heard: Heard) -> None:
        weak = with_options(mongo_url, "w=1&journal=false&readConcernLevel=local&retryWrites=false")
        store = await MongoStore.open(weak, "notes", CLOCK)
        try:
            await store.collection(Note, DOHA).insert(note("a"))
            await store.collection(Note, DOHA).get("a")
        finally:
            await store.close()
        (insert,) = (command for command in heard.commands if command["called"] == "insert")
        (find,) = (command for command in heard.commands if command["called"] == "find")
        assert insert["writeConcern"].items() >= {"w": "majority", "j": True}.items()
        assert find["readConcern"] == {"level": "majority"}
        options = Address(weak).connect().options
        assert (options.retry_writes, options.write_concern.document["w"]) == (True, "majority")

    async def test_a_rush_opens_no_more_connections_than_the_pool_holds(self, mongo_url: str, heard: Heard) -> None:
        store = await MongoStore.open(with_options(mongo_url, "maxPoolSize=4"), "notes", CLOCK)
        try:
            await asyncio.gather(*(store.collection(Note, DOHA).get(str(n)) for n in range(100)))
        finally:
            await store.close()
        assert 1 <= heard.most <= 4 + 2  # with those by which the driver watches the server

    @pytest.mark.parametrize("driver", mongo_drivers())
    async def test_without_a_choice_the_pool_is_bounded(self, mongo_url: str, driver: Any) -> None:
        options = Address(mongo_url).connect(driver).options.pool_options
        assert options.max_pool_size == 32
        assert options.wait_queue_timeout == 5


class TestKeptCounts:
    async def test_few_are_counted_each_time_and_many_once_in_a_while_for_all_who_ask(
        self, notes: Collection[Note], heard: Heard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mongo_collection, "COUNTED_EACH_TIME", 3)
        for n in range(2):
            assert await notes.count({"topic": "lips"}) == n
            await notes.insert(note(f"n{n}"))
        assert await notes.count({"topic": "lips"}) == 2
        await fill(notes, 2, 5)
        heard.forget()
        assert await asyncio.gather(*(notes.count({"topic": "lips"}) for _ in range(4))) == [5] * 4
        assert len([one for one in heard.commands if one["called"] == "count" and "limit" not in one]) == 1
        await fill(notes, 5, 6)
        assert await notes.count({"topic": "lips"}) == 5  # as it was remembered
        later = time.monotonic() + 11
        monkeypatch.setattr(mongo_database.time, "monotonic", lambda: later)
        assert await notes.count({"topic": "lips"}) == 6
        assert await notes.count({"topic": "palate"}) == 0

    async def test_a_count_that_failed_is_not_remembered(self, store: MongoStore) -> None:
        asked = 0

        async def count() -> int:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise StoreUnavailable("it does not answer")
            return 7

        with pytest.raises(StoreUnavailable):
            await store._database.remembered("question", count)
        assert [await store._database.remembered("question", count) for _ in range(3)] == [7] * 3
        assert asked == 2


class TestPreparing:
    async def test_an_index_that_somebody_changed_is_told_and_made_anew(
        self, store: MongoStore, mongo_server: MongoServer, mongo_url: str
    ) -> None:
        with mongo_server.client() as client:
            kept = client[f"{urlsplit(mongo_url).path[1:]}_notes"]["note"]
            kept.drop_index("note__by__number")
            kept.create_index([("fields.number", -1)], name="note__by__number")
            kept.create_index([("fields.text", 1)], name="by_hand")
        told = " ".join(await store.drift([Note]))
        assert "note__by__number is not as declared" in told
        assert "by_hand is there, but nothing declares it" in told
        await store.prepare([Note])
        assert await store.drift([Note]) == []

    async def test_replicas_that_start_together_prepare_together(self, mongo_url: str) -> None:
        stores = [await MongoStore.open(mongo_url, "notes", CLOCK) for _ in range(3)]
        try:
            await asyncio.gather(*(store.prepare([Note]) for store in stores))
            assert await stores[0].drift([Note]) == []
        finally:
            await asyncio.gather(*(store.close() for store in stores))

    async def test_declared_indexes_begin_with_the_institution(
        self, store: MongoStore, mongo_server: MongoServer, mongo_url: str
    ) -> None:
        with mongo_server.client() as client:
            there = client[f"{urlsplit(mongo_url).path[1:]}_notes"]["note"].index_information()
        frame = {"_id_", "note__due", "note__waiting"}
        assert there.keys() - frame == {"note__by__topic__number", "note__by__number"}
        assert all(there[name]["key"][0] == ("institution", 1) for name in there.keys() - frame)

    @pytest.mark.true_mongo
    async def test_every_find_walks_its_index_and_sorts_nothing(
        self, store: MongoStore, notes: Collection[Note], mongo_server: MongoServer, mongo_url: str, heard: Heard
    ) -> None:
        await asyncio.gather(*(notes.insert(note(f"n{n:03}", number=n % 7)) for n in range(200)))
        heard.forget()
        first = await notes.find({"topic": "lips"}, sort="number", limit=5)
        await notes.find({"topic": "lips"}, sort="number", limit=5, after=first.next)
        await notes.find({"number": Range(2, 4)}, sort="number", order="desc")
        await notes.find({"number": 3})
        await notes.find(limit=5)
        several = {"topic": OneOf(("lips", "palate", "nowhere"))}
        page = await notes.find(several, sort="number", order="desc", limit=5)
        await notes.find(several, sort="number", order="desc", limit=5, after=page.next)
        await notes.find(AnyOf((several, {"topic": "tongue"})), sort="number", limit=5)
        await store.due(Note, NOON)
        await store.outbox()
        finds = [command for command in heard.commands if command["called"] == "find"]
        with mongo_server.client() as client:
            database = client[f"{urlsplit(mongo_url).path[1:]}_notes"]
            for find in finds:
                asked = {name: find[name] for name in ("find", "filter", "sort", "limit")}
                plan = str(database.command("explain", asked)["queryPlanner"]["winningPlan"])
                assert "IXSCAN" in plan
                assert "COLLSCAN" not in plan
                assert "'SORT'" not in plan
        assert len(finds) == 10


class TestFailures:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "mongo.example:27017",
            "http://mongo.example",
            "mongodb://",
            "mongodb://u:s3cret@h:99999/x",
            "mongodb://h/?w=x&tls=maybe",
        ],
    )
    async def test_what_is_no_address_is_told_without_its_password(self, url: str) -> None:
        with pytest.raises(StoreUnavailable, match="mongodb://user:password@host") as told:
            await MongoStore.open(url, "notes", CLOCK)
        assert "s3cret" not in str(told.value)

    @pytest.mark.parametrize("driver", mongo_drivers())
    async def test_a_server_that_is_not_there_is_told(self, driver: Any) -> None:
        async with gate_to("127.0.0.1", 1) as gate:
            await gate.shut()
            url = f"mongodb://user:s3cret@127.0.0.1:{gate.port}/?timeoutMS=200"
            with pytest.raises(StoreUnavailable, match="no primary that answers") as told:
                await MongoStore.open(url, "notes", CLOCK, driver=driver)
            assert "s3cret" not in str(told.value)
            with pytest.raises(StoreUnavailable, match="no primary that answers"):
                await examine_server(url)

    @pytest.mark.parametrize("driver", mongo_drivers())
    async def test_a_lost_server_is_told_and_used_again_when_it_is_back(self, mongo_url: str, driver: Any) -> None:
        parts = urlsplit(mongo_url)
        async with gate_to(parts.hostname or "", parts.port or 27017) as gate:
            # As long as a busy server may take to answer once it is back: four calls wait for it in vain.
            options = "timeoutMS=2000&connectTimeoutMS=2000&directConnection=true"
            url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{gate.port}", query=options))
            store = await MongoStore.open(url, "notes", CLOCK, driver=driver)
            try:
                notes = store.collection(Note, DOHA)
                stored = await notes.insert(note("a"))
                await gate.shut()
                for call in (store.ping, store.outbox, lambda: notes.get("a"), lambda: notes.save(stored)):
                    with pytest.raises(StoreUnavailable, match=f"MongoDB at 127.0.0.1:{gate.port}") as told:
                        await call()
                    assert told.value.retry_after > 0
                await gate.open()
                await back(store)
                assert await notes.get("a") == stored
                assert (await notes.save(stored)).version == 2
            finally:
                await store.close()

    @pytest.mark.parametrize("driver", mongo_drivers())
    async def test_a_server_that_hangs_is_waited_for_no_longer_than_the_limit(
        self, mongo_url: str, driver: Any
    ) -> None:
        parts = urlsplit(mongo_url)
        async with gate_to(parts.hostname or "", parts.port or 27017) as gate:
            options = "timeoutMS=400&connectTimeoutMS=400&directConnection=true"
            url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{gate.port}", query=options))
            store = await MongoStore.open(url, "notes", CLOCK, driver=driver)
            try:
                notes = store.collection(Note, DOHA)
                stored = await notes.insert(note("a"))
                gate.hold()
                async with asyncio.timeout(PATIENCE):
                    with pytest.raises(StoreUnavailable, match="did not answer in time"):
                        await notes.save(stored)
                gate.go_on()
                await back(store)
                found = await notes.get("a")
                assert found is not None
                assert found.version in {1, 2}
            finally:
                await store.close()

    async def test_a_document_that_is_too_large_is_refused_and_the_store_goes_on(self, notes: Collection[Note]) -> None:
        stored = await notes.insert(note("a"))
        huge = "x" * 17_000_000
        with pytest.raises(ValueError, match="16 MiB"):
            await notes.insert(note("b", text=huge))
        with pytest.raises(ValueError, match="16 MiB"):
            await notes.save(stored.model_copy(update={"text": huge}))
        assert await notes.get("a") == stored
        assert await notes.get("b") is None

    async def test_flags_that_a_crash_left_hide_no_event_that_waits(
        self, store: MongoStore, notes: Collection[Note], mongo_server: MongoServer, mongo_url: str
    ) -> None:
        for n in range(5):
            await notes.insert(note(f"n{n}"), event_of(note(f"n{n}")))
        with mongo_server.client() as client:  # as after a death between the two operations that publishing ends with
            kept = client[f"{urlsplit(mongo_url).path[1:]}_notes"]["note"]
            kept.update_many({"_id": {"$ne": f"{DOHA}/n4"}}, {"$set": {"outbox": {}}})
            assert kept.count_documents({"waiting": {"$gt": 0}}) == 5
            assert [entry.document_id for entry in await store.outbox(limit=2)] == ["n4"]
            assert kept.count_documents({"waiting": {"$gt": 0}}) == 1

    async def test_a_later_version_never_waits_before_an_earlier_one_though_clocks_differ(self, mongo_url: str) -> None:
        ahead = await MongoStore.open(mongo_url, "notes", ManualClock(NOON + timedelta(minutes=3)))
        behind = await MongoStore.open(mongo_url, "notes", CLOCK)
        try:
            await ahead.prepare([Note])
            await behind.prepare([Note])
            first = await ahead.collection(Note, DOHA).insert(note("a"), event_of(note("a")))
            second = event_of(first)
            await behind.collection(Note, DOHA).save(first, second)
            assert [entry.body for entry in await behind.outbox()][1:] == [second.wire()]
            assert await ahead.outbox() == await behind.outbox()
        finally:
            await ahead.close()
            await behind.close()


@pytest.mark.true_mongo
class TestDurability:
    async def test_what_was_acknowledged_survives_the_servers_death(
        self, mongo_url: str, mongo_server: MongoServer
    ) -> None:
        if mongo_server.container is None:
            pytest.skip("not run: this server is not ours to kill")
        store = await MongoStore.open(with_options(mongo_url, "timeoutMS=1000"), "notes", CLOCK)
        try:
            await store.prepare([Note])
            notes = store.collection(Note, DOHA)
            acknowledged: list[str] = []
            enough = asyncio.Event()

            async def write(n: int) -> None:
                with contextlib.suppress(StoreUnavailable):
                    await notes.insert(note(f"n{n}"), event_of(note(f"n{n}")))
                    acknowledged.append(f"n{n}")
                if len(acknowledged) == 200:
                    enough.set()

            writing = asyncio.gather(*(write(n) for n in range(2_000)))
            await enough.wait()
            await asyncio.to_thread(mongo_server.container.kill)
            await writing
            await asyncio.to_thread(mongo_server.container.start)
            await back(store)
            waiting = {entry.document_id for entry in await store.outbox(5_000)}
            assert set(acknowledged) <= waiting
            assert [id_ for id_ in acknowledged if await notes.get(id_) is None] == []
        finally:
            await store.close()


def with_options(url: str, options: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, options)))))


async def back(store: MongoStore) -> None:
    """Wait until the store answers; the driver looks for its server every half second at least."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await store.ping()
            except StoreUnavailable:
                continue
            return


class Gate:
    """A way to a server that can be shut, and held so that nothing passes and nobody is told."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._free.set()
        self.port = free_port()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        if self._server:
            self._server.close()
        for passing in list(self._passing):
            passing.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def hold(self) -> None:
        self._free.clear()

    def go_on(self) -> None:
        self._free.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(*self._to)
        for source, sink in ((reader, to_there), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._free.wait()
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()


@contextlib.asynccontextmanager
async def gate_to(host: str, port: int) -> AsyncIterator[Gate]:
    gate = Gate(host, port)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()
