"""What the SQLite adapter promises beside the port: it outlives kills, holds its file alone, and forgets."""

import asyncio
import contextlib
import os
import pwd
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import AwareDatetime

from firsthand.shared.clock import ManualClock
from firsthand.shared.events import parse_event
from firsthand.shared.events.portal import PersonChangedV1, PersonState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.serving import usable_folder
from firsthand.shared.settings import CannotStart
from firsthand.shared.store import AnyOf, Conflict, Document, Index, NoRoom, OneOf, Range, StoreUnavailable, Where
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.store.sqlite_query import page_query
from firsthand.shared.store.sqlite_schema import table_of

ROOT = Path(__file__).parents[2]
DOHA, AKL = InstitutionId("qu-cdm"), InstitutionId("akl-dent")
CLOCK = ManualClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


class Note(Document):
    kind: ClassVar[str] = "note"
    text: str = ""


def event_of(document: Note) -> PersonChangedV1:
    return PersonChangedV1.record(
        institution=DOHA,
        subject=document.id,
        sequence=document.next_version,
        at=CLOCK.now(),
        actor="system",
        data=PersonState(person_id=document.id, roles=[], cohorts=[], active=True),
    )


def note(id_: str = "n1", text: str = "") -> Note:
    return Note(id=id_, institution=DOHA, text=text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "notes.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, CLOCK)
    await opened.prepare([Note])
    yield opened
    await opened.close()


@contextmanager
def child(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of this project in a process of its own; whatever is left of it is killed."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


# Saves twenty notes again and again, each with its event, and tells every version once it is acknowledged.
WRITES = """
import asyncio, sys
from pathlib import Path
from firsthand.shared.clock import SystemClock
from firsthand.shared.store.sqlite import SqliteStore
from tests.integration.test_sqlite import DOHA, Note, event_of, note

async def write(notes, id_):
    document = note(id_)
    document = await notes.insert(document, event_of(document))
    while True:
        print(id_, document.version, flush=True)
        document = await notes.save(document, event_of(document))

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]), SystemClock())
    await store.prepare([Note])
    notes = store.collection(Note, DOHA)
    await asyncio.gather(*(write(notes, f"n{n}") for n in range(20)))

asyncio.run(main())
"""

HOLDS = """
import asyncio, sys
from pathlib import Path
from firsthand.shared.clock import SystemClock
from firsthand.shared.store.sqlite import SqliteStore

async def main():
    await SqliteStore.open(Path(sys.argv[1]), SystemClock())
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 100, 2000])
async def test_a_kill_loses_no_acknowledged_save_and_parts_no_event_from_its_document(path: Path, after: int) -> None:
    acknowledged: Counter[str] = Counter()
    with child(WRITES, str(path)) as writing:
        assert writing.stdout is not None
        for told, line in enumerate(writing.stdout, 1):
            id_, version = line.split()
            acknowledged[id_] = int(version)
            if told == after:
                writing.send_signal(signal.SIGKILL)
                break
        for line in writing.stdout.readlines()[:-1]:  # told before the kill; the last line may be cut
            id_, version = line.split()
            acknowledged[id_] = int(version)
    store = await SqliteStore.open(path, CLOCK)
    stored = {document.id: document.version async for document in store.collection(Note, DOHA).all()}
    waiting = [parse_event(entry.body) for entry in await store.outbox(limit=1_000_000)]
    await store.close()
    assert acknowledged
    assert all(stored[id_] >= version for id_, version in acknowledged.items())
    for id_, version in stored.items():
        assert [event.sequence for event in waiting if event.subject == id_] == list(range(1, version + 1))
    assert {event.subject for event in waiting} == set(stored)


async def test_a_second_process_is_refused_until_the_first_is_gone(path: Path) -> None:
    with child(HOLDS, str(path)) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailable, match=rf"in use by process {holding.pid} since .*; stop that one first$"):
            await SqliteStore.open(path, CLOCK)
        holding.kill()
        holding.wait()
        await (await SqliteStore.open(path, CLOCK)).close()


async def test_a_second_store_in_the_same_process_is_refused(store: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="2026-03-01 09:00:00 UTC"):
        await SqliteStore.open(path, CLOCK)


async def test_what_was_deleted_or_replaced_is_in_no_file_after_compacting(store: SqliteStore, path: Path) -> None:
    notes = store.collection(Note, DOHA)
    kept = await asyncio.gather(*(notes.insert(note(f"k{n}", f"kept {n} " * 40)) for n in range(300)))
    replaced = await asyncio.gather(*(notes.insert(note(f"r{n}", f"SECRET {n} " * n)) for n in range(300)))
    deleted = await asyncio.gather(*(notes.insert(note(f"SECRET{n}", "SECRET " * n * 3)) for n in range(300)))

    stop = asyncio.Event()

    async def read() -> None:
        while not stop.is_set():
            await notes.find()
            await notes.get("k1")

    reading = [asyncio.create_task(read()) for _ in range(4)]
    await asyncio.gather(*(notes.save(one.model_copy(update={"text": "plain"})) for one in replaced))
    await asyncio.gather(*(notes.delete(one) for one in deleted))
    await store.compact()
    stop.set()
    await asyncio.gather(*reading)

    for file in path.parent.iterdir():
        assert b"SECRET" not in file.read_bytes(), file.name
    assert path.with_name("notes.db-wal").stat().st_size == 0
    assert await notes.count() == len(kept) + len(replaced)


async def test_compacting_waits_for_a_reader_without_holding_up_writers(store: SqliteStore, path: Path) -> None:
    notes = store.collection(Note, DOHA)
    await notes.insert(note())
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM note").fetchone()
        compacting = asyncio.create_task(store.compact())
        for n in range(20):
            await asyncio.wait_for(notes.insert(note(f"w{n}")), 1)
        assert not compacting.done()
        other.execute("COMMIT")
        await compacting
    other.close()
    assert path.with_name("notes.db-wal").stat().st_size == 0


async def test_a_full_disk_refuses_all_who_wait_and_the_store_goes_on_when_there_is_room(
    store: SqliteStore, path: Path
) -> None:
    notes = store.collection(Note, DOHA)
    stored = await notes.insert(note())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("notes.db-wal").stat().st_size + 4096, hard))
    try:
        texts = ("x" * 20_000 for _ in range(10))
        tries = [notes.insert(note(f"f{n}", text), event_of(note(f"f{n}"))) for n, text in enumerate(texts)]
        results = await asyncio.gather(*tries, return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {type(result) for result in results} == {StoreUnavailable}
    assert all(str(path) in str(result) and "room" in str(result) for result in results)
    assert await store.outbox() == []
    assert (await notes.save(stored)).version == 2
    assert await notes.count() == 1


async def test_one_bad_write_fails_alone(store: SqliteStore) -> None:
    notes = store.collection(Note, DOHA)
    first = await notes.insert(note("a"))
    event = event_of(note("b"))
    results = await asyncio.gather(
        notes.save(first),
        notes.insert(note("b"), event),
        notes.insert(note("c"), event),
        notes.save(first),
        notes.insert(note("d")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [Note, Note, ValueError, Conflict, Note]
    assert [one.id async for one in notes.all()] == ["a", "b", "d"]
    assert [entry.document_id for entry in await store.outbox()] == ["b"]


async def test_who_stops_waiting_disturbs_nobody(store: SqliteStore) -> None:
    notes = store.collection(Note, DOHA)
    leaving, staying = (asyncio.ensure_future(notes.insert(note(id_))) for id_ in ("a", "b"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).version == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await store.ping()


async def test_a_refused_write_keeps_nothing_of_its_batch(store: SqliteStore) -> None:
    """Its traceback would name the frame of the writer, and so all that was written with it."""
    notes = store.collection(Note, DOHA)
    stale = await notes.insert(note("a"))
    await notes.save(stale)
    with pytest.raises(Conflict) as refused:
        await notes.save(stale)
    frames = [frame.frame.code.name for frame in refused.traceback]
    assert "_commit" not in frames


# -- what is remembered


async def changed_behind_its_back(path: Path, text: str) -> None:
    """Write into the file as no store does, to see whether it is looked into."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE note SET body = json_set(body, '$.text', ?)", (text,))


async def test_what_was_written_or_read_last_is_not_looked_up_again(store: SqliteStore, path: Path) -> None:
    notes = store.collection(Note, DOHA)
    await notes.insert(note("a", "first"))
    await changed_behind_its_back(path, "other")
    found = await notes.get("a")
    assert found
    assert found.text == "first"
    found.text = "changed by who read it"
    again = await notes.get("a")
    assert again
    assert again.text == "first"


async def test_keys_are_read_from_the_file_each_time(path: Path) -> None:
    keys = await SqliteStore.open(path, CLOCK, remembers=False)
    await keys.prepare([Note])
    notes = keys.collection(Note, DOHA)
    await notes.insert(note("a", "first"))
    for text in ("second", "third"):
        await changed_behind_its_back(path, text)
        found = await notes.get("a")
        assert found
        assert found.text == text
    await keys.close()


async def test_a_save_that_nobody_waits_for_any_more_is_remembered(store: SqliteStore) -> None:
    notes = store.collection(Note, DOHA)
    stored = await notes.insert(note("a", "first"))
    leaving = asyncio.ensure_future(notes.save(stored.model_copy(update={"text": "second"})))
    await asyncio.sleep(0)
    leaving.cancel()
    await store.ping()  # goes the way of a write
    found = await notes.get("a")
    assert found
    assert (found.text, found.version) == ("second", 2)


async def test_a_write_in_vain_is_forgotten_and_what_is_deleted_is_gone(store: SqliteStore, path: Path) -> None:
    notes = store.collection(Note, DOHA)
    stored = await notes.insert(note("a", "first"))
    await changed_behind_its_back(path, "other")
    with pytest.raises(Conflict):
        await notes.save(stored.model_copy(update={"version": 7}))
    found = await notes.get("a")
    assert found
    assert found.text == "other"
    await notes.delete(found)
    assert await notes.get("a") is None


class Steady(Note):
    kind = "steady"
    steady = True


async def test_pages_of_a_steady_kind_are_remembered_until_the_next_write_of_their_institution(
    store: SqliteStore, path: Path
) -> None:
    await store.prepare([Note, Steady])
    kept, elsewhere = store.collection(Steady, DOHA), store.collection(Steady, AKL)

    async def texts() -> list[str]:
        return [one.text for one in (await kept.find()).items]

    def behind_its_back(text: str) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE steady SET body = json_set(body, '$.text', ?)", (text,))

    first = await kept.insert(Steady(id="a", institution=DOHA, text="first"))
    assert await texts() == ["first"]
    behind_its_back("other")
    (found,) = (await kept.find()).items
    found.text = "changed by who read it"
    await elsewhere.insert(Steady(id="b", institution=AKL, text="first"))
    assert await texts() == ["first"]
    assert [one.text for one in (await kept.find(sort="id", order="desc")).items] == ["other"]
    saved = await kept.save(first.model_copy(update={"text": "second"}))
    assert await texts() == ["second"]
    await kept.delete(saved)
    assert await texts() == []
    with pytest.raises(Conflict):
        await kept.save(saved)
    assert await texts() == []


async def test_a_page_that_was_read_before_a_write_ended_is_not_remembered(store: SqliteStore) -> None:
    await store.prepare([Note, Steady])
    kept = store.collection(Steady, DOHA)
    for number in range(50):
        reading = asyncio.ensure_future(kept.find())
        writing = asyncio.ensure_future(kept.insert(Steady(id=f"n{number}", institution=DOHA, text="t")))
        await asyncio.gather(reading, writing)
        assert len((await kept.find()).items) == number + 1


async def test_pages_together_are_bounded_by_length(store: SqliteStore) -> None:
    await store.prepare([Note, Steady])
    kept, remembered = store.collection(Steady, DOHA), store._database.remembered
    await asyncio.gather(
        *(kept.insert(Steady(id=f"n{number}", institution=DOHA, text="x" * 20_000)) for number in range(100))
    )
    for limit in range(1, 101):
        assert len((await kept.find(limit=limit)).items) == limit
    pages = [page for of in remembered._pages.values() for page in of.values()]
    assert 0 < sum(page.length for page in pages) <= 4_000_000


async def test_memory_is_bounded_by_number_and_length(store: SqliteStore, path: Path) -> None:
    notes = store.collection(Note, DOHA)
    long = "x" * 10_000
    await notes.insert(note("long", long))
    await asyncio.gather(*(notes.insert(note(f"n{number}", "first")) for number in range(1025)))
    await changed_behind_its_back(path, "other")
    texts = [found.text for id_ in ("n1", "n1024", "n0", "long") if (found := await notes.get(id_))]
    assert texts == ["first", "first", "other", "other"]


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="the folder cannot be written"):
        await SqliteStore.open(tmp_path / "file" / "notes.db", CLOCK)


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that this process may only read; root, to whom nothing is read-only, acts as nobody meanwhile."""
    folder, user = Path(tempfile.mkdtemp(prefix="firsthand-", dir="/tmp")), os.geteuid()  # all above must be passable
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o700)
        shutil.rmtree(folder)


async def test_a_read_only_folder_is_told(read_only_folder: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the folder cannot be written"):
        await SqliteStore.open(read_only_folder / "notes.db", CLOCK)


def test_a_read_only_data_folder_is_told_with_what_to_do(read_only_folder: Path) -> None:
    with pytest.raises(CannotStart, match=r"Cannot write to the data folder .* Choose another one: FIRSTHAND_DATA="):
        usable_folder(read_only_folder)
    with pytest.raises(CannotStart, match="Cannot write to the data folder"):
        usable_folder(read_only_folder / "data")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    file = tmp_path / "damaged.db"
    file.write_bytes(b"this is no database" * 1000)
    return file


async def test_a_damaged_file_is_told_and_not_held(damaged: Path) -> None:
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no SQLite database; restore it"):
            await SqliteStore.open(damaged, CLOCK)


async def test_only_the_owner_may_read_the_files(store: SqliteStore, path: Path) -> None:
    await store.collection(Note, DOHA).insert(note())
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


class Topical(Note):
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("topic", "written_at"), Index.on("public"))
    topic: str | None = None
    public: bool = False
    written_at: AwareDatetime | None = None


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path, CLOCK)
    yield store
    await store.close()


def as_before_columns(path: Path, *notes: Topical) -> None:
    """Write as releases did whose indexes were over expressions of the body, also into a file that a later one made."""
    topic, at = "json_extract(body,'$.topic')", "rtrim(json_extract(body,'$.written_at'),'Z')"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.execute(
            'CREATE TABLE IF NOT EXISTS "note" (institution TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, '
            "due_at INTEGER, body TEXT NOT NULL, PRIMARY KEY (institution, id))"
        )
        older.execute('DROP INDEX IF EXISTS "note__by__topic__written_at"')
        older.execute(f'CREATE INDEX "note__by__topic__written_at" ON "note" (institution, {topic}, {at}, id)')
        for one in notes:
            row = (one.institution, one.id, 1, one.model_copy(update={"version": 1}).model_dump_json())
            older.execute('INSERT INTO "note" (institution, id, version, body) VALUES (?, ?, ?, ?)', row)


async def test_what_an_older_release_wrote_is_found_by_the_columns_of_this_one(tmp_path: Path) -> None:
    path, noon = tmp_path / "notes.db", CLOCK.now()

    def older(id_: str, minutes: float) -> Topical:
        at = noon + timedelta(minutes=minutes)
        return Topical(id=id_, institution=DOHA, topic="palate", public=True, written_at=at)

    as_before_columns(path, older("n2", 2), older("n1", 1.005), Topical(id="n0", institution=DOHA))
    for more in (["n1", "n2"], ["n1", "n2", "n3"]):
        async with opened(path) as store:
            assert any(
                "note__by__topic__written_at is not as declared" in told for told in await store.drift([Topical])
            )
            await store.prepare([Topical])
            assert await store.drift([Topical]) == []
            notes = store.collection(Topical, DOHA)
            after = Range(from_=noon + timedelta(minutes=1))
            page = await notes.find({"topic": "palate", "written_at": after}, sort="written_at")
            assert [one.id for one in page.items] == more
            assert await notes.count({"public": True}) == len(more)
            assert [one.id for one in (await notes.find({"topic": None})).items] == ["n0"]
        if "n3" not in more:
            as_before_columns(path, older("n3", 3))  # somebody went back to the older release for a while


async def test_a_column_that_no_index_needs_any_more_keeps_nothing(path: Path) -> None:
    async with opened(path) as store:
        await store.prepare([Topical])
        await store.collection(Topical, DOHA).insert(Topical(id="n1", institution=DOHA, topic="palate"))
        await store.prepare([Note])
        assert await store.drift([Note]) == []
        await store.compact()
    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT by_topic, by_public, by_written_at FROM note").fetchall() == [(None, None, None)]
    async with opened(path) as store:
        await store.prepare([Topical])
        assert await store.collection(Topical, DOHA).count({"topic": "palate"}) == 1


class Counted(Topical):
    counts: ClassVar[tuple[tuple[str, ...], ...]] = ((), ("topic",), ("text",))


async def test_kept_counts_that_are_wrong_are_told_and_counted_again_once_they_are_deleted(path: Path) -> None:
    async with opened(path) as store:
        await store.prepare([Counted])
        notes = store.collection(Counted, DOHA)
        for n in range(5):
            await notes.insert(Counted(id=f"n{n}", institution=DOHA, topic=f"t{n % 2}"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        assert file.execute("SELECT fields, value, number FROM counts ORDER BY 1, 2").fetchall() == [
            ("", "[]", 5),
            ("text", '[""]', 5),
            ("topic", '["t0"]', 3),
            ("topic", '["t1"]', 2),
        ]
        file.execute("UPDATE counts SET number = 4 - number WHERE fields = 'topic'")
        file.execute("UPDATE counts SET number = number + 1 WHERE value = '[\"t0\"]'")
    async with opened(path) as store:
        told = await store.drift([Counted])
        assert len(told) == 1
        assert "counts of note by topic are wrong" in told[0]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("DELETE FROM counts")
    async with opened(path) as store:
        await store.prepare([Counted])
        assert await store.drift([Counted]) == []
        notes = store.collection(Counted, DOHA)
        assert (await notes.count(), await notes.count({"topic": "t0"})) == (5, 3)


async def test_a_trigger_that_is_gone_is_told_and_what_it_missed_is_counted(path: Path) -> None:
    async with opened(path) as store:
        await store.prepare([Counted])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            file.execute(f'DROP TRIGGER "{name}"')
    async with opened(path) as store:
        assert "The trigger note__counts_1_moved is missing." in await store.drift([Counted])
        await store.collection(Counted, DOHA).insert(Counted(id="n1", institution=DOHA, topic="palate"))
        await store.prepare([Counted])
        assert await store.drift([Counted]) == []
        assert await store.collection(Counted, DOHA).count({"topic": "palate"}) == 1


async def test_a_release_of_before_kept_counts_may_write_meanwhile(path: Path) -> None:
    async with opened(path) as store:
        await store.prepare([Counted])
        await store.collection(Counted, DOHA).insert(Counted(id="n1", institution=DOHA, topic="palate"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        kept = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'note__count%'"
        for (name,) in older.execute(kept).fetchall():  # it drops what indexes it does not know, and leaves triggers
            older.execute(f'DROP INDEX "{name}"')
        older.execute("UPDATE note SET by_text = NULL")  # and empties columns that it does not know
        written = Counted(id="n2", institution=DOHA, topic="palate", text="x", version=1)
        row = (DOHA, "n2", 1, written.model_dump_json(), "palate", False)
        older.execute(
            "INSERT INTO note (institution, id, version, body, by_topic, by_public) VALUES (?,?,?,?,?,?)", row
        )
    async with opened(path) as store:
        await store.prepare([Counted])
        assert await store.drift([Counted]) == []
        notes = store.collection(Counted, DOHA)
        assert await notes.count({"topic": "palate"}) == 2
        assert [await notes.count({"text": text}) for text in ("", "x")] == [1, 1]


SOME_TOPICS = {"topic": OneOf.of(f"t{n}" for n in range(40))}


@pytest.mark.parametrize("where", [SOME_TOPICS, AnyOf((SOME_TOPICS, {"public": True}))])
async def test_a_page_of_many_values_walks_the_index_once_for_each_and_sorts_only_what_it_shows(
    path: Path, where: Where | AnyOf
) -> None:
    class Topics(Topical):
        indexes: ClassVar[tuple[Index, ...]] = (Index.on("topic", "written_at"), Index.on("public", "written_at"))

    async with opened(path) as store:
        await store.prepare([Topics])
        query = page_query(table_of(Topics), DOHA, where, sort="written_at", order="desc", limit=50, after=None)
        ((sql, values),) = query.statements
        plan = await store._database.read(
            lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
        )
    steps = [step for *_, step in plan]
    walks = [step for step in steps if "USING COVERING INDEX note__by__" in step]
    assert len(walks) == 40 + isinstance(where, AnyOf)
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert len(sorts) == 1
    assert steps.index(sorts[0]) > steps.index(walks[-1])


async def test_an_index_that_somebody_changed_is_made_anew_the_outboxs_as_well(path: Path) -> None:
    async with opened(path) as store:
        await store.prepare([Topical])
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.executescript(
            "DROP INDEX outbox_by_document; CREATE INDEX outbox_by_document ON outbox (kind);"
            "DROP INDEX note__by__public; CREATE INDEX note__by__public ON note (by_public);"
        )
    async with opened(path) as store:
        assert len(await store.drift([Topical])) == 2
        await store.prepare([Topical])
        assert await store.drift([Topical]) == []


async def test_a_full_disk_refuses_a_write_whole_and_takes_the_next_once_there_is_room(store: SqliteStore) -> None:
    notes = store.collection(Note, DOHA)
    await notes.insert(note("before", "x"))

    def at_most(pages: int) -> int:
        size, *_ = store._database._writing.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        return int(size)

    (pages,) = store._database._writing.execute("PRAGMA page_count").fetchone()
    at_most(pages)
    large = note("large", "y" * 100_000)
    with pytest.raises(NoRoom, match="the disk is full; make room"):
        await notes.insert(large, event_of(large))
    assert await notes.get("large") is None
    assert await store.outbox(10) == []
    assert await notes.get("before")
    at_most(pages + 1000)
    await notes.insert(large, event_of(large))
    assert len(await store.outbox(10)) == 1
