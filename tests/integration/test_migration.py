"""An embedded deployment moves to servers: its documents and keys to MongoDB, its streams to a nats-server."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

import nats
import pytest
from pydantic import AwareDatetime
from pymongo import MongoClient
from typer.testing import CliRunner

from firsthand.example import journey as play
from firsthand.services.__main__ import cli
from firsthand.services.archive.app import SERVICE as ARCHIVE
from firsthand.services.archive.model import Viewing
from firsthand.shared import migration
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.credentials import make_secrets, read_conf
from firsthand.shared.deployment import KEY_STORE_KINDS
from firsthand.shared.embedded_nats import address_of, binary
from firsthand.shared.events.portal import PersonChangedV1, PersonState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.migration import CannotMigrate, Report, compare, move, opened
from firsthand.shared.service import Service
from firsthand.shared.settings import Settings
from firsthand.shared.store import Collection, Document, Index, Store, StoreUnavailable, Upgrade
from firsthand.shared.store.opened import key_store_file, open_key_store, open_store, store_file
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.topology import STREAMS, Placement
from firsthand.shared.vault import OwnerKey
from tests.e2e.system import SERVICES, Program, _environment, _join, all_in_one, unique
from tests.patience import PATIENCE
from tests.ports import free_port

OAK = InstitutionId("oak-dental")
ELM = InstitutionId("elm-medical")
FIR = InstitutionId("fir-medical")
NOON = datetime(2026, 3, 1, 12, 0, 0, 120_000, tzinfo=UTC)
CLOCK = ManualClock(NOON)


class Stay(Document):
    """What this test's service knows of a contact; id = contact id. Every save causes an event."""

    kind: ClassVar[str] = "stay"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("begins_at"),)

    begins_at: AwareDatetime = NOON
    note: str = "شقّ الشفة والحنك"
    counted: dict[str, Any] = {"a.b": {"$set": [2**70, 0.1, None]}}

    def changed(self) -> PersonChangedV1:
        return PersonChangedV1.record(
            institution=self.institution,
            subject=self.id,
            sequence=self.next_version,
            at=NOON,
            actor="system",
            data=PersonState(person_id=self.id, roles=["tutor"], cohorts=[], active=True),
        )


class Note(Document):
    """Many of these belong to one contact."""

    kind: ClassVar[str] = "note"

    contact_id: str


async def _never(*_: Any) -> None:
    raise AssertionError("this service does not run")


HOUSE = Service("house", (Stay, Note), {}, {}, _never, _never)  # type: ignore[arg-type]


async def told(stays: Collection[Stay], id_: str, note: str = "") -> Stay:
    """Save a stay, whose event then waits."""
    stay = await stays.get(id_) or Stay(id=id_, institution=OAK)
    stay.note = note or stay.note
    return await (stays.save if stay.version else stays.insert)(stay, stay.changed())


class House:
    """The files of a service that has ended, and where they are to move: keys to databases of another name."""

    def __init__(self, folder: Path, url: str) -> None:
        self.here = Settings(data=folder / "data")
        parts = urlsplit(url)
        keys = urlunsplit(parts._replace(path=f"{parts.path}_elsewhere"))
        self.there = self.here.model_copy(update={"mongo_url": url, "keys_mongo_url": keys})

    @asynccontextmanager
    async def documents(self, settings: Settings) -> AsyncIterator[Store]:
        store = await open_store(settings, HOUSE.name, CLOCK)
        await store.prepare(HOUSE.documents)
        yield store
        await store.close()

    @asynccontextmanager
    async def keys(self, settings: Settings) -> AsyncIterator[Store]:
        store = await open_key_store(settings, HOUSE.name, CLOCK)
        await store.prepare(KEY_STORE_KINDS)
        yield store
        await store.close()

    async def fill(self) -> None:
        """Two institutions, four contacts, events that wait, a key and one that was erased."""
        async with self.documents(self.here) as store:
            stays, notes = store.collection(Stay, OAK), store.collection(Note, OAK)
            for id_ in ("c-2", "c-1", "c-2"):
                await told(stays, id_, note=f"{id_} is saved")
            for n in range(40):
                await notes.insert(Note(id=f"n-{n}", institution=OAK, contact_id=f"c-{n % 3}", due_at=NOON))
            await store.collection(Stay, ELM).insert(Stay(id="c-9", institution=ELM, applied={"portal/p": 3}))
            await store.collection(Note, ELM).insert(Note(id="n-0", institution=ELM, contact_id="c-9"))
        async with self.keys(self.here) as store:
            keys = store.collection(OwnerKey, OAK)
            await keys.insert(OwnerKey(id="c-1", institution=OAK, wrapped="d3JhcHBlZA", made_at=NOON))
            await keys.insert(OwnerKey(id="c-2", institution=OAK, made_at=NOON, erased=True, erased_at=NOON))

    async def migrated(self) -> Report:
        async with opened(self.here, self.there, [HOUSE], CLOCK) as parts:
            await move(parts)
            return await compare(parts)

    async def compared(self) -> Report:
        async with opened(self.here, self.there, [HOUSE], CLOCK) as parts:
            return await compare(parts)

    def rows(self) -> list[str]:
        """Everything that the files hold."""
        found: list[str] = []
        for file in (store_file(self.here, HOUSE.name), key_store_file(self.here, HOUSE.name)):
            connection = sqlite3.connect(file)
            found += connection.iterdump()
            connection.close()
        return found


