"""What people do in a chain, told on the bus as the services would tell it, and the institution in which they do it.

A chain, with what the services do in capitals:

    contact.discovered -> INVITATION.PREPARED -> consent.granted  -> MEETING.OFFERED  -> calendar.changed
    -> MEETING.SCHEDULED -> meeting.finished  -> RECORDING.AWAITED

They publish as a relay does, many events as one batch. In a process of their own they play so many chains:

    python -m bench.people nats://... <chains> <at once>
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeVar

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DeliverPolicy

from firsthand.shared.bus.batches import Publisher
from firsthand.shared.clock import SystemClock
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.deployment import Deployment
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
from firsthand.shared.service import Service
from firsthand.shared.store import OutboxEntry
from firsthand.shared.topology import STREAMS

E = TypeVar("E", bound=AnyEvent)

INSTITUTION = InstitutionId("bench-dental")
CASE = "01" * 8  # one for all processes of a benchmark
_CLOCK = SystemClock()
_WITHIN = 300.0  # seconds for all chains
_BATCH = 256  # events, as a relay takes at once


class People:
    """They begin chains and carry each one on, on seeing what came before."""

    def __init__(self, client: Client, *, at_once: int) -> None:
        """`at_once`: chains begun and not yet finished."""
        self._client = client
        self._js: JetStreamContext = client.jetstream()
        self._publishing: dict[str, _Publishing] = {}  # by service
        self.room = asyncio.Semaphore(at_once)
        self._chains = 0
        self.finished: set[str] = set()
        self.done = asyncio.Event()

    async def watch(self) -> None:
        """See what the services tell, from now on."""
        for stream in ("FH_CONSENT", "FH_SCHEDULING", "FH_ARCHIVE"):
            await self._js.subscribe(
                "", stream=stream, cb=self.see, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
            )
        await self._client.flush()

    async def play(self, chains: int) -> None:
        """Begin so many chains; returns when all have ended."""
        self._chains = len(self.finished) + chains
        self.done.clear()
        async with asyncio.timeout(_WITHIN):
            for _ in range(chains):
                await self.room.acquire()
                await self.begin()
            await self.done.wait()

    async def tell_setting(self) -> None:
        """Tell the services of a process of its own what `prepare` gives to those of this one."""
        for event in setting():
            await self._tell(event)

    async def begin(self) -> str:
        """Begin one chain; gives its contact."""
        contact = _contact()
        state = ContactState(contact=contact, platform="mastodon", state="discovered")
        await self._tell(event_of(ContactDiscoveredV1, contact.contact_id, state))
        return contact.contact_id

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
                self.room.release()
                if len(self.finished) == self._chains:
                    self.done.set()

    async def _tell(self, event: AnyEvent) -> None:
        if event.service not in self._publishing:
            self._publishing[event.service] = _Publishing(self._client, event.service)
        self._publishing[event.service].tell(event)


class _Publishing:
    """Publishes what is told of one service, in order, as much at once as waits."""

    def __init__(self, client: Client, service: str) -> None:
        self._publisher = Publisher(client, STREAMS[service].name, logging.getLogger("bench"))
        self._waiting: list[OutboxEntry] = []
        self._task: asyncio.Task[None] | None = None

    def tell(self, event: AnyEvent) -> None:
        named = ("bench", event.institution, event.subject, event.id, event.nats_subject)
        self._waiting.append(OutboxEntry(*named, event.wire(), event.time))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            assert None not in await self._publisher.publish(entries)


async def prepare(deployment: Deployment) -> None:
    """Give the services the institution and the case, as the portal and discovery tell of them."""
    institution, case = setting()
    for name, context in deployment.contexts.items():
        if name != "portal":
            await keep_institution(context, institution)
        if name != "discovery":
            await keep_case(context, case)


def setting() -> tuple[InstitutionChangedV1, CaseChangedV1]:
    """Give the institution and the case in which all chains are played."""
    now = _CLOCK.now()
    institution = InstitutionState(
        slug=INSTITUTION, name="Bench", country="QA", zone="Asia/Qatar", languages=["en"], active_contacts_a_case=10**6
    )
    approvals = [
        ApprovalState(kind=kind, number="1", expires_at=now + timedelta(days=90))
        for kind in ("ethics", "data-protection")
    ]
    case = CaseState(
        case_id=CASE, prefix="BEN", title="Bench", condition={"en": "cleft"}, languages=["en"], cohorts=["year-3"],
        tutors=[], approvals=approvals, safeguarding_contact="x", state="open",
    )  # fmt: skip
    return event_of(InstitutionChangedV1, INSTITUTION, institution), event_of(CaseChangedV1, CASE, case)


async def check(deployment: Deployment, services: Sequence[Service], chains: int) -> None:
    """Each service that is part of the chain keeps a document of each. Webhooks keeps none where no endpoint is."""
    for service in services:
        context = deployment.contexts[service.name]
        counts = {kind.kind: await context.store.collection(kind, INSTITUTION).count() for kind in service.documents}
        assert service.name in {"discovery", "webhooks"} or chains in counts.values(), (service.name, counts)


def event_of(kind: type[E], subject: str, state: State, *, sequence: int = 1, about: str | None = None) -> E:
    return kind.record(
        institution=INSTITUTION,
        subject=subject,
        sequence=sequence,
        at=_CLOCK.now(),
        actor="system",
        data=state,
        correlation=about,
    )


def _contact() -> ContactReference:
    id_ = new_id()
    return ContactReference(contact_id=id_, case_id=CASE, reference=f"BEN-{id_[:5]}", language="en", tutor_id=new_id())


def _granted(event: AnyEvent) -> ConsentGrantedV1:
    scopes = ["meet", "record-video", "record-audio", "share-cohort"]
    state = ConsentState(
        contact=event.data.contact,
        invitation=InvitationState(state="linked", answer="yes"),
        consent=ConsentRecordState(state="granted", scopes=scopes, granted_at=_CLOCK.now()),
    )
    return event_of(ConsentGrantedV1, event.subject, state, sequence=event.sequence + 1)


def _chosen(event: AnyEvent) -> CalendarChangedV1:
    starts = _CLOCK.now() + timedelta(days=2)
    reserved = ReservationState(contact_id=event.subject, starts_at=starts, ends_at=starts + timedelta(minutes=75))
    tutor = event.data.contact.tutor_id
    calendar = CalendarState(tutor_id=tutor, reservations=[reserved])
    return event_of(CalendarChangedV1, tutor, calendar, about=event.subject)


def _held(event: AnyEvent) -> MeetingFinishedV1:
    state = MeetingState(contact=event.data.contact, state="finished", recording="expected", held_until=_CLOCK.now())
    return event_of(MeetingFinishedV1, event.subject, state, sequence=event.sequence + 1)


async def main(url: str, chains: int, at_once: int) -> None:
    """Play chains; tells how many seconds they took."""
    client = await nats.connect(url)
    people = People(client, at_once=at_once)
    await people.watch()
    started = time.perf_counter()
    await people.play(chains)
    print(time.perf_counter() - started)
    await client.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
