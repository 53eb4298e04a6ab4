"""What is to do today, told from the journeys. Pure: the time and the institution's patience are passed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from firsthand.services.portal.model.journey import Journey, Stage
from firsthand.shared.events.discovery import CaseState

Doing = Literal[
    "send-message",
    "remind",
    "send-link",
    "answer-question",
    "more-times",
    "hold-meeting",
    "close-meeting",
    "upload",
    "wider",
]

# The stages in which somebody of staff may have something to do, or which are worth counting as waiting.
OPEN: Final[tuple[Stage, ...]] = ("to-send", "sent", "answered", "linked", "consented", "booked", "met", "held")

_SOON: Final = timedelta(hours=24)
_FEW_TIMES_AFTER: Final = timedelta(days=3)  # who has chosen no time by then may have found none that suits
_ENDS_SOON: Final = timedelta(days=60)  # an ethics committee takes weeks

_URLS: Final[dict[Doing, str]] = {
    "send-message": "/consent/invitations/{contact}",
    "remind": "/consent/invitations/{contact}",
    "send-link": "/consent/invitations/{contact}",
    "answer-question": "/consent/invitations/{contact}",
    "more-times": "/scheduling/availability/{case}",
    "hold-meeting": "/scheduling/meetings/{contact}",
    "close-meeting": "/scheduling/meetings/{contact}",
    "upload": "/archive/recordings/{contact}",
    "wider": "/archive/recordings/{contact}",
}


@dataclass(frozen=True)
class Task:
    """One thing to do for one contact, with when it became or becomes due."""

    doing: Doing
    contact_id: str
    reference: str
    at: datetime
    url: str


@dataclass(frozen=True)
class Today:
    """A person's day: what to do, the meetings that come, and how many wait for a family."""

    tasks: list[Task]
    coming: list[Task]  # meetings later than a day from now
    waiting: int


def today(journeys: Iterable[Journey], now: datetime, *, reminder_after: timedelta) -> Today:
    """Sort open journeys into what is to do, the earliest first, and what waits for others."""
    tasks: list[Task] = []
    coming: list[Task] = []
    waiting = 0
    for journey in journeys:
        found = _task(journey, now, reminder_after)
        if found is None:
            waiting += 1
            continue
        doing, at = found
        url = _URLS[doing].format(contact=journey.id, case=journey.case_id)
        later = doing == "hold-meeting" and at > now + _SOON
        (coming if later else tasks).append(Task(doing, journey.id, journey.reference, at, url))
    return Today(sorted(tasks, key=lambda task: task.at), sorted(coming, key=lambda task: task.at), waiting)


def _task(journey: Journey, now: datetime, reminder_after: timedelta) -> tuple[Doing, datetime] | None:
    if journey.consent is None or journey.paused:
        return None
    if journey.stage in {"booked", "met", "held"}:
        return _meeting_task(journey, now)
    invitation, since = journey.consent.invitation, journey.moved_at
    found: tuple[Doing, datetime] | None = None
    match journey.stage:
        case "to-send":
            found = "send-message", since
        case "sent" if invitation.sent_at and not invitation.reminded_at:
            found = "remind", invitation.sent_at + reminder_after
        case "answered" if invitation.answer == "yes":
            found = "send-link", since
        case "answered" if invitation.answer == "question":
            found = "answer-question", since
        case "consented" if "meet" in journey.consent.consent.scopes:
            found = "more-times", since + _FEW_TIMES_AFTER
    return found if found and found[1] <= now else None


def _meeting_task(journey: Journey, now: datetime) -> tuple[Doing, datetime] | None:
    meeting, recording = journey.meeting, journey.recording
    if journey.stage == "booked" and meeting and meeting.starts_at and meeting.ends_at:
        return ("close-meeting", meeting.ends_at) if meeting.ends_at <= now else ("hold-meeting", meeting.starts_at)
    if recording and recording.refused_because:
        return "wider", journey.moved_at
    if recording and recording.state == "awaited":
        return "upload", journey.moved_at
    return None


@dataclass(frozen=True)
class Approvals:
    """A case whose approvals need a coordinator: missing (None), ended or ending."""

    case: CaseState
    until: datetime | None
    ended: bool


def approvals_to_renew(cases: Iterable[CaseState], now: datetime) -> list[Approvals]:
    """The open cases that may contact nobody, or soon will not, the most urgent first."""
    found = [
        Approvals(case, until, until is not None and until <= now)
        for case in cases
        if case.state == "open" and ((until := case.approved_until()) is None or until <= now + _ENDS_SOON)
    ]
    return sorted(found, key=lambda one: one.until or datetime.min.replace(tzinfo=now.tzinfo))
