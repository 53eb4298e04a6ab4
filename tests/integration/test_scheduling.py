"""Scheduling over HTTP with a real NATS server and a real store: from a yes to a meeting, and back."""

import asyncio
import contextlib
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import icalendar
import nats
import pytest
from nats.aio.client import Client

from firsthand.services.scheduling.app import SERVICE
from firsthand.services.scheduling.model import Calendar, Meeting
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.events import AnyEvent, parse_event
from firsthand.shared.events import consent as consent_events
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1, CaseState
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from tests.patience import PATIENCE

QU, AKL = InstitutionId("qu-cdm"), InstitutionId("akl-dent")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday; on 8 March the clocks change in New York
HOUR = timedelta(hours=1)
API = "/scheduling/api/v1"
ADDRESS = "canary.family@home.example"
AVAILABILITY = {
    "zone": "Asia/Qatar",
    "duration_minutes": 75,
    "buffer_minutes": 15,
    "notice_hours": 24,
    "horizon_days": 14,
    "weekly": [{"weekday": day, "from": "16:00", "to": "22:00"} for day in range(7)],
    "blocked": ["2026-03-05"],
    "join_url": "https://meet.example/room",
}


@dataclass
class World:
    """The service under test, with what its neighbours would tell it."""

    deployment: Deployment
    clock: ManualClock
    nats: Client
    issuer: SessionIssuer
    http: httpx.AsyncClient
    sequences: dict[str, int] = field(default_factory=dict)
    told: list[AnyEvent] = field(default_factory=list)

    @property
    def context(self) -> Any:
        return self.deployment.contexts["scheduling"]

    @property
    def kept(self) -> Scheduling:
        return Scheduling(self.context, QU)

    def staff(self, person: str = "tutor1", role: Any = "tutor", institution: InstitutionId = QU) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.staff(institution, person, roles=frozenset({role}))}"}

    def family(self, contact: str = "c1", language: str = "en", institution: InstitutionId = QU) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.family(institution, contact, language=language)}"}

    async def publish(self, event: AnyEvent) -> None:
        await self.nats.jetstream().publish(event.nats_subject, event.wire(), headers={"Nats-Msg-Id": event.id})

    async def consent(
        self,
        kind: str = "ConsentGrantedV1",
        state: str = "granted",
        contact: str = "c1",
        language: str = "en",
        **more: Any,
    ) -> AnyEvent:
        """Publish a consent event as consent does, with the next sequence of its contact."""
        sequence = more.pop("sequence", self.sequences.get(contact, 0) + 1)
        self.sequences[contact] = max(sequence, self.sequences.get(contact, 0))
        if state == "granted":
            more = {"scopes": ["meet", "record-video"], "granted_at": self.clock.now()} | more
        model: type[AnyEvent] = getattr(consent_events, kind)
        event = model.record(
            institution=QU,
            subject=contact,
            sequence=sequence,
            at=self.clock.now(),
            actor="family",
            data=ConsentState(
                contact=ContactReference(
                    contact_id=contact,
                    case_id="case1",
                    reference=f"CLP-{contact}",
                    language=language,
                    tutor_id="tutor1",
                ),
                invitation=InvitationState(state="linked"),
                consent=ConsentRecordState(state=state, language=language, **more),
            ),
        )
        await self.publish(event)
        return event

    async def case(self) -> None:
        state = CaseState(
            case_id="case1", prefix="CLP", title="Cleft", condition={"en": "cleft lip and palate"}, languages=["en"],
            cohorts=["year-3"], tutors=["tutor1"], approvals=[], state="open",
        )  # fmt: skip
        told = {"institution": QU, "sequence": 1, "at": self.clock.now(), "actor": "x"}
        await self.publish(CaseChangedV1.record(subject="case1", data=state, **told))
        institution = InstitutionState(
            slug=QU,
            name="Example College",
            country="QA",
            zone="Asia/Qatar",
            languages=["en"],
            website="https://x.example",
            reply_address="families@college.example",
        )
        await self.publish(InstitutionChangedV1.record(subject=QU, data=institution, **told))

        async def told_of() -> bool:
            path = f"{API}/cases/case1/availability"
            return (await self.http.put(path, json=AVAILABILITY, headers=self.staff())).status_code == 200

        await self.eventually(told_of)

    async def offered(self, contact: str = "c1", **more: Any) -> None:
        await self.consent(contact=contact, **more)
        await self.until("meeting.offered", contact)

    async def slots(self, contact: str = "c1", zone: str = "America/New_York") -> list[dict[str, str]]:
        answer = await self.http.get(f"{API}/family/slots", params={"zone": zone}, headers=self.family(contact))
        assert answer.status_code == 200, answer.text
        slots: list[dict[str, str]] = answer.json()["slots"]
        return slots

    async def book(
        self, contact: str = "c1", number: int = 0, address: str = "", zone: str = "America/New_York", at: str = ""
    ) -> httpx.Response:
        starts_at = at or (await self.slots(contact))[number]["starts_at"]
        reach = {"by": "email", "address": address} if address else {"by": "page"}
        return await self.http.post(
            f"{API}/family/meeting",
            json={"starts_at": starts_at, "zone": zone, "reach": reach},
            headers=self.family(contact),
        )

    async def booked(self, contact: str = "c1", **more: Any) -> AnyEvent:
        before = self.count("meeting.scheduled", contact)
        answer = await self.book(contact, **more)
        assert answer.status_code == 200, answer.text
        return await self.until("meeting.scheduled", contact, before + 1)

    def count(self, told: str, contact: str = "c1") -> int:
        return sum(event.type == f"firsthand.{told}.v1" and event.subject == contact for event in self.told)

    async def until(self, told: str, contact: str = "c1", count: int = 1) -> AnyEvent:
        """Wait for an event that scheduling tells."""
        await self.eventually(lambda: _now(self.count(told, contact) >= count))
        found = [event for event in self.told if event.type == f"firsthand.{told}.v1" and event.subject == contact]
        return found[count - 1]

    async def eventually(self, look: Callable[[], Awaitable[Any]]) -> Any:
        timers = self.deployment.running["scheduling"].timers
        async with asyncio.timeout(PATIENCE):
            while not (found := await look()):
                await timers.look()
                await asyncio.sleep(0.02)
        return found

    async def state(self, contact: str = "c1") -> dict[str, Any]:
        answer = await self.http.get(f"{API}/family", headers=self.family(contact))
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    async def staff_post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"{API}/meetings/{path}", json=body, headers=self.staff())

    def mails(self, contact: str = "c1") -> list[Any]:
        folder = self.deployment.settings.mail / QU / contact
        paths = sorted(folder.glob("*.eml"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]

    async def until_mails(self, count: int, contact: str = "c1") -> list[Any]:
        found: list[Any] = await self.eventually(lambda: _now(len(m := self.mails(contact)) >= count and m))
        assert len(found) == count
        return found


async def _now(value: Any) -> Any:
    return value


@contextlib.asynccontextmanager
async def running(data: Path, url: str, clock: ManualClock, **more: Any) -> AsyncIterator[World]:
    settings = Settings(data=data, nats_url=url, port=0, **{"public_url": "https://firsthand.example"} | more)
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        keys = Keys.load(settings.key_folder)
        connection = await nats.connect(url)
        transport = httpx.ASGITransport(app=deployment.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://firsthand.example", timeout=20) as http:
            world = World(deployment, clock, connection, SessionIssuer(keys.signing, clock), http)

            async def hear(message: Any) -> None:
                world.told.append(parse_event(message.data))

            for entity in ("meeting", "calendar", "scheduling"):
                await connection.subscribe(f"fh.v1.*.{entity}.>", cb=hear)
            await connection.flush()
            try:
                yield world
            finally:
                await connection.close()


@pytest.fixture
async def world(tmp_path: Path, nats_url: str) -> AsyncIterator[World]:
    async with running(tmp_path / "data", nats_url, ManualClock(NOW)) as world:
        await world.case()
        yield world


def utc(at: datetime) -> str:
    """As the API writes an instant."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_yes_offers_times_and_a_chosen_time_makes_a_meeting(world: World) -> None:
    await world.offered()
    slots = await world.slots()
    first = slots[0]
    assert first["starts_at"] == "2026-03-03T13:00:00Z", "16:00 in Doha, after a day's notice"
    assert first["local"] == "2026-03-03T08:00:00-05:00"
    assert first["tutor_local"] == "2026-03-03T16:00:00+03:00"
    assert not any(slot["tutor_local"].startswith("2026-03-05") for slot in slots), "a day off"
    after = next(slot for slot in slots if slot["starts_at"].startswith("2026-03-09"))
    assert after["local"] == "2026-03-09T09:00:00-04:00", "the clocks changed in New York, not in Doha"

    answer = await world.book()
    told = answer.json()
    assert (told["state"], told["starts_at"]) == ("scheduled", first["starts_at"]), "the page shows it at once"
    scheduled = await world.until("meeting.scheduled")
    assert scheduled.data.starts_at == datetime.fromisoformat(first["starts_at"])
    assert (scheduled.actor, scheduled.correlationid) == ("family", "c1")
    assert first["starts_at"] not in {slot["starts_at"] for slot in await world.slots()}
    state = await world.state()
    assert (state["confirmed"], state["join_url"]) == (True, "https://meet.example/room")


async def test_of_fifty_families_who_choose_the_same_time_exactly_one_gets_it(world: World) -> None:
    contacts = [f"f{number}" for number in range(50)]
    await asyncio.gather(*(world.consent(contact=contact) for contact in contacts))
    for contact in contacts:
        await world.until("meeting.offered", contact)
    wanted = (await world.slots("f0"))[0]["starts_at"]
    answers = await asyncio.gather(*(world.book(contact, at=wanted) for contact in contacts))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    assert refused["detail"] == "Someone has just taken this time. Choose another one."
    assert refused["slots"]
    assert wanted not in {slot["starts_at"] for slot in refused["slots"]}
    winner = contacts[[answer.status_code for answer in answers].index(200)]
    await world.until("meeting.scheduled", winner)
    assert [event.subject for event in world.told if event.type == "firsthand.meeting.scheduled.v1"] == [winner]


async def test_a_family_moves_its_meeting_in_one_write_and_the_former_time_is_free(world: World) -> None:
    await world.offered()
    first = await world.booked()
    moved = await world.booked(number=2)
    assert (moved.data.reschedules, first.data.reschedules) == (1, 0)
    calendar = await world.kept.calendar("tutor1")
    assert [one.starts_at for one in calendar.reservations] == [moved.data.starts_at]
    assert utc(first.data.starts_at) in {slot["starts_at"] for slot in await world.slots()}


async def test_a_time_that_was_booked_twice_by_the_same_family_is_booked_once(world: World) -> None:
    await world.offered()
    at = (await world.slots())[0]["starts_at"]
    answers = await asyncio.gather(*(world.book(at=at) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    await world.until("meeting.scheduled")
    assert [event.sequence for event in world.told if event.type == "firsthand.calendar.changed.v1"] == [1]


async def test_a_time_outside_the_hours_cannot_be_booked(world: World) -> None:
    await world.offered()
    answer = await world.book(at="2026-03-03T03:00:00+00:00")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "This time is no longer available. Choose another one."


@pytest.mark.parametrize(
    ("kind", "state"),
    [("ConsentChangedV1", "paused"), ("ConsentWithdrawnV1", "withdrawn"), ("ConsentDeclinedV1", "declined")],
)
async def test_a_consent_that_ends_cancels_the_meeting_and_a_resumed_one_offers_times_again(
    world: World, kind: str, state: str
) -> None:
    await world.offered()
    await world.booked()
    await world.consent(kind, state)
    cancelled = await world.until("meeting.cancelled")
    assert cancelled.data.cancelled_by == "consent"
    await world.eventually(lambda: _is_free(world))
    assert (await world.book(at="2026-03-04T13:00:00+00:00")).status_code == 409
    await world.consent("ConsentChangedV1")
    await world.until("meeting.offered", count=2)
    await world.booked(number=1)


async def _is_free(world: World) -> bool:
    return (await world.kept.calendar("tutor1")).reservations == []


async def test_meeting_without_a_yes_to_it_is_never_offered(world: World) -> None:
    await world.consent(scopes=["share-cohort"])
    await world.eventually(lambda: world.kept.meeting("c1"))
    assert (await world.state())["state"] == "not-open"
    assert (await world.book(at="2026-03-04T13:00:00+00:00")).status_code in {404, 409}
    assert world.told == []


async def test_a_time_reserved_while_the_consent_ended_is_set_free_again(world: World) -> None:
    await world.offered()
    meeting = await world.kept.known_meeting("c1")
    before = meeting.version
    await world.consent("ConsentWithdrawnV1", "withdrawn")
    await world.until("meeting.cancelled")
    await world.eventually(lambda: _settled(world))
    # what a booking that had read the meeting before the withdrawal would still write
    calendar = await world.kept.calendar("tutor1")
    at = datetime(2026, 3, 4, 13, tzinfo=UTC)
    await _reserve_as_read_before(world, calendar, at, before)
    await world.eventually(lambda: _is_free(world))
    assert world.count("meeting.scheduled") == 0


async def _settled(world: World) -> bool:
    return (await world.kept.known_meeting("c1")).due_at is None


async def _reserve_as_read_before(world: World, calendar: Calendar, at: datetime, knew: int) -> None:
    from firsthand.services.scheduling.handlers.calendars import _changed
    from firsthand.services.scheduling.model.slots import Slot

    calendar.reserve("c1", Slot(at, at + HOUR), knew=knew, buffer=timedelta(0), now=world.clock.now())
    await world.kept.put_calendar(calendar, _changed(world.context, calendar, "c1", "family"))


async def test_late_and_repeated_consent_events_change_nothing(world: World) -> None:
    await world.consent("ConsentWithdrawnV1", "withdrawn", sequence=7)
    await world.eventually(lambda: world.kept.meeting("c1"))
    await world.consent(sequence=3)
    await world.consent("ConsentWithdrawnV1", "withdrawn", contact="c2")
    await world.eventually(lambda: world.kept.meeting("c2"))
    assert (await world.kept.meeting("c1")).state == "none"  # type: ignore[union-attr]
    assert world.told == []


async def test_a_family_cancels_without_a_reason_and_may_choose_again(world: World) -> None:
    await world.offered()
    booked = await world.booked()
    answer = await world.http.post(f"{API}/family/meeting/cancel", headers=world.family())
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    cancelled = await world.until("meeting.cancelled")
    assert (cancelled.data.cancelled_by, cancelled.actor) == ("family", "family")
    await world.eventually(lambda: _is_free(world))
    again = await world.http.post(f"{API}/family/meeting/cancel", headers=world.family())
    assert again.status_code == 409
    rebooked = await world.booked()
    assert rebooked.data.starts_at == booked.data.starts_at


async def test_the_tutor_moves_cancels_and_offers_again(world: World) -> None:
    await world.offered()
    await world.booked()
    # by message they agreed on a time outside the weekly hours
    answer = await world.staff_post("c1/reschedule", starts_at="2026-03-06T05:00:00Z")
    assert answer.status_code == 200, answer.text
    moved = await world.until("meeting.scheduled", count=2)
    assert (moved.data.starts_at, moved.actor) == (datetime(2026, 3, 6, 5, tzinfo=UTC), "tutor1")
    assert (await world.staff_post("c1/reschedule")).json()["state"] == "offered"
    await world.eventually(lambda: _is_free(world))
    await world.booked()
    answer = await world.staff_post("c1/cancel", reason="The tutor is ill. We are sorry.")
    assert answer.json()["cancelled_by"] == "tutor"
    state = await world.state()
    assert (state["note"], state["may_choose"]) == ("The tutor is ill. We are sorry.", False)
    assert (await world.staff_post("c1/offer")).json()["state"] == "offered"
    assert (await world.state())["may_choose"]


async def test_a_tutor_closes_a_meeting_as_held_and_each_ones_yes_decides_on_the_recording(world: World) -> None:
    await world.offered()
    booked = await world.booked()
    everybody = [{"person_id": "tutor1", "agrees_to_recording": True}, {"person_id": "s1", "agrees_to_recording": True}]
    early = await world.staff_post("c1/close", held=True, participants=everybody)
    assert early.status_code == 422
    assert "has not passed yet" in early.json()["detail"]
    world.clock.set(booked.data.ends_at + HOUR)
    before = (await world.http.get(f"{API}/meetings/c1/close", headers=world.staff())).json()
    assert (before["recording_allowed"], before["held_from"]) == (True, utc(booked.data.starts_at))
    closed = await world.staff_post("c1/close", held=True, participants=everybody)
    assert closed.json()["state"] == "finished"
    finished = await world.until("meeting.finished")
    assert finished.data.recording == "expected"
    assert finished.data.participants == ["tutor1", "s1"]
    assert (finished.data.held_from, finished.data.held_until) == (booked.data.starts_at, booked.data.ends_at)
    assert (await world.state())["state"] == "finished"


async def test_nobody_came_and_times_are_offered_again(world: World) -> None:
    await world.offered()
    booked = await world.booked()
    world.clock.set(booked.data.ends_at)
    answer = await world.staff_post("c1/close", held=False, reason="nobody-came", offer_again=True)
    assert answer.json()["state"] == "offered"
    assert (await world.until("meeting.cancelled")).data.cancelled_by == "not-held"
    await world.until("meeting.offered", count=2)


async def test_mail_confirms_reminds_and_takes_back_with_a_neutral_subject_and_a_calendar_file(world: World) -> None:
    await world.offered()
    booked = await world.booked(address=ADDRESS)
    (confirmation,) = await world.until_mails(1)
    assert confirmation["To"] == ADDRESS
    assert confirmation["Subject"] == "Your video call is booked: Tuesday, March 3, 2026 at 8:00\u202fAM"
    text = confirmation.get_body(("plain",)).get_content()
    assert "New York time" in text
    assert "Qatar time" in text
    assert "https://meet.example/room" in text
    assert "cleft" not in confirmation.as_string().lower()

    world.clock.set(booked.data.starts_at - 24 * HOUR)
    (_, reminder) = await world.until_mails(2)
    assert reminder["Subject"].startswith("Reminder of your video call")
    moved = await world.booked(number=3, address=ADDRESS)
    change = (await world.until_mails(3))[2]
    world.clock.set(moved.data.starts_at - HOUR)
    assert (await world.until_mails(4))[3]["Subject"].startswith("Your video call starts soon")
    await world.http.post(f"{API}/family/meeting/cancel", headers=world.family())
    cancellation = (await world.until_mails(5))[4]
    files = [_calendar(mail) for mail in (confirmation, change, cancellation)]
    assert [str(calendar["METHOD"]) for calendar, _ in files] == ["REQUEST", "REQUEST", "CANCEL"]
    assert {str(event["UID"]) for _, event in files} == {"c1.qu-cdm@meetings.firsthand.invalid"}
    assert [event["SEQUENCE"] for _, event in files] == [0, 1, 2]
    assert files[1][1].start == moved.data.starts_at
    assert {str(event["ORGANIZER"]) for _, event in files} == {"mailto:families@college.example"}
    assert {mail["Reply-To"] for mail in (confirmation, change, cancellation)} == {"families@college.example"}
    assert confirmation["From"] == "Example College <firsthand@localhost.localdomain>"
    assert "or reply to this email" in text


async def test_a_clock_that_goes_ahead_for_a_while_costs_no_family_its_reminder_or_its_time(world: World) -> None:
    await world.offered()
    booked = await world.booked(address=ADDRESS)
    await world.offered("c2")
    await world.booked("c2", number=1)
    await world.until_mails(1)
    ahead, timers = timedelta(days=1100), world.deployment.running["scheduling"].timers
    world.clock.jump(ahead)
    await timers.look()
    await world.http.post(f"{API}/family/meeting/cancel", headers=world.family("c2"))
    await world.until("meeting.cancelled", "c2")
    world.clock.jump(-ahead)
    calendar = await Scheduling(world.deployment.contexts["scheduling"], QU).calendar("tutor1")
    assert [one.contact_id for one in calendar.reservations] == ["c1"]
    world.clock.set(booked.data.starts_at - 24 * HOUR)
    (_, reminder) = await world.until_mails(2)
    assert reminder["Subject"].startswith("Reminder of your video call")


def _calendar(mail: Any) -> tuple[Any, Any]:
    (file,) = mail.iter_attachments()
    assert file.get_content_type() == "application/ics"
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    assert part.get_payload(decode=True) == file.get_payload(decode=True)
    calendar = icalendar.Calendar.from_ical(part.get_payload(decode=True))
    assert part["Content-Type"].params["method"] == calendar["METHOD"]
    (event,) = calendar.walk("VEVENT")
    return calendar, event


async def test_a_family_that_wants_no_mail_gets_none_and_finds_its_file_on_the_page(world: World) -> None:
    await world.offered(language="es")
    await world.booked()
    answer = await world.http.get("/scheduling/family/meeting.ics", headers=world.family(language="es"))
    assert answer.headers["content-type"].startswith("text/calendar")
    (event,) = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    assert "cleft" not in answer.text.lower()
    assert event.start.utcoffset() == timedelta(0)
    assert world.mails() == []


async def test_erasure_leaves_nothing_of_the_family_and_says_so_once(world: World, tmp_path: Path) -> None:
    await world.offered()
    await world.booked(address=ADDRESS)
    await world.until_mails(1)
    await world.staff_post("c1/cancel", reason="Canary word to the family")
    await world.until_mails(2)
    await world.consent("ConsentWithdrawnV1", "withdrawn", erasure_id="e1")
    request = await world.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    erased = await world.until("scheduling.erased")
    assert erased.data.erased == ["email-address", "mail", "meeting-times", "notes", "zone"]
    assert (erased.data.erasure_id, erased.data.out_of_reach) == ("e1", []), "the folder delivers nothing"
    assert (erased.subject, erased.causationid) == ("c1", request.id)
    assert await _is_free(world)
    assert world.mails() == []
    assert (await world.state())["state"] == "not-open"
    for needle in (ADDRESS, "Canary word", "America/New_York"):
        assert _files_with(tmp_path, needle.encode()) == []

    await world.publish(request.model_copy(update={"id": "repeated"}))
    await world.consent("ErasureCompletedV1", "erased", contact="c9")
    await world.consent(contact="c2")
    await world.until("meeting.offered", "c2")
    assert world.count("scheduling.erased") == 1


def _files_with(folder: Path, needle: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def test_an_erasure_that_arrives_first_wins_over_what_comes_later(world: World) -> None:
    await world.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1", sequence=9)
    await world.until("scheduling.erased")
    await world.consent(sequence=4)
    await world.consent(sequence=12)
    await world.consent(contact="c2")
    await world.until("meeting.offered", "c2")
    assert (await world.kept.known_meeting("c1")).state == "erased"
    assert world.count("meeting.offered") == 0


async def test_data_restored_from_a_backup_is_erased_again_before_a_door_opens(tmp_path: Path, nats_url: str) -> None:
    data, clock = tmp_path / "data", ManualClock(NOW)
    async with running(data, nats_url, clock) as world:
        await world.case()
        await world.offered()
        await world.booked(address=ADDRESS)
        await world.eventually(lambda: _settled_or_reminding(world))
    backup = {path.name: path.read_bytes() for path in (data / "db").glob("*") if path.is_file()}
    async with running(data, nats_url, clock) as world:
        world.sequences["c1"] = 1
        await world.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
        await world.until("scheduling.erased")
    for path in (data / "db").glob("*"):
        path.unlink()
    for name, content in backup.items():
        (data / "db" / name).write_bytes(content)
    async with running(data, nats_url, clock) as world:
        meeting = await world.kept.known_meeting("c1")
        assert (meeting.state, meeting.address, meeting.starts_at) == ("erased", None, None)
        assert world.mails() == []


async def _settled_or_reminding(world: World) -> bool:
    return (await world.kept.known_meeting("c1")).letters == []


async def test_another_institution_sees_nothing(world: World) -> None:
    await world.offered()
    await world.booked()
    other = world.staff("tutor9", "coordinator", AKL)
    for path in ("meetings/c1", "meetings/c1/close", "cases/case1/availability"):
        assert (await world.http.get(f"{API}/{path}", headers=other)).status_code == 404, path
    assert (await world.http.post(f"{API}/meetings/c1/cancel", headers=other)).status_code == 404
    assert (
        await world.http.put(f"{API}/cases/case1/availability", json=AVAILABILITY, headers=other)
    ).status_code == 404
    assert (await world.http.get(f"{API}/meetings", headers=other)).json() == {
        "items": [],
        "next": None,
        "total": 0,
    }
    theirs = await world.http.get(f"{API}/family", headers=world.family(institution=AKL))
    assert theirs.json()["state"] == "not-open"


async def test_staff_never_sees_the_familys_address(world: World) -> None:
    await world.offered()
    await world.booked(address=ADDRESS)
    for path in ("/meetings", "/meetings/c1"):
        answer = await world.http.get(API + path, headers=world.staff())
        assert answer.status_code == 200
        assert ADDRESS not in answer.text
        assert "email" in answer.text
    assert all(ADDRESS.encode() not in event.wire() for event in world.told)


async def test_only_a_tutor_of_the_case_has_hours_for_it_and_a_coordinator_may_set_them(world: World) -> None:
    path = f"{API}/cases/case1/availability"
    stranger = await world.http.put(path, json=AVAILABILITY, headers=world.staff("tutor2"))
    assert stranger.status_code == 404
    named = AVAILABILITY | {"tutor_id": "tutor1", "join_url": "https://meet.example/other"}
    assert (await world.http.put(path, json=named, headers=world.staff("tutor2"))).status_code == 404
    coordinator = world.staff("head", "coordinator")
    assert (await world.http.put(path, json=named, headers=coordinator)).status_code == 200
    found = (await world.http.get(path, headers=world.staff())).json()
    assert (found["join_url"], found["weekly"][0]) == (
        named["join_url"],
        {"weekday": 0, "from": "16:00", "to": "22:00"},
    )


async def test_a_new_meeting_room_holds_for_what_is_planned_too(world: World) -> None:
    await world.offered()
    await world.booked()
    changed = AVAILABILITY | {"join_url": "https://meet.example/new"}
    await world.http.put(f"{API}/cases/case1/availability", json=changed, headers=world.staff())
    assert (await world.state())["join_url"] == "https://meet.example/new"


async def test_a_booking_survives_a_stop_between_the_calendar_and_the_meeting(tmp_path: Path, nats_url: str) -> None:
    data, clock = tmp_path / "data", ManualClock(NOW)
    async with running(data, nats_url, clock) as world:
        await world.case()
        await world.offered()
        answer = await world.book()
        assert answer.status_code == 200
    async with running(data, nats_url, clock) as world:
        assert (await world.state())["state"] == "scheduled"

        async def planned() -> Meeting | None:
            meeting = await world.kept.known_meeting("c1")
            return meeting if meeting.state == "scheduled" else None

        await world.eventually(planned)


# -- pages, as a browser without scripts uses them


def cookies(world: World, **more: str) -> dict[str, str]:
    return {"Cookie": f"__Host-fh_family={world.issuer.family(QU, 'c1', language='en')}", "Accept": "text/html", **more}


def staff_cookies(world: World) -> dict[str, str]:
    token = world.issuer.staff(QU, "tutor1", roles=frozenset({"tutor"}))
    return {"Cookie": f"__Host-fh_staff={token}", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


async def test_a_family_chooses_place_and_time_and_cancels_without_a_script(world: World) -> None:
    await world.offered()
    browser, form = cookies(world), cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    home = await world.http.get("/scheduling/family", headers=browser)
    assert home.headers["location"] == "/scheduling/family/place"
    found = await world.http.post("/scheduling/family/place", data={"find": "arizona"}, headers=form)
    assert 'value="America/Phoenix"' in found.text
    wrong = await world.http.post("/scheduling/family/place", data={"zone": "Mars/Olympus"}, headers=form)
    assert (wrong.status_code, "Choose your place from the list" in wrong.text) == (422, True)
    chosen = await world.http.post("/scheduling/family/place", data={"zone": "America/Phoenix"}, headers=form)
    assert chosen.headers["location"] == "/scheduling/family/times"
    times = await world.http.get("/scheduling/family/times", headers=browser)
    assert "Tuesday, March 3, 2026" in times.text
    assert "Phoenix time" in times.text
    assert "Qatar time" in times.text

    at = (await world.slots())[0]["starts_at"]
    asked = await world.http.get("/scheduling/family/confirm", params={"at": at}, headers=browser)
    assert "How should we send reminders?" in asked.text
    night = {"at": at, "night": "yes"}
    for data, said in (
        (night, "Choose how we should send reminders."),
        (night | {"by": "email", "address": "nonsense"}, "Enter your email address"),
    ):
        refused = await world.http.post("/scheduling/family/confirm", data=data, headers=form)
        assert (refused.status_code, said in refused.text) == (422, True)
    booked = await world.http.post("/scheduling/family/confirm", data=night | {"by": "page"}, headers=form)
    assert (booked.status_code, booked.headers["location"]) == (303, "/scheduling/family?done=booked")
    page = await world.http.get(booked.headers["location"], headers=browser)
    assert "Your video call is booked" in page.text
    await world.until("meeting.scheduled")
    cancelled = await world.http.post("/scheduling/family/cancel", headers=form)
    assert cancelled.status_code == 303
    assert "You cancelled this call." in (await world.http.get("/scheduling/family", headers=browser)).text


async def test_a_family_whose_time_was_taken_meanwhile_is_shown_others(world: World) -> None:
    await world.offered()
    await world.offered("c2")
    at = (await world.slots())[0]["starts_at"]
    form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    await world.http.post("/scheduling/family/place", data={"zone": "America/Phoenix"}, headers=form)
    await world.booked("c2", at=at)
    late = await world.http.post("/scheduling/family/confirm", data={"at": at, "by": "page"}, headers=form)
    assert late.status_code == 409
    assert "Someone has just taken this time. Choose another one." in late.text
    assert "Tuesday, March 3, 2026" in late.text


async def test_a_family_changes_how_it_is_reached_without_giving_up_its_time(world: World) -> None:
    await world.offered()
    booked = await world.booked(zone="America/Phoenix")
    form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    at = booked.data.starts_at.isoformat()
    asked = await world.http.get("/scheduling/family/confirm", params={"at": at}, headers=cookies(world))
    assert "Book this time?" in asked.text
    data = {"at": at, "by": "email", "address": ADDRESS}
    assert (await world.http.post("/scheduling/family/confirm", data=data, headers=form)).status_code == 303
    (confirmation,) = await world.until_mails(1)
    assert confirmation["Subject"].startswith("Your video call is booked")
    assert world.count("meeting.scheduled") == 1


@pytest.mark.parametrize("at", ["soon", "2026-03-03T13:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
async def test_a_time_that_is_none_is_refused_plainly_at_every_door(world: World, at: str) -> None:
    await world.offered()
    form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    await world.http.post("/scheduling/family/place", data={"zone": "America/Phoenix"}, headers=form)
    answers = [
        await world.book(at=at),
        await world.http.get("/scheduling/family/confirm", params={"at": at}, headers=form),
        await world.http.post("/scheduling/family/confirm", data={"at": at, "by": "page"}, headers=form),
        await world.staff_post("c1/reschedule", starts_at=at),
        await world.http.post("/scheduling/meetings/c1/move", data={"slot": at}, headers=staff_cookies(world)),
        await world.http.post(
            "/scheduling/meetings/c1/move", data={"at": at.removesuffix("Z") + ":99"}, headers=staff_cookies(world)
        ),
    ]
    assert {answer.status_code for answer in answers} <= {409, 422}
    await world.booked()
    for key in ("held_from", "held_until"):
        body = {"held": True, "participants": [{"person_id": "tutor1"}], key: at}
        assert (await world.staff_post("c1/close", **body)).status_code == 422


async def test_another_site_cannot_book_or_cancel_for_a_family(world: World) -> None:
    await world.offered()
    await world.booked()
    foreign = cookies(world, **{"Sec-Fetch-Site": "cross-site"})
    assert (await world.http.post("/scheduling/family/cancel", headers=foreign)).status_code == 403
    assert (await world.state())["state"] == "scheduled"


async def test_a_tutor_gives_hours_moves_and_closes_on_the_pages(world: World) -> None:
    browser = staff_cookies(world)
    hours = {
        "zone": "Asia/Qatar", "duration_minutes": "60", "buffer_minutes": "0", "notice_hours": "24",
        "horizon_days": "7", "from-1-0": "22:00", "to-1-0": "00:00", "blocked": "", "join_url": "",
    }  # fmt: skip
    page = "/scheduling/availability/case1"
    wrong = await world.http.post(page, data=hours | {"to-1-0": "21:00", "blocked": "soon"}, headers=browser)
    assert wrong.status_code == 422
    assert "Enter hours like 09:00 to 17:30" in wrong.text
    assert "Enter each day off on its own line" in wrong.text
    looked = await world.http.post(page, data=hours | {"look": "yes"}, headers=browser)
    assert "Auckland time" in looked.text
    assert (await world.kept.availability("case1", "tutor1")).rules.duration_minutes == 75  # type: ignore[union-attr]
    assert (await world.http.post(page, data=hours, headers=browser)).status_code == 303
    rules = (await world.kept.availability("case1", "tutor1")).rules  # type: ignore[union-attr]
    assert (rules.duration_minutes, rules.weekly[0].to) == (60, "24:00")

    empty = await world.http.get("/scheduling/meetings", headers=browser)
    assert "No meetings yet" in empty.text
    await world.offered()
    one = "/scheduling/meetings/c1"
    gap = await world.http.post(f"{one}/move", data={"at": "soon"}, headers=browser)
    assert (gap.status_code, "Enter a date and a time." in gap.text) == (422, True)
    moved = await world.http.post(f"{one}/move", data={"at": "2026-03-03T08:00"}, headers=browser)
    assert moved.headers["location"] == f"{one}?done=moved"
    booked = await world.until("meeting.scheduled")
    assert booked.data.starts_at == datetime(2026, 3, 3, 5, tzinfo=UTC)
    assert "Upcoming" in (await world.http.get("/scheduling/meetings", headers=browser)).text
    world.clock.set(booked.data.ends_at + HOUR)
    browser = staff_cookies(world)
    assert "To close" in (await world.http.get("/scheduling/meetings", headers=browser)).text
    held = {"person": ["tutor1", "s1", ""], "agrees": ["0"], "begun": "2026-03-03T08:05", "ended": "2026-03-03T08:50"}
    closed = await world.http.post(f"{one}/held", data=held, headers=browser)
    assert closed.status_code == 303, closed.text
    finished = await world.until("meeting.finished")
    assert (finished.data.participants, finished.data.recording) == (["tutor1", "s1"], "none")
    assert finished.data.held_from == datetime(2026, 3, 3, 5, 5, tzinfo=UTC)
    assert "does not agree to a recording" in (await world.http.get(one, headers=browser)).text


async def test_pages_speak_the_familys_language(world: World) -> None:
    await world.offered()
    for code, said in (("ar", "أين أنتم؟"), ("es", "¿Dónde está usted?")):
        page = await world.http.get("/scheduling/family/place", params={"lang": code}, headers=cookies(world))
        assert said in page.text
        assert f'lang="{code}"' in page.text


async def test_what_was_entered_to_close_or_move_a_meeting_is_kept_when_it_is_refused(world: World) -> None:
    await world.offered()
    booked = await world.booked()
    world.clock.set(booked.data.ends_at)
    browser = staff_cookies(world)
    held = {"person": ["tutor1", "s1", "no such person"], "agrees": ["1"], "begun": "2026-03-03T16:05", "ended": ""}
    refused = await world.http.post("/scheduling/meetings/c1/held", data=held, headers=browser)
    assert refused.status_code == 422
    assert "does not have an ID of this institution" in refused.text
    for kept in ('value="s1"', 'value="no such person"', 'value="2026-03-03T16:05"', 'value="1" checked'):
        assert kept in refused.text, kept
    assert 'value="0" checked' not in refused.text
    late = {"reason": "technical", "again": "yes"}
    world.clock.set(booked.data.starts_at - HOUR)
    browser = staff_cookies(world)
    early = await world.http.post("/scheduling/meetings/c1/not-held", data=late, headers=browser)
    assert early.status_code == 422
    wrong = await world.http.post("/scheduling/meetings/c1/move", data={"at": "1999-01-01T10:00"}, headers=browser)
    assert (wrong.status_code, 'value="1999-01-01T10:00"' in wrong.text) == (422, True)
