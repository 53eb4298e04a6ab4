"""Two and three replicas of a service on one database: what one process alone would never show.

What each test is about stands in docs/decisions/0012-replicas.md.
"""

# ruff: noqa: ASYNC110 - what is waited for is told by another replica or over HTTP

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import nats
import pytest
from nats.js.api import StreamConfig

from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers.uploads import look_after_upload
from firsthand.services.archive.repository import Recordings, Uploads
from firsthand.services.consent import pulse as pulses
from firsthand.services.consent.model.records import Record
from firsthand.services.consent.repository import Records
from firsthand.services.discovery.app import SERVICE as DISCOVERY
from firsthand.services.discovery.handlers import people
from firsthand.services.discovery.repository import Ledger, Repository
from firsthand.services.portal.app import SERVICE as PORTAL
from firsthand.services.scheduling.handlers.due import on_due
from firsthand.services.scheduling.model import Letter, Meeting
from firsthand.shared.bus import Bus, BusSettings
from firsthand.shared.bus import relay as relays
from firsthand.shared.bus.listeners import StreamListener
from firsthand.shared.bus.relay import Relay
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.events import AnyEvent, parse_event
from firsthand.shared.events.consent import ConsentChangedV1, ConsentWithdrawnV1
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.metrics import Metrics
from firsthand.shared.service import Timer
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from firsthand.shared.store import Conflict, Document, Index, OutboxEntry, Store, StoreUnavailable
from firsthand.shared.store.mongo import MongoStore
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.tasks import ended
from firsthand.shared.timers import Timers
from firsthand.shared.topology import ERASURE_ANSWERS, STREAMS, durables_of
from firsthand.shared.vault import KeyErased
from tests import archive as archives
from tests import consent_house
from tests.archive import QU, START, TUS, Archive
from tests.consent_house import House
from tests.durations import Durations
from tests.integration.discovery import house as discoveries
from tests.integration.portal.running import Portal
from tests.media import video
from tests.patience import PATIENCE
from tests.replicas import Seat, shared_stores
from tests.told import alone

SLUG = InstitutionId("qu-cdm")
STREAM = STREAMS["portal"].name
PLAYS = "/archive/api/v1/recordings/c1/plays"


# -- publishing


class School(Document):
    """An institution, whose every save causes an event."""

    kind: ClassVar[str] = "school"

    def changed(self) -> InstitutionChangedV1:
        state = InstitutionState(slug=SLUG, name="A School", country="QA", zone="Asia/Qatar", languages=["en"])
        return InstitutionChangedV1.record(
            institution=SLUG, subject=self.id, sequence=self.next_version, at=SystemClock().now(), actor="x", data=state
        )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "portal.db", SystemClock())
    await opened.prepare([School])
    yield opened
    await opened.close()


async def _ignore(_event: AnyEvent) -> None:
    """Take what this test is not about."""


@asynccontextmanager
async def bus_of(service: str, settings: BusSettings) -> AsyncIterator[Bus]:
    bus = Bus(service, settings, clock=SystemClock(), metrics=Metrics(service))
    for durable in durables_of(service):
        bus.handle(durable.handler, _ignore)
    await bus.start()
    yield bus
    await bus.stop()


