"""What scheduling tells: offers, meetings and how they ended."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import Event, State, Unknown

MeetingStateName = Literal["offered", "scheduled", "finished", "cancelled", "erased"]


class ReservationState(State):
    """One reserved stretch of a tutor's time."""

    contact_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class CalendarState(State):
    """A tutor's calendar: what is reserved in its horizon."""

    tutor_id: str
    reservations: list[ReservationState]


class TellingState(State):
    """What a family waits to be told, and how it is told."""

    of: Annotated[
        Literal["recording", "text", "times", "cancelled", "choose-anew"] | Unknown,
        Field(
            description="its recording can be watched, its text be read, times can be chosen again, staff cancelled, "
            "or asks it to choose another time"
        ),
    ]
    how: Annotated[
        Literal["by-email", "by-hand", "told"] | Unknown,
        Field(description="`by-hand`: a task of staff; `told`: and staff did"),
    ]


class MeetingState(State):
    """The meeting of one contact."""

    contact: ContactReference
    state: MeetingStateName | Unknown
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    held_from: AwareDatetime | None = None
    held_until: AwareDatetime | None = None
    provider: Literal["own-link"] | Unknown = "own-link"
    reschedules: int = 0
    cancelled_by: Literal["family", "tutor", "consent", "not-held"] | Unknown | None = None
    recording: Annotated[Literal["expected", "none"] | Unknown | None, Field(description="set when finished")] = None
    participants: Annotated[list[str], Field(description="person ids of staff and students who took part")] = []
    telling: TellingState | None = None


class CalendarChangedV1(Event[CalendarState]):
    """A stretch of a tutor's time was reserved or set free; the meeting is made by handling it."""

    service: ClassVar[str] = "scheduling"
    entity: ClassVar[str] = "calendar"
    name: ClassVar[str] = "changed"
    type: Literal["firsthand.calendar.changed.v1"]


class _Meeting(Event[MeetingState]):
    service: ClassVar[str] = "scheduling"
    entity: ClassVar[str] = "meeting"


class MeetingOfferedV1(_Meeting):
    """The family can choose a time."""

    name: ClassVar[str] = "offered"
    type: Literal["firsthand.meeting.offered.v1"]


class MeetingScheduledV1(_Meeting):
    """A time was chosen, or another one."""

    name: ClassVar[str] = "scheduled"
    type: Literal["firsthand.meeting.scheduled.v1"]


class MeetingFinishedV1(_Meeting):
    """It took place. `recording` says whether one is to come: only if every participant and the consent allow it."""

    name: ClassVar[str] = "finished"
    type: Literal["firsthand.meeting.finished.v1"]


class MeetingCancelledV1(_Meeting):
    """It will not take place, or did not; `cancelled_by` says why."""

    name: ClassVar[str] = "cancelled"
    type: Literal["firsthand.meeting.cancelled.v1"]


class MeetingToldV1(_Meeting):
    """The family is told that something waits for it, or staff is to tell it: `telling`."""

    name: ClassVar[str] = "told"
    type: Literal["firsthand.meeting.told.v1"]


class SchedulingErasedV1(Event[ErasedState]):
    """Scheduling holds nothing personal of the contact any more."""

    service: ClassVar[str] = "scheduling"
    entity: ClassVar[str] = "scheduling"
    name: ClassVar[str] = "erased"
    type: Literal["firsthand.scheduling.erased.v1"]
