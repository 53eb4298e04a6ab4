"""What whole journeys tell, and single services that are given it: real stores, no network, and a life that can end."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nats

from firsthand.example import journey as play
from firsthand.services.__main__ import SERVICES
from firsthand.services.archive.model import Media
from firsthand.services.archive.repository import Recordings
from firsthand.services.consent.model import Consent, Invitation, Journey
from firsthand.services.discovery.model.people import Person
from firsthand.shared.bus import Bus, BusSettings
from firsthand.shared.bus.relay import Relay
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.deployment import KEY_STORE_KINDS, Deployment, RunningService, _apply_erasure_ledger
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import AnyEvent, parse_event
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.mail import FolderMailer
from firsthand.shared.metrics import Metrics
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.serving import WebServer, bound_socket
from firsthand.shared.sessions import SessionVerifier
from firsthand.shared.settings import Settings
from firsthand.shared.store import AlreadyExists, Document
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.store.sqlite_database import Database
from firsthand.shared.timers import Timers
from firsthand.shared.topology import STREAMS, durables_of
from firsthand.shared.trusted_clock import TrustedClock
from firsthand.shared.vault import Vault
from tests.ports import free_port

SLUG = "oak-dental"


# -- whole journeys, played once


@dataclass(frozen=True)
class Told:
    """Every event of some journeys, in the order in which they happened."""

    events: list[AnyEvent]
    whole: str  # the contact that went through everything, withdrawal and erasure included
    undone: str  # withdrew for a while, came back, withdrew again
    declined: str

    def of(self, contact: str) -> list[AnyEvent]:
        """The events of one contact, those that every contact's stand on first."""
        ground = [e for e in self.events if e.entity in {"institution", "person", "case"}]
        return ground + [e for e in self.events if e not in ground and e.correlationid == contact]


async def played(folder: Path) -> Told:
    """Play three journeys through the running system, and read the streams."""
    nats_server = EmbeddedNats(folder / "nats", free_port())
    url = await nats_server.start()
    await apply(BusSettings(url=url))
    settings = Settings(data=folder / "data", nats_url=url, port=0)
    try:
        listening = bound_socket(settings)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = settings.model_copy(update={"public_url": address})
        async with Deployment.started(settings, list(SERVICES.values()), create_keys=True) as deployment:
            server = WebServer(deployment)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await server.until_started()
            contacts = await _play(address, Keys.load(settings.key_folder))
            server.should_exit = True
            await serving
        return Told(await _read(url), *contacts)
    finally:
        await nats_server.stop()


async def _play(address: str, keys: Keys) -> tuple[str, str, str]:
    async with play.school(address, keys, SystemClock(), SLUG) as school:
        await play.open_case(school)
        whole = await _linked(school, "whole.example")
        async with play.open_link(whole):
            for step in (play.decide, play.book, play.hold, play.upload, play.release, play.withdraw, play.certificate):
                await step(whole)
        undone = await _linked(school, "undone.example")
        async with play.open_link(undone):
            await play.decide(undone)
            await play.book(undone)
            await play.withdraw(undone, "in-7-days")
            await play.meeting(undone, "cancelled")
            await undone.family.call("POST", "/consent/api/v1/family/undo")
            await play.book(undone, number=1)
            await play.withdraw(undone, "in-7-days")
            await play.meeting(undone, "cancelled")
        declined = await _linked(school, "declined.example")
        async with play.open_link(declined):
            await declined.family.call("POST", "/consent/api/v1/family/decline")
        await play.timeline(whole, *play.THE_CHAIN)
        await play.timeline(declined, "consent.declined")
    return whole.contact_id, undone.contact_id, declined.contact_id


async def _linked(school: play.School, handle: str) -> play.Journey:
    journey = await play.clear(school, await play.nominate(school, handle))
    await play.send_first_message(journey)
    await play.log_answer(journey, "yes")
    return journey


async def _read(url: str) -> list[AnyEvent]:
    client = await nats.connect(url)
    js, found = client.jetstream(), []
    for stream in STREAMS.values():
        last = (await js.stream_info(stream.name)).state.last_seq
        found += [(await js.get_msg(stream.name, seq, direct=True)).data or b"" for seq in range(1, last + 1)]
    await client.close()
    return sorted(map(parse_event, found), key=lambda e: (e.time, e.service, e.sequence))


# -- one service, alone


class Died(BaseException):
    """The process was killed here."""


@dataclass
class Life:
    """Ends at the given moment; before and after each write there is one. 0: never."""

    ends_at: int = 0
    lived: int = 0

    def goes_on(self) -> None:
        self.lived += 1
        if self.lived == self.ends_at:
            raise Died


class MortalDatabase(Database):
    """A database whose process may be killed before or after any write."""

    life = Life()

    async def write(self, apply: Any, **told: Any) -> Any:
        self.life.goes_on()
        result = await super().write(apply, **told)
        self.life.goes_on()
        return result

    async def compact(self) -> None:
        self.life.goes_on()
        await super().compact()
        self.life.goes_on()