@pytest.fixture
async def house(tmp_path: Path, mongo_url: str) -> House:
    made = House(tmp_path, mongo_url)
    await made.fill()
    return made


async def test_documents_keys_and_events_that_wait_are_moved_and_nothing_here_changes(house: House) -> None:
    before = house.rows()
    report = await house.migrated()
    assert report.differences == []
    assert [(one.part, one.kind, one.institution, one.source, one.target) for one in report.counts] == [
        ("house", "stay", ELM, 1, 1),
        ("house", "stay", OAK, 2, 2),
        ("house", "note", ELM, 1, 1),
        ("house", "note", OAK, 40, 40),
        ("house keys", "owner_key", OAK, 2, 2),
    ]
    assert report.waiting == (3, 3)
    assert (report.journeys, report.journeys_equal) == (4, 4)
    assert house.rows() == before
    async with house.documents(house.here) as here, house.documents(house.there) as there, house.keys(house.there) as k:
        left, gone = await here.outbox(), await there.outbox()
        assert sorted(gone, key=str) == sorted(left, key=str)
        assert [json.loads(one.body)["sequence"][-1] for one in gone if one.document_id == "c-2"] == ["1", "2"]
        stays = there.collection(Stay, OAK)
        assert await stays.get("c-2") == await here.collection(Stay, OAK).get("c-2")
        assert (await told(stays, "c-2", note="it goes on")).version == 3
        assert len(await there.due(Note, NOON)) == 40
        erased = await k.collection(OwnerKey, OAK).get("c-2")
        assert erased is not None
        assert erased.erased_at == NOON


async def test_what_another_release_wrote_is_moved_with_the_rest_and_what_is_older_is_upgraded(house: House) -> None:
    class NewerStay(Stay):
        upgrades: ClassVar[tuple[Upgrade, ...]] = (lambda raw: raw | {"room": raw.get("room") or "none yet"},)
        room: str = ""

    async with house.documents(house.here) as store:
        newer = store.collection(NewerStay, OAK)
        await newer.insert(NewerStay(id="c-5", institution=OAK, room="12"))
    report = await house.migrated()
    assert report.differences == []
    async with house.documents(house.there) as there:
        of = {stay.id: (stay.room, stay.schema_number) async for stay in there.collection(NewerStay, OAK).all()}
    assert of == {"c-1": ("none yet", 2), "c-2": ("none yet", 2), "c-5": ("12", 2)}


async def test_moving_again_changes_nothing(house: House) -> None:
    await house.migrated()
    report = await house.migrated()
    assert report.equal
    assert report.waiting == (3, 3)


Change = Callable[[House], Awaitable[None]]


async def changed_there(house: House) -> None:
    async with house.documents(house.there) as store:
        notes = store.collection(Note, OAK)
        note = await notes.get("n-3")
        assert note
        await notes.save(note)


async def added_there(house: House) -> None:
    async with house.documents(house.there) as store:
        await store.collection(Note, FIR).insert(Note(id="m-0", institution=FIR, contact_id="c-1"))


async def published_there(house: House) -> None:
    async with house.documents(house.there) as store:
        await store.published((await store.outbox())[:1])


async def published_here(house: House) -> None:
    """Started once more, which a second delivery of its events must not come of."""
    async with house.documents(house.here) as store:
        await store.published(await store.outbox())


