"""What is to do today, told from the journeys. Pure: the time and the institution's patience are passed in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from firsthand.services.portal.model.journey import Journey, Stage, Todo
from firsthand.shared.events.discovery import CaseState

Doing = Literal[
    "send-message",
    "remind",
    "write-again",
    "send-link",
    "answer-question",
    "more-times",
    "hold-meeting",
    "close-meeting",
    "upload",
    "choose-tracks",
    "change-asked",
    "wider",
    "tell-family",
    "destroy-copies",
]
# The lists of tasks: one for each thing that is asked of staff, and one of the meetings that are not soon.
TaskList = Literal[Todo, "coming"]
TASK_LISTS: Final[tuple[TaskList, ...]] = (*get_args(Todo), "coming")

# The stages in which somebody of staff may have something to do, or which are worth counting as waiting.
OPEN: Final[tuple[Stage, ...]] = ("to-send", "sent", "answered", "linked", "consented", "booked", "met", "held")

_SOON: Final = timedelta(hours=24)
_FEW_TIMES_AFTER: Final = timedelta(days=3)  # who has chosen no time by then may have found none that suits
_ENDS_SOON: Final = timedelta(days=60)  # an ethics committee takes weeks

_URLS: Final[dict[Doing, str]] = {
    "send-message": "/consent/invitations/{contact}",
    "remind": "/consent/invitations/{contact}",
    "write-again": "/consent/invitations/{contact}",
    "send-link": "/consent/invitations/{contact}",
    "answer-question": "/consent/invitations/{contact}",
    "more-times": "/scheduling/availability/{case}",
    "hold-meeting": "/scheduling/meetings/{contact}",
    "close-meeting": "/scheduling/meetings/{contact}",
    "upload": "/archive/recordings/{contact}",
    "choose-tracks": "/archive/recordings/{contact}",
    "change-asked": "/archive/recordings/{contact}",
    "wider": "/archive/recordings/{contact}",
    "tell-family": "/scheduling/meetings/{contact}",
    "destroy-copies": "/archive/recordings/{contact}",
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
class Tasks:
    """One list of tasks, or a page of it: the first ones, and how many there are in all."""

    items: list[Task]
    number: int
    next: str | None = None


@dataclass(frozen=True)
class Today:
    """A person's day: the first of what there is to do, how much there is of each kind, the meetings that come, and how
    many journeys wait for others.
    """

    tasks: list[Task]
    numbers: dict[TaskList, int]
    coming: list[Task]  # meetings later than a day from now
    waiting: int
    all_counted: bool  # False while journeys of an older release are still looked through

    @property
    def number(self) -> int:
        return sum(number for kind, number in self.numbers.items() if kind != "coming")


def waits(kind: TaskList, *, reminder_after: timedelta) -> timedelta:
    """Tell how long after its `todo_since` a journey is in a list; for the meetings to come, how long at most."""
    match kind:
        case "remind":
            return reminder_after
        case "more-times":
            return _FEW_TIMES_AFTER
        case "meeting" | "coming":
            return -_SOON
    return timedelta(0)


def task_of(journey: Journey, now: datetime, *, reminder_after: timedelta) -> Task | None:
    """Give what a journey asks, with when it is or was to be done; None when it asks nothing."""
    if (asks := journey.asks()) is None:
        return None
    todo, since = asks
    doing: Doing
    if todo == "meeting":
        ends_at = journey.meeting and journey.meeting.ends_at
        doing, at = ("close-meeting", ends_at) if ends_at and ends_at <= now else ("hold-meeting", since)
    else:
        doing, at = todo, since + waits(todo, reminder_after=reminder_after)
    return Task(doing, journey.id, journey.reference, at, _URLS[doing].format(contact=journey.id, case=journey.case_id))


def earliest(tasks: Iterable[Task]) -> list[Task]:
    return sorted(tasks, key=lambda task: (task.at, task.contact_id))


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
