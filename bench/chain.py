"""Chains a second over the four hops between services, beside the bare driver in the same run. Aim: 0.3 of the floor.

A hop is: take an event, write one document durably, publish the event that it causes.

    contact.discovered -> invitation.prepared      consent     prepare_invitation
    consent.granted    -> meeting.offered          scheduling  follow_consent
    calendar.changed   -> meeting.scheduled        scheduling  make_meeting
    meeting.finished   -> recording.awaited        archive     await_recording

Ours: the real handlers of the three services in one process, with vault, store, outbox and relay. What people do
between the hops (answer, decide, choose a time, close the meeting) is published by the benchmark. Everything else that
the three services handle of these events (consent follows the meeting, archive follows the consent) runs as well.

Floor: nats-py alone: `fetch(64)`, one SQLite transaction (WAL, FULL) a batch, publish with `Nats-Msg-Id`, ack.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from firsthand.services.archive.app import SERVICE as ARCHIVE
from firsthand.services.consent.app import SERVICE as CONSENT
from firsthand.services.scheduling.app import SERVICE as SCHEDULING
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import SystemClock
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import AnyEvent, State, parse_event
from firsthand.shared.events.consent import ConsentGrantedV1, ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ApprovalState, CaseChangedV1, CaseState, ContactDiscoveredV1, ContactState
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.events.scheduling import (
    CalendarChangedV1,
    CalendarState,
    MeetingFinishedV1,
    MeetingState,
    ReservationState,
)
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.settings import Settings

E = TypeVar("E", bound=AnyEvent)

_CHAINS = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
_HOPS = 4
_BATCH = 64
_AT_ONCE = 500  # chains begun and not yet finished
_INSTITUTION = InstitutionId("bench-dental")
_CASE = new_id()
_CLOCK = SystemClock()
_SERVICES = (CONSENT, SCHEDULING, ARCHIVE)


async def floor(server: EmbeddedNats, folder: Path) -> float:
    """Four bare consumers, one after another; gives chains a second."""
    client = await nats.connect(server.url)
    js = client.jetstream()
    await js.add_stream(StreamConfig(name="FLOOR", subjects=["floor.>"], duplicate_window=120))
    database = sqlite3.connect(folder / "floor.db", check_same_thread=False, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE documents (id TEXT PRIMARY KEY, body TEXT)"
    )
    writer = ThreadPoolExecutor(1)
    done = asyncio.Event()
    finished = 0

    def write(rows: list[tuple[str, bytes]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        database.execute("COMMIT")

    async def hop(number: int) -> None:
        nonlocal finished
        durable = f"hop{number}"
        await js.add_consumer(
            "FLOOR",
            ConsumerConfig(durable_name=durable, filter_subject=f"floor.{number}", ack_policy=AckPolicy.EXPLICIT),
        )
        subscription = await js.pull_subscribe_bind(durable, "FLOOR")
        while True:
            try:
                messages = await subscription.fetch(_BATCH, timeout=0.2)
            except TimeoutError:
                continue
            rows = [(f"{number}-{message.metadata.sequence.stream}", message.data) for message in messages]
            await asyncio.get_running_loop().run_in_executor(writer, write, rows)
            await asyncio.gather(
                *(
                    js.publish(f"floor.{number + 1}", message.data, headers={"Nats-Msg-Id": new_id()})
                    for message in messages
                )
            )
            await asyncio.gather(*(message.ack() for message in messages))
            if number == _HOPS:
                finished += len(messages)
                if finished >= _CHAINS:
                    done.set()

    body = b"x" * 700  # an event of ours is about as long
    hops = [asyncio.create_task(hop(number)) for number in range(1, _HOPS + 1)]
    started = time.perf_counter()
    for first in range(0, _CHAINS, _BATCH):
        await asyncio.gather(*(js.publish("floor.1", body) for _ in range(first, min(first + _BATCH, _CHAINS))))
    await done.wait()
    took = time.perf_counter() - started
    for task in hops:
        task.cancel()
    await asyncio.gather(*hops, return_exceptions=True)
    (rows,) = database.execute("SELECT count(*) FROM documents").fetchone()
    assert rows == _CHAINS * _HOPS, rows
    database.close()
    await client.close()
    return _CHAINS / took


class People:
    """What people do between the hops, published as the services would: each on seeing what came before."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.finished: set[str] = set()
        self.done = asyncio.Event()

    async def begin(self, chains: int) -> None:
        for number in range(chains):
            await self._room.acquire()
            contact = _contact(number)
            state = ContactState(contact=contact, platform="mastodon", state="discovered")
            await self._tell(_event(ContactDiscoveredV1, contact.contact_id, state))

    async def see(self, message: Msg) -> None:
        event = parse_event(message.data)
        match event.event_type():
            case "firsthand.invitation.prepared.v1":
                await self._tell(_granted(event))
            case "firsthand.meeting.offered.v1":
                await self._tell(_chosen(event))
            case "firsthand.meeting.scheduled.v1":
                await self._tell(_held(event))
            case "firsthand.recording.awaited.v1":
                self.finished.add(event.subject)
                self._room.release()
                if len(self.finished) == _CHAINS:
                    self.done.set()

    async def _tell(self, event: AnyEvent) -> None:
        await self._js.publish_async(event.nats_subject, event.wire(), headers={"Nats-Msg-Id": event.id})