async def deleted_here(house: House) -> None:
    async with house.documents(house.here) as store:
        notes = store.collection(Note, OAK)
        note = await notes.get("n-1")
        assert note
        await notes.delete(note)


async def erased_there(house: House) -> None:
    async with house.keys(house.there) as store:
        keys = store.collection(OwnerKey, OAK)
        key = await keys.get("c-1")
        assert key
        await keys.save(key.model_copy(update={"wrapped": "", "erased": True, "erased_at": NOON}))


async def damaged_there(house: House) -> None:
    with MongoClient[Any](house.there.mongo_url) as client:
        stays = client[f"{urlsplit(house.there.mongo_url).path[1:]}_{HOUSE.name}"]["stay"]
        assert stays.update_one({"_id": f"{OAK}/c-2"}, {"$set": {"fields.note": "other"}}).modified_count


USES: dict[Change, str] = {
    published_there: "stay c-2 of oak-dental has other events that wait: 2 here and 1 in MongoDB",
    damaged_there: "stay c-2 of oak-dental differs in note",
    changed_there: "note n-3 of oak-dental has version 1 here and 2 in MongoDB",
    added_there: "note m-0 of fir-medical is only in MongoDB",
    published_here: "stay c-1 of oak-dental has other events that wait: 0 here and 1 in MongoDB",
    deleted_here: "note n-1 of oak-dental is only in MongoDB",
    erased_there: "owner_key c-1 of oak-dental has version 1 here and 2 in MongoDB",
}


async def test_what_has_been_used_since_is_told_in_a_line_and_never_written_over(house: House) -> None:
    await house.migrated()
    for use, line in USES.items():
        await use(house)
        report = await house.compared()
        assert any(line in one for one in report.differences), (use, report.differences)
    assert report.differing == len(report.differences) == 6  # c-1, c-2, n-1, n-3, m-0, a key
    assert (report.journeys, report.journeys_equal) == (5, 1)
    with pytest.raises(CannotMigrate, match="used since"):
        await house.migrated()
    assert (await house.compared()).differences == report.differences


async def test_what_cannot_be_done_is_told_before_anything_is_written(
    tmp_path: Path, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, mongo_url)
    with pytest.raises(CannotMigrate, match="nothing to migrate"):
        await house.migrated()
    async with house.documents(house.here):
        pass
    with pytest.raises(CannotMigrate, match="keys move together"):
        await house.migrated()
    async with house.keys(house.here):
        pass
    async with house.documents(house.here):
        with pytest.raises(StoreUnavailable, match="in use by process"):
            await house.migrated()
    nobody = f"mongodb://127.0.0.1:{free_port()}/?timeoutMS=300"
    house.there = house.there.model_copy(update={"mongo_url": nobody})
    with pytest.raises(StoreUnavailable, match="is it up"):
        await house.migrated()
    house.there = House(tmp_path, mongo_url).there
    await house.fill()
    monkeypatch.setattr(migration, "_MOST_WAITING", 2)
    with pytest.raises(CannotMigrate, match="More than 2 events wait"):
        await house.migrated()
    monkeypatch.undo()
    with sqlite3.connect(store_file(house.here, HOUSE.name)) as newer:
        newer.execute("UPDATE outbox SET kind = 'later' WHERE document_id = 'c-1'")
    newer.close()
    with pytest.raises(CannotMigrate, match="later, which this version does not know"):
        await house.migrated()
    with sqlite3.connect(store_file(house.here, HOUSE.name)) as older:
        older.execute("DROP INDEX stay__by__begins_at")
    older.close()
    with pytest.raises(CannotMigrate, match="not as this version"):
        await house.migrated()
    with MongoClient[Any](mongo_url) as client:
        assert [name for name in client.list_database_names() if name.startswith(urlsplit(mongo_url).path[1:])] == []