@dataclass
class Alone:
    """One service of the system, given events by hand."""

    name: str
    context: Context
    life: Life
    keys: SqliteStore

    async def hear(self, event: AnyEvent) -> None:
        """Give an event to every handler whose durable has it."""
        for durable in durables_of(self.name):
            if type(event) in durable.events:
                await SERVICES[self.name].handlers[durable.handler](self.context, event)

    async def look(self) -> None:
        """Do what is due."""
        await Timers(self.context, SERVICES[self.name].timers).look()

    async def known(self, told: "Told", contact: str) -> None:
        """Let the service hold what its own people did before: what only a command makes. May be repeated."""
        events = told.of(contact)
        found = {e.event_type(): e for e in events}
        if self.name == "discovery":
            await self._insert(_person(found["firsthand.contact.discovered.v1"]))
        if self.name == "consent" and (asked := found.get("firsthand.erasure.requested.v1")):
            await self._insert(_erasing(asked))

    async def film(self, contact: str, sha256: str, at: datetime) -> None:
        """Take a recording in, if one may be."""
        recordings = Recordings(self.context, InstitutionId(SLUG))
        recording = await recordings.get(contact)
        media = Media(
            file="film", has_video=True, mime="video/webm", codecs=["vp8"], duration_seconds=2, bytes=9,
            sha256=sha256, taken_in_at=at, taken_in_by="tutor",
        )  # fmt: skip
        if recording is None or recording.media:
            return
        try:
            told = recording.take_in(media, 730)
        except Refused:
            return
        await recordings.save(recording, told, at=at)

    async def _insert(self, document: Document) -> None:
        with contextlib.suppress(AlreadyExists):
            await self.context.store.collection(type(document), document.institution).insert(document)

    async def told(self) -> list[str]:
        """The types of the events that it saved, in order."""
        return [json.loads(entry.body)["type"] for entry in await self.context.store.outbox(limit=10_000)]

    async def documents(self, kind: type[Document]) -> list[Document]:
        collection = self.context.store.collection(kind, SLUG)  # type: ignore[arg-type]
        return [document async for document in collection.all()]


def _person(event: AnyEvent) -> Person:
    contact = event.data.contact
    return Person(
        id=event.subject, institution=event.institution, case_id=contact.case_id, reference=contact.reference, number=1,
        platform=event.data.platform, language=contact.language, tutor_id=contact.tutor_id, marks=["m1", "m2"],
        on_deployment=["d1"], lead_id="lead", cleared_by=event.actor, cleared_at=event.time,
    )  # fmt: skip


def _erasing(event: AnyEvent) -> Journey:
    """Consent's document when every service was asked to erase."""
    told = event.data
    return Journey(
        id=event.subject,
        institution=event.institution,
        contact=told.contact,
        case_id=told.contact.case_id,
        invitation=Invitation.model_validate(told.invitation.model_dump()),
        consent=Consent.model_validate(told.consent.model_dump(include=set(Consent.model_fields))),
        stage="erasing",
        moved_at=event.time,
    )


@asynccontextmanager
async def alone(name: str, folder: Path, clock: ManualClock, life: Life | None = None) -> AsyncIterator[Alone]:
    """Start a service as `shared.deployment` does, with the ledger applied, but without a bus."""
    settings = Settings(data=folder, nats_url="nats://127.0.0.1:1", port=0)
    keys, life = Keys.load(settings.key_folder, {}, create=True), life or Life()
    stores = []
    for place in (settings.databases, settings.key_folder):
        database = MortalDatabase(place / f"{name}.db", clock)
        stores.append(SqliteStore(database))
    store, key_store = stores
    await store.prepare(SERVICES[name].documents)
    await key_store.prepare(KEY_STORE_KINDS)
    trusted = TrustedClock(clock, key_store)
    await trusted.load()
    metrics = Metrics(name)
    bus = Bus(name, BusSettings(url=settings.nats_url), clock=clock, metrics=metrics)
    context = Context(
        service=name,
        clock=clock,
        trusted=trusted,
        store=store,
        vault=Vault(key_store, keys.masters, clock, service=name),
        bus=bus,
        relay=Relay(store, bus, clock, metrics),
        settings=settings,
        mail=FolderMailer(settings.mail, clock, settings.mail_from),
        verifier=SessionVerifier(keys.verifying, clock),
        issuer=None,
        log=logging.getLogger(name),
        metrics=metrics,
    )
    service = SERVICES[name]
    for one in stores:
        one._database.life = life  # type: ignore[attr-defined]
    try:
        await _apply_erasure_ledger(RunningService(service, context, Timers(context, service.timers), key_store))
        yield Alone(name, context, life, key_store)
    finally:
        for one in stores:
            await one.close()