def _contact(number: int) -> ContactReference:
    return ContactReference(
        contact_id=new_id(), case_id=_CASE, reference=f"BEN-{number:05d}", language="en", tutor_id=new_id()
    )


def _event(kind: type[E], subject: str, state: State, *, sequence: int = 1, about: str | None = None) -> E:
    return kind.record(
        institution=_INSTITUTION,
        subject=subject,
        sequence=sequence,
        at=_CLOCK.now(),
        actor="system",
        data=state,
        correlation=about,
    )


def _granted(event: AnyEvent) -> ConsentGrantedV1:
    scopes = ["meet", "record-video", "record-audio", "share-cohort"]
    state = ConsentState(
        contact=event.data.contact,
        invitation=InvitationState(state="linked", answer="yes"),
        consent=ConsentRecordState(state="granted", scopes=scopes, granted_at=_CLOCK.now()),
    )
    return _event(ConsentGrantedV1, event.subject, state, sequence=event.sequence + 1)


def _chosen(event: AnyEvent) -> CalendarChangedV1:
    starts = _CLOCK.now() + timedelta(days=2)
    reserved = ReservationState(contact_id=event.subject, starts_at=starts, ends_at=starts + timedelta(minutes=75))
    tutor = event.data.contact.tutor_id
    calendar = CalendarState(tutor_id=tutor, reservations=[reserved])
    return _event(CalendarChangedV1, tutor, calendar, about=event.subject)


def _held(event: AnyEvent) -> MeetingFinishedV1:
    state = MeetingState(contact=event.data.contact, state="finished", recording="expected", held_until=_CLOCK.now())
    return _event(MeetingFinishedV1, event.subject, state, sequence=event.sequence + 1)


async def ours(server: EmbeddedNats, folder: Path) -> float:
    """The real services; gives chains a second."""
    await apply(BusSettings(url=server.url))
    settings = Settings(data=folder / "data", nats_url=server.url)
    client = await nats.connect(server.url)
    js = client.jetstream(publish_async_max_pending=4000)
    async with Deployment.started(settings, _SERVICES, create_keys=True) as deployment:
        await _prepare(deployment)
        people = People(js)
        await _watch(client, js, people)
        started = time.perf_counter()
        beginning = asyncio.create_task(people.begin(_CHAINS))
        async with asyncio.timeout(300):
            await people.done.wait()
        took = time.perf_counter() - started
        await beginning
        await _check(deployment, people)
    await client.close()
    return _CHAINS / took


async def _prepare(deployment: Deployment) -> None:
    """Give the services the institution and the case, as the portal and discovery tell of them."""
    now = _CLOCK.now()
    institution = InstitutionState(
        slug=_INSTITUTION, name="Bench", country="QA", zone="Asia/Qatar", languages=["en"], active_contacts_a_case=10**6
    )
    approvals = [
        ApprovalState(kind=kind, number="1", expires_at=now + timedelta(days=90))
        for kind in ("ethics", "data-protection")
    ]
    case = CaseState(
        case_id=_CASE, prefix="BEN", title="Bench", condition={"en": "cleft"}, languages=["en"], cohorts=["year-3"],
        tutors=[], approvals=approvals, safeguarding_contact="x", state="open",
    )  # fmt: skip
    for context in deployment.contexts.values():
        await keep_institution(context, _event(InstitutionChangedV1, _INSTITUTION, institution))
        await keep_case(context, _event(CaseChangedV1, _CASE, case))


async def _watch(client: Client, js: JetStreamContext, people: People) -> None:
    for stream in ("FH_CONSENT", "FH_SCHEDULING", "FH_ARCHIVE"):
        await js.subscribe("", stream=stream, cb=people.see, ordered_consumer=True)
    await client.flush()


async def _check(deployment: Deployment, people: People) -> None:
    """Each chain ended exactly once, and its documents are there."""
    assert len(people.finished) == _CHAINS
    for service, kind in (("consent", CONSENT), ("scheduling", SCHEDULING), ("archive", ARCHIVE)):
        context = deployment.contexts[service]
        counts = {
            document.kind: await context.store.collection(document, _INSTITUTION).count() for document in kind.documents
        }
        assert _CHAINS in counts.values(), (service, counts)


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedNats(folder / "nats")
        await server.start()
        bare = await floor(server, folder)
        real = await ours(server, folder)
        await server.stop()
    print(f"chain  floor {bare:.0f} chains/s   ours {real:.0f} chains/s   ratio {real / bare:.2f} (aim 0.3)")


if __name__ == "__main__":
    uvloop.run(main())