async def firsthand(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, what was asked for, what was said."""
    result = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)
    return result.exit_code, result.stdout, result.stderr


async def test_killed_in_the_middle_and_run_again_it_is_whole(tmp_path: Path, mongo_url: str) -> None:
    here = Settings(data=tmp_path)
    store = await SqliteStore.open(store_file(here, "archive"), CLOCK)
    await store.prepare(ARCHIVE.documents)
    viewings = store.collection(Viewing, OAK)
    said = {"viewer_id": "p", "student": True, "day": NOON.date(), "first_at": NOON, "last_at": NOON}
    many = [Viewing(id=f"v-{n:04}", institution=OAK, contact_id=f"c-{n % 50}", **said) for n in range(400)]
    await asyncio.gather(*(viewings.insert(one) for one in many))
    await store.close()
    keys = await SqliteStore.open(key_store_file(here, "archive"), CLOCK)
    await keys.prepare(KEY_STORE_KINDS)
    await keys.close()

    command = ("migrate", "--to", mongo_url, "--json")
    here_url = urlsplit(mongo_url)
    async with _held_at(b"v-0200", here_url.port or 27017) as (port, held):
        through = here_url._replace(netloc=f"{here_url.hostname}:{port}").geturl()
        first = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firsthand.services", "migrate", "--to", through, "--json",
            env=_environment(tmp_path, 0), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await asyncio.wait_for(held.wait(), PATIENCE)
        first.kill()
        await first.wait()
    with MongoClient[Any](mongo_url) as client:
        arrived = client[f"{here_url.path[1:]}_archive"]["viewing"]
        assert 20 <= arrived.count_documents({}) < 400
    code, out, _ = await firsthand(*command, "--compare-only", FIRSTHAND_DATA=str(tmp_path))
    assert (code, json.loads(out)["equal"]) == (1, False)
    code, out, err = await firsthand(*command, FIRSTHAND_DATA=str(tmp_path))
    assert code == 0, err
    report = json.loads(out)
    assert report["equal"] is True
    assert report["journeys"] == {"compared": 50, "equal": 50}
    assert {"part": "archive", "kind": "viewing", "institution": OAK, "source": 400, "target": 400} in report[
        "documents"
    ]


@asynccontextmanager
async def _held_at(mark: bytes, server: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A port that leads to the server until somebody sends `mark`; from then on nothing gets there any more."""
    held = asyncio.Event()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, look: bool) -> None:
        while piece := await source.read(1 << 20):
            if look and mark in piece:
                held.set()
            if held.is_set():
                break
            target.write(piece)
            await target.drain()

    async def lead(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server)
        with suppress(ConnectionError):
            await asyncio.gather(pass_on(client, to_server, look=True), pass_on(from_server, to_client, look=False))
        to_server.close()
        to_client.close()

    listening = await asyncio.start_server(lead, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], held


@dataclass(frozen=True)
class Told:
    """What a NATS server holds: every service's events in order, and how far each durable is."""

    events: list[dict[str, Any]]
    durables: dict[str, tuple[int, int]]  # stream sequence acknowledged, deliveries
    in_hand: int  # deliveries that are to come or not yet acknowledged

    @classmethod
    async def by(cls, url: str) -> "Told":
        client = await nats.connect(url)
        js = client.jetstream()
        events: list[dict[str, Any]] = []
        durables: dict[str, tuple[int, int]] = {}
        in_hand = 0
        for stream in STREAMS.values():
            last = (await js.stream_info(stream.name)).state.last_seq
            raw = [await js.get_msg(stream.name, sequence) for sequence in range(1, last + 1)]
            events += [json.loads(message.data or b"") for message in raw]
            for info in await js.consumers_info(stream.name):
                if info.config.durable_name and info.ack_floor and info.delivered:
                    durables[info.name] = (info.ack_floor.stream_seq, info.delivered.consumer_seq)
                    in_hand += (info.num_pending or 0) + (info.num_ack_pending or 0)
        await client.close()
        return cls(events, durables, in_hand)


async def come_to_rest(url: str) -> Told:
    """Wait until every event is handled and what it caused is told: nothing changes for longer than a relay sleeps."""
    before, since = await Told.by(url), time.monotonic()
    while time.monotonic() - since < 2:
        await asyncio.sleep(0.2)
        if (now := await Told.by(url)) != before or now.in_hand:
            before, since = now, time.monotonic()
    return before


@asynccontextmanager
async def own_server(secrets: Path, store: Path) -> AsyncIterator[int]:
    """A nats-server with the configuration that `firsthand secrets make` wrote, a port of ours and one more user."""
    conf = read_conf((secrets / "nats.conf").read_text())
    del conf["http"]
    conf |= {"host": "127.0.0.1", "port": free_port()}
    conf["jetstream"]["store_dir"] = str(store)
    conf["authorization"]["users"].append({"user": "test", "password": "test"})
    (secrets / "test.conf").write_text(json.dumps(conf))
    process = await asyncio.create_subprocess_exec(binary(), "-c", secrets / "test.conf", stderr=subprocess.DEVNULL)
    yield conf["port"]
    process.terminate()
    await process.wait()


