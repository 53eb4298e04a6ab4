"""What the relay promises, on a real nats-server and a real store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from firsthand.shared.bus import Bus, BusSettings
from firsthand.shared.bus.relay import Relay
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import AnyEvent
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.metrics import Metrics
from firsthand.shared.store import Document, OutboxEntry, Store
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.topology import STREAMS, durables_of
from tests.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("institutions_heard")

STREAM = STREAMS["portal"].name
SLUG = InstitutionId("qu-cdm")


class School(Document):
    """An institution, whose every save causes an event."""

    kind: ClassVar[str] = "school"

    def changed(self) -> InstitutionChangedV1:
        state = InstitutionState(slug=SLUG, name="A School", country="QA", zone="Asia/Qatar", languages=["en"])
        return InstitutionChangedV1.record(
            institution=SLUG,
            subject=self.id,
            sequence=self.next_version,
            at=SystemClock().now(),
            actor="system",
            data=state,
        )


class Counted(Document):
    """What a consumer keeps: how often each school changed."""

    kind: ClassVar[str] = "counted"
    effects: int = 0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "portal.db", SystemClock())
    await opened.prepare([School, Counted])
    yield opened
    await opened.close()


@pytest.fixture
async def portal(bus_settings: BusSettings) -> AsyncIterator[Bus]:
    bus = Bus("portal", bus_settings, clock=SystemClock(), metrics=Metrics("portal"))
    for durable in durables_of("portal"):
        bus.handle(durable.handler, _ignore)
    await bus.start()
    yield bus
    await bus.stop()


async def _ignore(_event: AnyEvent) -> None:
    """Take what this test is not about."""


async def save(store: Store, count: int) -> None:
    """Insert schools, each with its event."""
    schools = store.collection(School, SLUG)
    found = [School(id=f"school-{n:04}", institution=SLUG) for n in range(count)]
    await asyncio.gather(*(schools.insert(school, school.changed()) for school in found))


async def until_empty(store: Store) -> None:
    async with asyncio.timeout(PATIENCE):
        while await store.outbox(limit=1):  # noqa: ASYNC110 - the relay tells nobody
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    yield relay
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_every_saved_event_is_published_in_the_order_of_the_saves(store: SqliteStore, portal: Bus) -> None:
    heard: asyncio.Queue[AnyEvent] = asyncio.Queue()

    async def hear(event: AnyEvent, _sequence: int) -> None:
        heard.put_nowait(event)

    await portal.listen("hear_institutions", hear, unreadable=hear, since="all")
    async with running(Relay(store, portal, SystemClock(), Metrics("portal"))):
        schools = store.collection(School, SLUG)
        school = await schools.insert(first := School(id="one", institution=SLUG), first.changed())
        for _ in range(99):
            school = await schools.save(school, school.changed())
        async with asyncio.timeout(PATIENCE):
            events = [await heard.get() for _ in range(100)]
    assert [event.sequence for event in events] == list(range(1, 101))


async def test_a_save_is_published_at_once_and_not_at_the_next_sweep(
    store: SqliteStore, portal: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firsthand.shared.bus.relay._SWEEP", 3600.0)
    relay = Relay(store, portal, SystemClock(), Metrics("portal"))
    async with running(relay):
        while not all(lane.wake._waiters for lane in relay._lanes):  # noqa: ASYNC110 - until it found nothing and waits
            await asyncio.sleep(0)
        await save(store, 1)
        await until_empty(store)
    assert await portal.last_sequence(STREAM) == 1


class Closing(InstitutionChangedV1):
    """A change that overtakes others."""

    urgent: ClassVar[bool] = True


class Held(Bus):
    """A bus on which what is not urgent does not get through until it may."""

    may_go_on: asyncio.Event

    async def publish_all(self, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        if not all(entry.urgent for entry in entries):
            await self.may_go_on.wait()
        return await super().publish_all(entries)


async def test_an_urgent_event_is_published_while_a_batch_is_on_its_way(
    store: SqliteStore, bus_settings: BusSettings
) -> None:
    bus = Held("portal", bus_settings, clock=SystemClock(), metrics=Metrics("portal"))
    bus.may_go_on = asyncio.Event()
    await bus.connect()
    await save(store, 300)
    schools = store.collection(School, SLUG)
    async with running(Relay(store, bus, SystemClock(), Metrics("portal"))):
        last = await schools.get("school-0299")
        assert last
        event = Closing.record(
            institution=SLUG, subject=last.id, sequence=2, at=SystemClock().now(), actor="x", data=last.changed().data
        )
        await schools.save(last, event)
        async with asyncio.timeout(PATIENCE):
            while await store.outbox(urgent=True):  # noqa: ASYNC110 - the relay tells nobody
                await asyncio.sleep(0.005)
        assert len(await store.outbox(limit=1000)) == 300
        bus.may_go_on.set()
        await until_empty(store)
    first = await bus.client.jetstream().get_msg(STREAM, seq=1)
    assert (first.headers or {})["Nats-Msg-Id"] == event.id
    assert await bus.last_sequence(STREAM) == 301
    await bus.stop()


async def test_two_relays_at_work_publish_nothing_twice(store: SqliteStore, portal: Bus) -> None:
    await save(store, 600)
    relays = [Relay(store, portal, SystemClock(), Metrics("portal")) for _ in range(2)]
    async with running(relays[0]), running(relays[1]):
        await until_empty(store)
    assert await portal.last_sequence(STREAM) == 600


async def test_an_event_published_by_a_process_that_died_before_noting_it_is_not_published_twice(
    store: SqliteStore, portal: Bus
) -> None:
    await save(store, 3)
    await portal.publish_all(await store.outbox())
    async with running(Relay(store, portal, SystemClock(), Metrics("portal"))):
        await until_empty(store)
    assert await portal.last_sequence(STREAM) == 3


async def test_events_saved_while_nats_is_away_wait_and_are_published_when_it_is_back(
    store: SqliteStore, portal: Bus, nats_server: EmbeddedNats, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics("portal")
    async with running(Relay(store, portal, SystemClock(), metrics)) as relay:
        await nats_server.stop()
        await save(store, 5)
        await asyncio.sleep(0.5)
        assert len(await store.outbox()) == 5
        assert isinstance(await relay.oldest_unpublished(), datetime)
        await nats_server.start()
        await until_empty(store)
        assert await relay.oldest_unpublished() is None
    assert await portal.last_sequence(STREAM) == 5
    assert sum("events wait to be published" in record.message for record in caplog.records) == 1
    assert b'firsthand_published_total{service="portal",stream="FH_PORTAL"} 5.0' in metrics.render()


async def test_events_that_do_not_go_out_are_told_once_that_lasts(
    store: SqliteStore, portal: Bus, nats_server: EmbeddedNats
) -> None:
    clock = ManualClock(SystemClock().now())
    relay = Relay(store, portal, clock, Metrics("portal"))
    await nats_server.stop()
    await save(store, 1)
    await relay.publish_batch()
    assert relay.waiting() == []
    clock.advance(timedelta(seconds=40))
    assert "Events have waited for" in relay.waiting()[0]
    await nats_server.start()
    async with running(relay):
        await until_empty(store)
    assert relay.waiting() == []


async def test_what_the_server_refuses_stays(store: SqliteStore, portal: Bus, bus_settings: BusSettings) -> None:
    await save(store, 2)
    await portal.client.jetstream().delete_stream(STREAM)
    relay = Relay(store, portal, SystemClock(), Metrics("portal"))
    assert await relay.publish_batch() is False
    assert len(await store.outbox()) == 2


async def test_draining_publishes_what_is_left(store: SqliteStore, portal: Bus) -> None:
    await save(store, 300)
    assert await Relay(store, portal, SystemClock(), Metrics("portal")).drain(within=5) == 0
    assert await portal.last_sequence(STREAM) == 300


async def test_an_effect_happens_once_though_its_event_comes_many_times(
    store: SqliteStore, portal: Bus, bus_settings: BusSettings
) -> None:
    handled = asyncio.Semaphore(0)
    counts: dict[str, int] = {}

    async def count(event: AnyEvent) -> None:
        counted = store.collection(Counted, event.institution)
        document = await counted.get(event.subject) or Counted(id=event.subject, institution=event.institution)
        if document.take(event):
            document.effects += 1
            await (counted.save(document) if document.version else counted.insert(document))
        counts[event.subject] = counts.get(event.subject, 0) + 1
        if counts[event.subject] <= 3:
            raise RuntimeError("killed after the effect and before the acknowledgement")
        handled.release()

    consumer = Bus("consent", bus_settings, clock=SystemClock(), metrics=Metrics("consent"))
    for durable in durables_of("consent"):
        consumer.handle(durable.handler, count if durable.handler == "keep_institution" else _ignore)
    await consumer.start()
    try:
        async with running(Relay(store, portal, SystemClock(), Metrics("portal"))):
            await save(store, 50)
            async with asyncio.timeout(PATIENCE):
                for _ in range(50):
                    await handled.acquire()
        effects = [document.effects async for document in store.collection(Counted, SLUG).all()]
    finally:
        await consumer.stop()
    assert effects == [1] * 50
    assert set(counts.values()) == {4}
