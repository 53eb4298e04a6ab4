"""What a journey asks of staff, from the journey alone; how it is found is tested with the portal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firsthand.services.portal.model.journey import NOTHING, Journey
from firsthand.services.portal.model.today import TASK_LISTS, TaskList, approvals_to_renew, earliest, task_of, waits
from firsthand.shared.events.archive import RecordingState
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ApprovalState, CaseState
from firsthand.shared.events.scheduling import MeetingState, TellingState
from firsthand.shared.identifiers import InstitutionId

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
PATIENCE = timedelta(days=5)
HOUR = timedelta(hours=1)
CONTACT = ContactReference(contact_id="c1", case_id="k1", reference="CLP-001", language="ar", tutor_id="t1")


def journey(stage: str, invitation: str = "linked", record: str = "granted", **fields: Any) -> Journey:
    invited = {name: fields.pop(name) for name in ("answer", "sent_at", "reminded_at", "later_at") if name in fields}
    return Journey(
        id="c1",
        institution=InstitutionId("qu-cdm"),
        reference="CLP-001",
        case_id="k1",
        stage=stage,
        moved_at=fields.pop("moved_at", NOW - timedelta(days=1)),
        consent=ConsentState(
            contact=CONTACT,
            invitation=InvitationState(state=invitation, **invited),
            consent=ConsentRecordState(state=record, scopes=["meet"]),
        ),
        **fields,
    )


def meeting(hours: float) -> MeetingState:
    starts_at = NOW + timedelta(hours=hours)
    return MeetingState(
        contact=CONTACT, state="scheduled", starts_at=starts_at, ends_at=starts_at + timedelta(minutes=75)
    )


def told(state: str, how: str) -> MeetingState:
    return MeetingState(contact=CONTACT, state=state, telling=TellingState(of="recording", how=how))


def recording(
    state: str, refused: str | None = None, preparing: str | None = None, changes: str | None = None
) -> RecordingState:
    return RecordingState(contact=CONTACT, state=state, refused_because=refused, preparing=preparing, changes=changes)


@pytest.mark.parametrize(
    ("of", "doing", "url"),
    [
        (journey("to-send", "prepared", "none"), "send-message", "/consent/invitations/c1"),
        (journey("sent", "sent", "none", sent_at=NOW - PATIENCE), "remind", "/consent/invitations/c1"),
        (
            journey("answered", "answered", "none", answer="later", later_at=NOW),
            "write-again",
            "/consent/invitations/c1",
        ),
        (journey("answered", "answered", "none", answer="yes"), "send-link", "/consent/invitations/c1"),
        (journey("answered", "answered", "none", answer="question"), "answer-question", "/consent/invitations/c1"),
        (journey("consented", moved_at=NOW - timedelta(days=3)), "more-times", "/scheduling/availability/k1"),
        (journey("booked", meeting=meeting(5)), "hold-meeting", "/scheduling/meetings/c1"),
        (journey("booked", meeting=meeting(-2)), "close-meeting", "/scheduling/meetings/c1"),
        (journey("consented", meeting=told("offered", "by-hand")), "tell-family", "/scheduling/meetings/c1"),
        (journey("booked", meeting=told("scheduled", "by-hand")), "tell-family", "/scheduling/meetings/c1"),
        (
            journey("held", meeting=told("finished", "by-hand"), recording=recording("held")),
            "tell-family",
            "/scheduling/meetings/c1",
        ),
        (journey("met", recording=recording("awaited")), "upload", "/archive/recordings/c1"),
        (journey("met", recording=recording("awaited", preparing="refused")), "upload", "/archive/recordings/c1"),
        (
            journey("met", recording=recording("awaited", preparing="choosing")),
            "choose-tracks",
            "/archive/recordings/c1",
        ),
        (journey("released", copies="to-destroy"), "destroy-copies", "/archive/recordings/c1"),
        (journey("erased", record="erased", copies="to-destroy"), "destroy-copies", "/archive/recordings/c1"),
        (journey("held", recording=recording("held", changes="asked")), "change-asked", "/archive/recordings/c1"),
        (journey("held", recording=recording("held", "wider-than-allowed")), "wider", "/archive/recordings/c1"),
    ],
)
def test_what_is_to_do_leads_to_the_page_where_it_is_done(of: Journey, doing: str, url: str) -> None:
    task = task_of(of, NOW, reminder_after=PATIENCE)
    assert task
    assert (task.doing, task.url, task.reference) == (doing, url, "CLP-001")
    assert task.at <= NOW or doing == "hold-meeting"


@pytest.mark.parametrize(
    "of",
    [
        journey("sent", "sent", "none", sent_at=NOW - PATIENCE, reminded_at=NOW),
        journey("answered", "answered", "none", answer="later", later_at=NOW - HOUR, reminded_at=NOW),
        journey("linked", "linked", "none"),
        journey("held", recording=recording("held")),
        journey("held", recording=recording("held", changes="made")),
        journey("held", recording=recording("held"), copies="to-destroy"),
        journey("erased", record="erased", copies="destroyed"),
        journey("released", meeting=told("finished", "by-hand")),
        journey("met", recording=recording("awaited", preparing="working")),
        journey("booked", record="paused", meeting=meeting(-2)),
    ],
)
def test_what_waits_for_a_family_is_nobodys_task(of: Journey) -> None:
    assert task_of(of, NOW, reminder_after=PATIENCE) is None
    of.note_todo()
    assert (of.todo, of.todo_since) == (NOTHING, None)


@pytest.mark.parametrize(
    ("of", "todo", "since"),
    [
        (journey("sent", "sent", "none", sent_at=NOW - HOUR), "remind", NOW - HOUR),
        (journey("consented"), "more-times", NOW - 24 * HOUR),
        (journey("answered", "answered", "none", answer="later", later_at=NOW + HOUR), "write-again", NOW + HOUR),
        (journey("booked", meeting=meeting(-2)), "meeting", NOW - 2 * HOUR),
        (journey("booked", recording=recording("awaited")), "upload", NOW - 24 * HOUR),
    ],
)
def test_a_journey_is_found_by_what_it_asks_and_since_when(of: Journey, todo: str, since: datetime) -> None:
    of.note_todo()
    assert (of.todo, of.todo_since) == (todo, since)


def test_lists_wait_as_long_as_the_institution_and_the_families_are_given() -> None:
    def wait(kind: TaskList) -> timedelta:
        return waits(kind, reminder_after=PATIENCE)

    assert wait("remind") == PATIENCE
    assert wait("more-times") == timedelta(days=3)
    assert wait("meeting") == wait("coming") == -timedelta(days=1)
    assert {wait(kind) for kind in TASK_LISTS} == {PATIENCE, timedelta(days=3), -timedelta(days=1), timedelta(0)}


def test_the_most_urgent_comes_first() -> None:
    journeys = [
        journey("booked", meeting=meeting(3)),
        journey("sent", "sent", "none", sent_at=NOW - PATIENCE - timedelta(days=2)),
        journey("to-send", "prepared", "none"),
    ]
    tasks = earliest(task for one in journeys if (task := task_of(one, NOW, reminder_after=PATIENCE)))
    assert [task.doing for task in tasks] == ["remind", "send-message", "hold-meeting"]


def case(name: str, days: int | None, state: str = "open") -> CaseState:
    approvals = []
    if days is not None:
        ends = NOW + timedelta(days=days)
        approvals = [ApprovalState(kind=kind, number="1", expires_at=ends) for kind in ("ethics", "data-protection")]
    return CaseState(
        case_id=name,
        prefix=name,
        title=name,
        condition={},
        languages=["en"],
        cohorts=[],
        tutors=[],
        approvals=approvals,
        safeguarding_contact="t1",
        state=state,
    )


def test_approvals_are_asked_for_before_they_end() -> None:
    cases = [
        case("fine", 61),
        case("soon", 30),
        case("ended", -1),
        case("missing", None),
        case("closed", -1, "closed"),
    ]
    found = approvals_to_renew(cases, NOW)
    assert [(one.case.case_id, one.ended) for one in found] == [("missing", False), ("ended", True), ("soon", False)]