@asynccontextmanager
async def services_apart(url: str, folder: Path, **environment: str) -> AsyncIterator[None]:
    """The five services, each with its own secrets, joined at the address that the deployment had before."""
    routes = {service: [free_port()] for service in SERVICES}
    proxy = await asyncio.start_server(lambda r, w: _join(routes, r, w), "127.0.0.1", urlsplit(url).port)
    programs = [
        Program(
            ("serve", service),
            _environment(folder / "data", port, FIRSTHAND_PUBLIC_URL=url, **environment, **_secrets(folder, service)),
            f"http://127.0.0.1:{port}/{service}/readyz",
            folder / f"{service}.log",
        )
        for service, (port,) in routes.items()
    ]
    try:
        await asyncio.gather(*(program.start() for program in programs))
        yield
    finally:
        await asyncio.gather(*(program.stop() for program in programs if program.process))
        proxy.close()


def _secrets(folder: Path, whose: str) -> dict[str, str]:
    place = str(folder / "secrets" / whose)
    return {"FIRSTHAND_SECRETS_DIR": place, "FIRSTHAND_KEYS_DIR": place}


@pytest.mark.timeout(300)
async def test_a_deployment_moves_to_servers_and_every_journey_goes_on(tmp_path: Path, mongo_url: str) -> None:
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(all_in_one(tmp_path))
        school = await stack.enter_async_context(
            play.school(system.url, system.keys, SystemClock(), unique("oak-dental"))
        )
        await play.open_case(school)
        released, deciding = [
            await play.clear(school, await play.nominate(school, name)) for name in ("first.example", "second.example")
        ]
        for journey in (released, deciding):
            await play.send_first_message(journey)
            await play.log_answer(journey, "yes")
            await stack.enter_async_context(play.open_link(journey))
            await play.decide(journey)
        await play.book(released)
        await play.hold(released)
        await play.upload(released)
        await play.release(released)
        await play.timeline(released, "recording.published")
        await play.timeline(deciding, "meeting.offered")

        async def shown() -> list[Any]:
            journeys = await school.coordinator.call("GET", "/portal/api/v1/journeys")
            paths = [f"/portal/api/v1/journeys/{one.contact_id}" for one in (released, deciding)]
            return [journeys, *[await school.tutor.call("GET", path) for path in paths]]

        told = await come_to_rest(address_of(system.data / "nats") or "")
        before = await shown()
        assert len(before[0]["items"]) == 2
        assert await system.everything.stop() == 0

        # what docs/operate.md says, step by step
        code, out, err = await firsthand("migrate", "--to", mongo_url, FIRSTHAND_DATA=str(system.data))
        assert code == 0, err
        assert "journeys: 2 compared, 2 equal" in out
        secrets, streams = tmp_path / "secrets", tmp_path / "nats-store"
        shutil.copytree(system.data / "keys", secrets / "keys", ignore=shutil.ignore_patterns("*.db*"))
        make_secrets(secrets, placement=Placement())
        shutil.copytree(system.data / "nats" / "streams", streams)
        for away in ("db", "keys", "nats"):
            (system.data / away).rename(tmp_path / f"old-{away}")
        async with own_server(secrets, streams) as port:
            servers = {"FIRSTHAND_NATS_URL": f"nats://127.0.0.1:{port}", "FIRSTHAND_MONGO_URL": mongo_url}
            as_test = f"nats://test:test@127.0.0.1:{port}"
            assert await apply(BusSettings(url=as_test)) == []  # `firsthand topology apply` finds nothing to change
            async with services_apart(system.url, tmp_path, **servers):
                assert await shown() == before
                assert await Told.by(as_test) == told  # nothing is told or given to a handler a second time

                async def plays() -> bool:
                    return await play.plays(released)

                await play.eventually("the recording plays, once a pulse has come", plays)
                await play.book(deciding)
                await play.withdraw(released)
                await play.no_longer_plays(released)
                assert (await play.certificate(released))["completed_at"]
                await play.timeline(released, "consent.withdrawn", "recording.withdrawn", "erasure.completed")
            after = (await Told.by(as_test)).events
        assert not (system.data / "db").exists()
        assert [one for one in after if one in told.events] == told.events
        assert len({one["id"] for one in after}) == len(after)
        assert len({(one["source"], one["subject"], one["sequence"]) for one in after}) == len(after)
