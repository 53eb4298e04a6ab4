"""What the SQLite adapter promises beside the port: it outlives kills, holds its file alone, and forgets."""

import asyncio
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
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from shared.clock import ManualClock
from shared.deployment import CannotStart
from shared.events import parse_event
from shared.events.portal import PersonChangedV1, PersonState
from shared.identifiers import InstitutionId
from shared.serving import usable_folder
from shared.store import Conflict, Document, StoreUnavailable
from shared.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
DOHA = InstitutionId("qu-cdm")
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
from shared.clock import SystemClock
from shared.store.sqlite import SqliteStore
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
from shared.clock import SystemClock
from shared.store.sqlite import SqliteStore

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