@asynccontextmanager
async def replicas_of_portal(
    settings: BusSettings, store: Store, count: int
) -> AsyncIterator[list[tuple[Seat, Relay]]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            bus, seat = await stack.enter_async_context(bus_of("portal", settings)), Seat(store)
            found.append((seat, Relay(seat, bus, SystemClock(), Metrics("portal"))))
        yield found


@asynccontextmanager
async def at_work(*replicas: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in replicas]
    yield
    await ended(tasks)


async def add_schools(store: Any, count: int, *, first: int = 0) -> None:
    schools = store.collection(School, SLUG)
    made = [School(id=f"school-{n:04}", institution=SLUG) for n in range(first, first + count)]
    await asyncio.gather(*(schools.insert(school, school.changed()) for school in made))


async def until_empty(store: Any, within: float = PATIENCE) -> None:
    async with asyncio.timeout(within):
        while await store.outbox(limit=1):
            await asyncio.sleep(0.005)


async def in_stream(settings: BusSettings) -> int:
    client = await nats.connect(settings.url)
    try:
        return (await client.jetstream().stream_info(STREAM)).state.messages
    finally:
        await client.close()


async def remember_ids_for(settings: BusSettings, seconds: float) -> None:
    """Let the server forget an event's id soon, as it does in earnest after its duplicate window."""
    client = await nats.connect(settings.url)
    config: StreamConfig = (await client.jetstream().stream_info(STREAM)).config
    await client.jetstream().update_stream(dataclasses.replace(config, duplicate_window=seconds))
    await client.close()


@pytest.mark.promise
async def test_what_a_killed_replica_had_saved_is_published_by_another_within_a_second(
    bus_settings: BusSettings, store: SqliteStore
) -> None:
    async with replicas_of_portal(bus_settings, store, 2) as ((killed, _), (_, other)), at_work(other):
        durations = Durations()
        for n in range(10):
            with durations.round():  # the other one waits, and nobody wakes it
                school = School(id=f"school-{n}", institution=SLUG)
                await killed.collection(School, SLUG).insert(school, school.changed())
                await until_empty(store)
    assert durations.percentile(0.9) < 0.9
    assert await in_stream(bus_settings) == 10


async def test_three_replicas_that_save_and_publish_at_once_publish_nothing_twice_and_keep_a_documents_order(
    bus_settings: BusSettings, store: SqliteStore
) -> None:
    async def change_often(seat: Any, name: str, times: int) -> None:
        schools = seat.collection(School, SLUG)
        for _ in range(times):
            while True:
                school = await schools.get(name)
                with contextlib.suppress(Conflict):
                    await schools.save(school, school.changed())
                    break

    async with replicas_of_portal(bus_settings, store, 3) as replicas, at_work(*(relay for _, relay in replicas)):
        await add_schools(replicas[0][0], 5)
        for n in range(5):
            await asyncio.gather(*(change_often(seat, f"school-{n:04}", 20) for seat, _ in replicas))
        await until_empty(store)
        client = await nats.connect(bus_settings.url)
        js = client.jetstream()
        events = [parse_event((await js.get_msg(STREAM, seq)).data or b"") for seq in range(1, 306)]
        await client.close()
    assert await in_stream(bus_settings) == 305
    for n in range(5):
        assert [one.sequence for one in events if one.subject == f"school-{n:04}"] == list(range(1, 62))


async def test_a_replica_that_was_stopped_after_reading_reads_again_before_it_publishes(
    bus_settings: BusSettings, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await remember_ids_for(bus_settings, 0.1)
    monkeypatch.setattr(relays, "_STALE", 0.3)
    read = store.outbox
    async with replicas_of_portal(bus_settings, store, 2) as ((slow_seat, slow), (_, other)):
        await add_schools(store, 4)

        async def then_stopped(limit: int = 256, *, urgent: bool | None = None) -> Sequence[OutboxEntry]:
            """As SIGSTOP does to a process that has just read."""
            entries = await read(limit, urgent=urgent)
            if not entries:
                return entries
            slow_seat.outbox = read
            assert await other.publish_batch()
            await asyncio.sleep(0.5)
            return entries

        slow_seat.outbox = then_stopped
        assert await slow.publish_batch()
        assert not await slow.publish_batch()
    assert await in_stream(bus_settings) == 4


async def test_what_is_in_the_stream_is_not_published_again_however_long_the_store_does_not_note_it(
    bus_settings: BusSettings, store: SqliteStore
) -> None:
    await remember_ids_for(bus_settings, 0.1)
    async with replicas_of_portal(bus_settings, store, 1) as ((seat, relay),):
        await add_schools(store, 4)

        async def full(_entries: Sequence[OutboxEntry]) -> None:
            raise StoreUnavailable("the disk is full")

        seat.published = full
        assert not await relay.publish_batch()
        await asyncio.sleep(0.3)
        assert not await relay.publish_batch()
        del seat.published
        await add_schools(store, 1, first=4)
        await until_empty_by(relay, store)
    assert await in_stream(bus_settings) == 5


async def until_empty_by(relay: Relay, store: Store) -> None:
    while await relay.publish_batch():
        pass
    assert not await store.outbox()


# -- timers


async def test_a_document_that_is_due_is_fired_once_by_two_replicas(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, done = service.context.store.collection(Meeting, QU), Counter[str]()
        for n in range(100):
            await meetings.insert(_meeting(f"m{n:03}", due_at=START))

        async def fire(_context: Any, meeting: Meeting) -> None:
            await meetings.save(meeting.model_copy(update={"due_at": None}))
            done[meeting.id] += 1

        await asyncio.gather(*(Timers(service.context, {Meeting: Timer(fire)}).look() for _ in range(2)))
        assert len(done) == 100
        assert set(done.values()) == {1}


async def test_a_full_batch_that_stays_due_neither_turns_without_end_nor_holds_up_the_others(tmp_path: Path) -> None:
    clock, fired = ManualClock(START), Counter[str]()
    async with alone("scheduling", tmp_path, clock) as service:
        meetings = service.context.store.collection(Meeting, QU)
        for n in range(70):
            await meetings.insert(_meeting(f"m{n:03}", due_at=START - timedelta(minutes=100 - n)))

        async def forget(_context: Any, meeting: Meeting) -> None:
            """Leave it due, but for the last one."""
            fired[meeting.id] += 1
            if meeting.id == "m069":
                await meetings.save(meeting.model_copy(update={"due_at": None}))

        timers = Timers(service.context, {Meeting: Timer(forget)})
        async with asyncio.timeout(PATIENCE):
            await timers.look()
        assert len(fired) == 70
        assert set(fired.values()) == {1}


class SlowMail:
    """A mail server that takes its time, and says what it was given."""

    keeps = False

    def __init__(self) -> None:
        self.given: list[str] = []
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def send(self, _institution: str, _owner: str, key: str, **_mail: Any) -> None:
        self.given.append(key)
        self.asked.set()
        await self.answers.wait()


async def test_a_mail_that_one_replica_is_sending_is_not_sent_by_another_meanwhile(tmp_path: Path) -> None:
    clock, mail = ManualClock(START), SlowMail()
    async with alone("scheduling", tmp_path, clock) as service:
        context = dataclasses.replace(service.context, mail=mail)  # type: ignore[arg-type]
        await context.store.collection(Meeting, QU).insert(await _with_letter(context))
        first, second = (Timers(context, {Meeting: Timer(on_due, destroys=False)}) for _ in range(2))
        sending = asyncio.create_task(first.look())
        await mail.asked.wait()
        for _ in range(3):
            clock.advance(timedelta(seconds=10))
            await second.look()
        mail.answers.set()
        await sending
        await second.look()
        assert mail.given == ["c1-1"]
        kept = await context.store.collection(Meeting, QU).get("c1")
        assert kept is not None
        assert (kept.letters, kept.due_at, kept.mail_delivered) == ([], None, True)


async def test_a_mail_whose_sender_was_killed_is_sent_by_another(tmp_path: Path) -> None:
    clock, mail = ManualClock(START), SlowMail()
    async with alone("scheduling", tmp_path, clock) as service:
        context = dataclasses.replace(service.context, mail=mail)  # type: ignore[arg-type]
        await context.store.collection(Meeting, QU).insert(await _with_letter(context))
        first, second = (Timers(context, {Meeting: Timer(on_due, destroys=False)}) for _ in range(2))
        killed = asyncio.create_task(first.look())
        await mail.asked.wait()
        killed.cancel()
        mail.answers.set()
        clock.advance(timedelta(minutes=2))
        await second.look()
        assert mail.given == ["c1-1", "c1-1"]  # at least once, by one Message-ID


def _meeting(id_: str, **fields: Any) -> Meeting:
    contact = archives.CONTACT.model_copy(update={"contact_id": id_})
    return Meeting(id=id_, institution=QU, contact=contact, tutor_id="tutor1", language="en", **fields)


async def _with_letter(context: Any) -> Meeting:
    sealed = await context.vault.seal_many(QU, "c1", {"zone": "Asia/Qatar", "address": "canary@home.example"})
    at = START + timedelta(days=3)
    letter = Letter(kind="confirmed", key="c1-1", starts_at=at, ends_at=at + timedelta(hours=1), sequence=0, at=START)
    return _meeting(
        "c1", state="scheduled", reach_by="email", letters=[letter], due_at=START, starts_at=at,
        ends_at=at + timedelta(hours=1), **sealed,
    )  # fmt: skip


# -- playback


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(scope="module")
def film() -> bytes:
    return video(2)


@pytest.fixture
async def pair(tmp_path: Path, nats_url: str, clock: ManualClock) -> AsyncIterator[tuple[Archive, Archive]]:
    """Two replicas of archive."""
    async with (
        shared_stores(),
        archives.running(tmp_path / "data", nats_url, clock) as one,
        archives.running(tmp_path / "data", nats_url, clock) as two,
    ):
        yield one, two


@pytest.mark.promise
async def test_a_withdrawal_ends_playback_on_every_replica_within_a_second(
    pair: tuple[Archive, Archive], film: bytes
) -> None:
    one, _ = pair
    sha = await one.released(film)
    durations = Durations()
    for state in ("paused", "granted") * 10:
        with durations.round():
            await one.consent("ConsentChangedV1", state, released=True, released_sha256=sha)
            for replica in pair:
                await replica.until_answer(404 if state == "paused" else 200, PLAYS, replica.student())
    with durations.round():
        await one.withdraw()
        for replica in pair:
            await replica.until_answer(404, "/archive/media/c1", replica.student())
    assert durations.percentile(0.95) < 1


async def test_a_withdrawal_ends_playback_on_every_replica_also_when_none_can_store_it(
    pair: tuple[Archive, Archive], film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = pair
    await one.released(film)
    await two.until_answer(200, PLAYS, two.student())

    async def cannot(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(Recordings, "save", cannot)
    await one.withdraw()
    for replica in pair:
        await replica.until_answer(404, "/archive/media/c1", replica.student())


async def test_a_beat_that_arrives_late_opens_no_gate(pair: tuple[Archive, Archive], film: bytes) -> None:
    one, _ = pair
    await one.released(film)
    last = (await one.nats.jetstream().stream_info("FH_CONSENT")).state.last_seq
    looked_at = one.clock.now()
    one.clock.advance(timedelta(seconds=10))  # consent died; what was on its way, or in a stopped process, comes now
    late = {"at": looked_at.isoformat(), "sequence": last}
    for _ in range(3):
        await one.nats.publish(pulses.SUBJECT, json.dumps(late).encode())
        await one.nats.flush()
        await asyncio.sleep(0.1)
        for replica in pair:
            assert (await replica.http.get(PLAYS, headers=replica.student())).status_code == 503
    await one.beat()
    for replica in pair:
        await replica.until_answer(200, PLAYS, replica.student())


async def test_one_replica_of_consent_that_beats_is_enough_and_a_late_one_beside_it_does_no_harm(
    pair: tuple[Archive, Archive], film: bytes
) -> None:
    one, _ = pair
    await one.released(film)
    last = (await one.nats.jetstream().stream_info("FH_CONSENT")).state.last_seq
    behind = {"at": one.clock.now().isoformat(), "sequence": last - 1}
    for _ in range(8):
        one.clock.advance(timedelta(seconds=1))
        await one.beat()
        await one.nats.publish(pulses.SUBJECT, json.dumps(behind).encode())
        await one.nats.flush()
        for replica in pair:
            await replica.until_answer(200, PLAYS, replica.student())


async def test_a_clock_of_consents_that_goes_far_ahead_is_not_believed(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    archive.clock.advance(timedelta(seconds=10))
    last = (await archive.nats.jetstream().stream_info("FH_CONSENT")).state.last_seq
    ahead = {"at": (archive.clock.now() + timedelta(minutes=5)).isoformat(), "sequence": last}
    await archive.nats.publish(pulses.SUBJECT, json.dumps(ahead).encode())
    await archive.nats.flush()
    await asyncio.sleep(0.1)
    assert (await archive.http.get(PLAYS, headers=archive.student())).status_code == 503


@pytest.fixture
async def archive(pair: tuple[Archive, Archive]) -> Archive:
    return pair[0]


async def test_a_withdrawal_that_is_stored_and_forgotten_while_the_gate_reads_still_counts(
    archive: Archive, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.released(film)
    gate, read, save = gate_of(archive.context), Recordings.get, Recordings.save
    may_store, reading = asyncio.Event(), asyncio.Event()

    async def later(self: Recordings, *what: Any, **more: Any) -> Any:
        await may_store.wait()
        return await save(self, *what, **more)

    async def read_before_it_is_stored(self: Recordings, contact_id: str) -> Any:
        found = await read(self, contact_id)
        if not reading.is_set():
            reading.set()
            may_store.set()
            await archive.until("recording.withdrawn")
            await gate._prune()
            assert not gate._overrides
        return found

    monkeypatch.setattr(Recordings, "save", later)
    await archive.withdraw()
    async with asyncio.timeout(PATIENCE):
        while not (known := gate._overrides.get((QU, "c1"))) or known.consent.state != "withdrawn":
            await asyncio.sleep(0.005)
    monkeypatch.setattr(Recordings, "get", read_before_it_is_stored)
    standing = await gate.standing(QU, "c1")
    assert reading.is_set()
    assert standing is not None
    assert standing.state == "withdrawn"


# -- uploads, and what is kept of them


async def test_an_upload_goes_on_at_whichever_replica_its_next_piece_reaches(
    pair: tuple[Archive, Archive], film: bytes
) -> None:
    one, two = pair
    await one.awaiting()
    place, half = await begin_upload(one, film), len(film) // 2
    assert (await one.patch(place, 0, film[:half])).status_code == 204
    answer = await two.http.head(place, headers={**two.tutor(), **TUS})
    assert answer.headers["upload-offset"] == str(half)
    assert (await two.patch(place, half, film[half:])).status_code == 204
    await one.beat()
    assert (await one.until_answer(200, "/archive/family/media", one.family())).content == await one.shown()
    assert await one.brought() == film


async def test_two_replicas_never_write_one_upload_at_the_same_time(pair: tuple[Archive, Archive], film: bytes) -> None:
    one, two = pair
    await one.awaiting()
    place = await begin_upload(one, film)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield film[:1000]
        begun.set()
        await may_end.wait()
        yield film[1000:]

    slow = asyncio.create_task(one.patch(place, 0, slowly()))
    await begun.wait()
    assert (await two.patch(place, 0, film)).status_code == 423
    may_end.set()
    assert (await slow).status_code == 204


async def test_an_expiry_that_two_replicas_see_removes_no_recording_that_is_just_complete(
    pair: tuple[Archive, Archive], film: bytes
) -> None:
    one, two = pair
    await one.awaiting()
    await one.upload(film)
    uploads = Uploads(one.context, QU)
    (upload,) = await uploads.of("c1")
    stale = upload.model_copy(update={"stage": "receiving", "version": upload.version - 1})  # read a moment ago
    for replica in pair:
        with pytest.raises(Conflict):
            await look_after_upload(replica.context, stale)
    await two.beat()
    assert (await two.until_answer(200, "/archive/family/media", two.family())).content == await two.shown()
    one.clock.advance(timedelta(days=2))  # what is over is forgotten by both at once
    await asyncio.gather(*(replica.deployment.running["archive"].timers.look() for replica in pair))
    async with asyncio.timeout(PATIENCE):
        while await uploads.of("c1"):
            await asyncio.sleep(0.01)
    assert len(one.media_files()) == 2  # what was brought, and what is shown of it


async def test_what_one_replica_erases_while_another_takes_it_in_is_gone(
    pair: tuple[Archive, Archive], film: bytes
) -> None:
    one, two = pair
    await one.awaiting()
    place = await begin_upload(one, film)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield film[:1000]
        begun.set()
        await may_end.wait()
        yield film[1000:]

    taking = asyncio.create_task(two.patch(place, 0, slowly()))
    await begun.wait()
    await one.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await one.until("archive.erased")
    may_end.set()
    assert (await taking).status_code in {404, 409}
    assert one.media_files() == []
    assert await Uploads(two.context, QU).of("c1") == []


async def begin_upload(archive: Archive, content: bytes) -> str:
    headers = {**archive.tutor(), **TUS, "Upload-Length": str(len(content))}
    made = await archive.http.post("/archive/api/v1/recordings/c1/uploads", headers=headers)
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


async def test_replicas_that_start_at_once_after_a_restore_erase_again_without_falling_over_each_other(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with shared_stores(), AsyncExitStack() as stack:
        one = await stack.enter_async_context(archives.running(tmp_path / "data", nats_url, clock))
        await one.released(film)
        await one.context.vault.erase(QU, "c1")  # by the ledger it is erased, but here are its data
        more = [stack.enter_async_context(archives.running(tmp_path / "data", nats_url, clock)) for _ in range(3)]
        started = await asyncio.gather(*more)
        for replica in (one, *started):
            recording = await Recordings(replica.context, QU).get("c1")
            assert recording is not None
            assert recording.state == "erased"
        assert one.media_files() == []


async def test_replicas_that_start_at_once_after_an_upgrade_bring_the_indexes_in_line_together(mongo_url: str) -> None:
    class Before(Document):
        kind: ClassVar[str] = "visit"
        indexes: ClassVar[tuple[Index, ...]] = (Index.on("by"), Index.on("at"))
        by: str
        at: int

    class Now(Document):
        kind: ClassVar[str] = "visit"
        indexes: ClassVar[tuple[Index, ...]] = (Index.on("at", "by"),)
        by: str
        at: int

    async with AsyncExitStack() as stack:
        stores = [await MongoStore.open(mongo_url, "visits", SystemClock()) for _ in range(4)]
        for one in stores:
            stack.push_async_callback(one.close)
        await stores[0].prepare([Before])
        await asyncio.gather(*(one.prepare([Now]) for one in stores))
        assert await stores[0].drift([Now]) == []


# -- people


@pytest.fixture
async def portals(tmp_path: Path, nats_url: str) -> AsyncIterator[list[Portal]]:
    """Two replicas of the portal."""
    moment = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
    settings = Settings(data=tmp_path / "data", nats_url=nats_url)
    async with shared_stores(), AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            started = Deployment.started(settings, [PORTAL], clock=moment, create_keys=True)
            found.append(Portal(await stack.enter_async_context(started), moment))
        await found[0].add()
        await found[0].person("c@school.example", "coordinator")
        yield found


@pytest.mark.promise
async def test_who_is_signed_out_by_one_replica_is_out_of_the_other_within_a_second(portals: list[Portal]) -> None:
    one, two = portals
    person_id = await one.person("t@school.example", "tutor")
    page = "/portal/api/v1/journeys"
    async with (
        one.signed_in("t@school.example") as here,
        two.client() as there,
        one.signed_in("c@school.example") as boss,
    ):
        there.cookies = here.cookies
        assert (await there.get(page)).status_code == 200
        one.clock.advance(timedelta(seconds=2))
        durations = Durations()
        with durations.round():
            assert (await boss.patch(f"/portal/api/v1/people/{person_id}", json={"active": False})).is_success
            async with asyncio.timeout(PATIENCE):
                while (await there.get(page)).status_code != 401:
                    await asyncio.sleep(0.01)
        assert durations.percentile(1) < 1


async def test_a_sign_in_link_that_is_used_at_two_replicas_at_once_signs_in_once(portals: list[Portal]) -> None:
    link = await portals[0].link("c@school.example")
    async with portals[0].client() as here, portals[1].client() as there:
        answers = await asyncio.gather(here.post(link), there.post(link))
    assert sorted(answer.status_code for answer in answers) == [303, 410]


# -- events in hand


async def test_an_event_that_waited_for_others_is_no_dead_letter_when_it_first_fails_itself(
    bus_settings: BusSettings,
) -> None:
    failures: list[Exception] = [*(Conflict("somebody was first") for _ in range(70)), ValueError("a hiccup")]
    done = asyncio.Event()

    async def handle(_event: AnyEvent) -> None:
        if failures:
            raise failures.pop(0)
        done.set()

    consumer = Bus("consent", bus_settings, clock=SystemClock(), metrics=Metrics("consent"))
    for durable in durables_of("consent"):
        consumer.handle(durable.handler, handle if durable.handler == "keep_institution" else _ignore)
    await consumer.start()
    async with bus_of("portal", bus_settings) as portal:
        event = School(id="one", institution=SLUG).changed()
        await portal.publish(OutboxEntry("school", SLUG, "one", event.id, event.nats_subject, event.wire(), event.time))
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        assert await consumer.given_up("keep_institution") == 0
    await consumer.stop()


async def test_a_replica_that_stood_still_takes_no_other_ones_place_away(bus_settings: BusSettings) -> None:
    async with bus_of("portal", bus_settings) as portal, bus_of("consent", bus_settings) as other:
        heard = asyncio.Event()

        async def hear(_event: object, _sequence: int) -> None:
            heard.set()

        def listener(bus: Bus) -> StreamListener:
            one_place, log = ["the_only_place"], logging.getLogger("test")
            return StreamListener(
                bus.client, STREAM, [InstitutionChangedV1.filter_subject("*")], names=one_place, call=hear,
                unreadable=hear, since="new", log=log,
            )  # fmt: skip

        stood_still, present = listener(portal), listener(other)
        await stood_still.start(2)
        await portal.client.jetstream().delete_consumer(STREAM, "the_only_place")  # as the server does after a while
        stood_still._heard -= 10
        await present.start(2)
        await stood_still.stop()
        event = School(id="one", institution=SLUG).changed()
        await portal.publish(OutboxEntry("school", SLUG, "one", event.id, event.nats_subject, event.wire(), event.time))
        async with asyncio.timeout(PATIENCE):
            await heard.wait()
        await present.stop()


# -- consent


@pytest.fixture
async def houses(tmp_path: Path, nats_url: str) -> AsyncIterator[list[House]]:
    """Three replicas of consent, whose clocks the tests move one by one."""
    async with shared_stores(), AsyncExitStack() as stack:
        found = [await stack.enter_async_context(consent_house.running(tmp_path, nats_url)) for _ in range(3)]
        await consent_house.begin(found[0])
        yield found


def end(house: House, *names: str) -> None:
    """Kill background tasks of a replica."""
    for task in house.deployment.running["consent"].tasks:
        if task.get_name() in {f"consent-{name}" for name in names}:
            task.cancel()


@pytest.mark.promise
async def test_a_withdrawal_that_a_killed_replica_saved_is_told_by_another_within_a_second(
    houses: list[House], nats_url: str
) -> None:
    killed, two, _ = houses
    _, family = await killed.granted()
    await until_empty(killed.context.store)
    client, told = await nats.connect(nats_url), asyncio.Event()

    async def hear(_message: Any) -> None:
        told.set()

    await client.subscribe("fh.v1.*.consent.withdrawn", cb=hear)
    await client.flush()
    end(killed, "relay", "pulse")
    await asyncio.sleep(0)
    await killed.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    async with asyncio.timeout(0.9):
        await told.wait()
    await until_empty(two.context.store)
    assert (await two.journey()).consent.state == "withdrawn"
    await client.close()


async def test_no_replica_beats_while_an_event_of_any_waits(houses: list[House], nats_url: str) -> None:
    client, heard = await nats.connect(nats_url), []

    async def hear(message: Any) -> None:
        heard.append(json.loads(message.data))

    for house in houses:
        end(house, "relay", "pulse")
    await client.subscribe(pulses.SUBJECT, cb=hear)
    await client.flush()
    await until_drained(houses[0])

    async def all_beat() -> int:
        heard.clear()
        for house in houses:
            await pulses.beat(house.context)
            await house.context.bus.client.flush()
        await client.flush()
        return len(heard)

    assert await all_beat() == 3
    await houses[0].discover()  # saved by one, and published by none
    for house in houses:
        house.clock.advance(timedelta(seconds=1))
    assert await all_beat() == 0
    await until_drained(houses[2])
    assert await all_beat() == 3
    last = await houses[0].context.bus.last_sequence("FH_CONSENT")
    assert {one["sequence"] for one in heard} == {last}
    await client.close()


async def until_drained(house: House) -> None:
    async with asyncio.timeout(PATIENCE):
        while await house.context.relay.drain(1):
            pass


async def test_a_beat_is_as_old_as_its_look(houses: list[House], nats_url: str) -> None:
    house, heard = houses[0], []
    client = await nats.connect(nats_url)

    async def hear(message: Any) -> None:
        heard.append(json.loads(message.data))

    for one in houses:
        end(one, "pulse")
    for one in houses:
        await one.context.bus.client.flush()  # a beat that was on its way has gone
    await client.subscribe(pulses.SUBJECT, cb=hear)
    await client.flush()
    began = house.clock.now()
    look = house.context.relay.oldest_unpublished

    async def look_and_be_stopped() -> datetime | None:
        found = await look()
        house.clock.advance(timedelta(seconds=10))
        return found

    await until_empty(house.context.store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.context.relay, "oldest_unpublished", look_and_be_stopped)
        await pulses.beat(house.context)
    await house.context.bus.client.flush()
    await client.flush()
    await client.close()
    assert [one["at"] for one in heard] == [began.isoformat()]


async def test_the_last_answers_of_an_erasure_that_reach_two_replicas_at_once_complete_it_once(
    houses: list[House], nats_url: str
) -> None:
    one, two, three = houses
    _, family = await one.granted()
    await one.api("POST", "/family/withdraw", {"erase": "now"}, who=family)
    journey = await one.journey()
    assert journey.current_stage() == "erasing"
    answers = [(one, "discovery"), (two, "scheduling"), (three, "archive"), (one, "webhooks")]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(_until_taken(house, service) for house, service in answers))
    await until_empty(one.context.store)
    assert (await two.journey()).consent.state == "erased"
    client = await nats.connect(nats_url)
    told = await client.jetstream().stream_info("FH_CONSENT", subjects_filter="fh.v1.*.erasure.completed")
    await client.close()
    assert told.state.subjects == {f"fh.v1.{SLUG}.erasure.completed": 1}


async def _until_taken(house: House, service: str) -> None:
    """Handle the answer as a delivery does: again at once, ten times."""
    for attempt in range(10):
        try:
            return await house.erased_by("c1", service)
        except Conflict:
            if attempt == 9:
                raise
    return None


async def test_what_a_replica_recorded_of_an_act_that_came_after_an_erasure_is_gone(
    houses: list[House], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other, _ = houses
    _, family = await slow.granted()
    add = Records.add

    async def and_stand_still(self: Records, journey: Any, **act: Any) -> Any:
        monkeypatch.setattr(Records, "add", add)
        await other.api("POST", "/family/withdraw", {"erase": "now"}, who=family)
        for service in ERASURE_ANSWERS:
            await other.erased_by("c1", service)
        return await add(self, journey, **act)

    monkeypatch.setattr(Records, "add", and_stand_still)
    assert not (await slow.api("POST", "/family/pause", who=family, ok=False)).is_success
    assert (await other.journey()).consent.state == "erased"
    records = other.context.store.collection(Record, SLUG)
    assert [record.id async for record in records.all()] == []


async def test_what_was_destroyed_through_one_replica_lives_on_in_no_other(houses: list[House]) -> None:
    one, two, _ = houses
    sealed = await one.context.vault.seal(SLUG, "c1", "name", "Maryam")
    assert await two.context.vault.open(SLUG, "c1", "name", sealed) == "Maryam"
    await two.context.vault.media_key(SLUG, "c1")
    await one.context.vault.erase(SLUG, "c1")
    with pytest.raises(KeyErased):
        await two.context.vault.open(SLUG, "c1", "name", sealed)
    with pytest.raises(KeyErased):
        await two.context.vault.seal(SLUG, "c1", "name", "Maryam")
    with pytest.raises(KeyErased):
        await two.context.vault.media_key(SLUG, "c1")


# -- discovery


async def test_a_withdrawal_and_its_undoing_handled_at_once_leave_the_ledger_and_the_place_as_the_last_says(
    tmp_path: Path, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(discoveries.NOW)
    settings = Settings(data=tmp_path / "data", nats_url=nats_url)

    async with Deployment.started(settings, [DISCOVERY], clock=clock, create_keys=True) as deployment:
        keys = Keys.load(settings.key_folder)
        house = discoveries.House(deployment, clock, SessionIssuer(keys.signing, clock), settings.data)
        await house.policies(discoveries.OAK)
        contact = await house.contact()
        withdrawn = discoveries.told(contact, ConsentWithdrawnV1, 5, "withdrawn")
        undone = discoveries.told(contact, ConsentChangedV1, 6, "granted", scopes=["meet"])
        keep = people._keep_place
        first = True

        async def and_another_replica_is_faster(*what: Any) -> None:
            nonlocal first
            await keep(*what)
            if first:
                first = False
                await people.follow_consent(house.context, undone)

        monkeypatch.setattr(people, "_keep_place", and_another_replica_is_faster)
        with pytest.raises(Conflict):
            await people.follow_consent(house.context, withdrawn)
        await people.follow_consent(house.context, withdrawn)  # as a delivery does
        repository = Repository(house.context, discoveries.OAK)
        person = await repository.person(contact["contact_id"])
        entries = [await Ledger(house.context).entry(mark) for mark in person.on_deployment]
        places = await repository.places.get(person.case_id)
        assert person.standing == "active"
        assert [entry.said_no for entry in entries] == [[] for _ in entries]
        assert places is not None
        assert person.marks[0] in places.taken
