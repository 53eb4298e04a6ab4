"""The JSON of the API: requests and responses."""

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator

from firsthand.services.scheduling.handlers.booking import FamilySees, FamilyView, Wish
from firsthand.services.scheduling.handlers.meetings import Held, StaffView
from firsthand.services.scheduling.model import (
    AvailabilityRules,
    MailTrouble,
    Meeting,
    NotHeldBecause,
    Participant,
    ReachBy,
)
from firsthand.services.scheduling.model.letters import Telling
from firsthand.services.scheduling.model.slots import Slot, is_night
from firsthand.services.scheduling.model.zones import is_zone
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import CalendarDate, Instant, Note, Word
from firsthand.shared.mail_address import MailAddressField, as_typed

ShortNote = Annotated[Note, Field(max_length=1000)]


class AvailabilityBody(AvailabilityRules):
    """Availability of the signed-in tutor; a coordinator may name another one."""

    blocked: Annotated[list[CalendarDate], Field(max_length=366, description="days off, on the tutor's calendar")] = []
    tutor_id: Id | None = None

    @field_validator("zone")
    @classmethod
    def _means_the_same_everywhere(cls, zone: str) -> str:
        """An earlier release took the machine's own zone, too, so the rules that are kept allow it."""
        if not is_zone(zone):
            raise ValueError("this is no IANA time zone, e.g. Asia/Qatar")
        return zone

    def rules_only(self) -> AvailabilityRules:
        return AvailabilityRules.model_validate(self.model_dump(exclude={"tutor_id"}, by_alias=True))


class Reach(BaseModel):
    """How a family wants to be reached about its meeting."""

    by: ReachBy
    address: MailAddressField | None = None

    @model_validator(mode="after")
    def _with_address(self) -> "Reach":
        if self.by == "email" and not self.address:
            raise ValueError("an e-mail needs an address")
        return self


class BookingBody(BaseModel):
    """The time that a family chooses."""

    starts_at: Instant
    zone: Word
    reach: Reach

    def wish(self) -> Wish:
        return Wish(self.starts_at, self.zone, self.reach.by, self.reach.address or "")


class MoveBody(BaseModel):
    """A time that the tutor sets; without one the family chooses again."""

    starts_at: Instant | None = None
    note: ShortNote = ""


class CancelBody(BaseModel):
    """Why, as a word to the family."""

    reason: ShortNote = ""


class ParticipantBody(BaseModel):
    person_id: Id
    agrees_to_recording: bool = False


class CloseBody(BaseModel):
    """How it ended. Held: who took part, when if not as planned. Not held: why, and whether to offer times again."""

    held: bool
    held_from: Instant | None = None
    held_until: Instant | None = None
    participants: Annotated[list[ParticipantBody], Field(max_length=200)] = []
    reason: NotHeldBecause | None = None
    offer_again: bool = False

    @model_validator(mode="after")
    def _whole(self) -> "CloseBody":
        if not self.held and self.reason is None:
            raise ValueError("say why it was not held: nobody-came, technical or other")
        return self

    def as_held(self) -> Held:
        return Held([Participant(**one.model_dump()) for one in self.participants], self.held_from, self.held_until)


def local(at: datetime, zone: str) -> str:
    """The time on the clocks of a zone, with its offset (ISO 8601)."""
    return at.astimezone(ZoneInfo(zone)).isoformat()


class SlotOut(BaseModel):
    """One time in UTC, and as both sides' clocks show it (ISO 8601 with the offset). `night`: before 8:00 or after
    21:00 on the family's clock; ask twice.
    """

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    local: str
    tutor_local: str
    night: bool = False

    @classmethod
    def of(cls, slot: Slot, zone: str, tutor_zone: str) -> "SlotOut":
        return cls(
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            local=local(slot.starts_at, zone),
            tutor_local=local(slot.starts_at, tutor_zone),
            night=is_night(slot.starts_at, ZoneInfo(zone)),
        )


class SlotsOut(BaseModel):
    """The times that a family may choose from, in the zone that it asked for."""

    state: FamilySees
    zone: str
    tutor_zone: str
    duration_minutes: int | None
    slots: list[SlotOut]

    @classmethod
    def of(cls, view: FamilyView, zone: str) -> "SlotsOut":
        rules, theirs = view.times.rules, view.times.tutor_zone
        return cls(
            state=view.state,
            zone=zone,
            tutor_zone=theirs,
            duration_minutes=rules.duration_minutes if rules else None,
            slots=[SlotOut.of(slot, zone, theirs) for slot in view.times.slots],
        )


class ReachOut(BaseModel):
    """How the family is told of its meeting. `trouble`: mail waits to be sent, or cannot be sent to this address."""

    by: ReachBy | None
    address: str | None
    trouble: MailTrouble | None = None

    @classmethod
    def of(cls, meeting: Meeting, address: str) -> "ReachOut":
        return cls(by=meeting.reach_by, address=as_typed(address) or None, trouble=meeting.mail_trouble)


class FamilyMeetingOut(BaseModel):
    """The family's own view. `confirmed`: the meeting is made; until then the time is reserved."""

    state: FamilySees
    may_choose: bool
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    local: str | None
    tutor_local: str | None
    zone: str | None
    tutor_zone: str
    confirmed: bool
    reach: ReachOut | None
    join_url: str | None
    calendar_file: str | None
    cancelled_by: str | None
    note: str | None

    @classmethod
    def of(cls, view: FamilyView) -> "FamilyMeetingOut":
        meeting, planned = view.meeting, view.planned
        return cls(
            state=view.state,
            may_choose=view.may_choose,
            starts_at=planned.starts_at if planned else None,
            ends_at=planned.ends_at if planned else None,
            local=local(planned.starts_at, view.zone) if planned else None,
            tutor_local=local(planned.starts_at, view.times.tutor_zone) if planned else None,
            zone=view.personal.zone or None,
            tutor_zone=view.times.tutor_zone,
            confirmed=bool(meeting and planned and meeting.starts_at == planned.starts_at),
            reach=ReachOut.of(meeting, view.personal.address) if meeting else None,
            join_url=view.join_url or None,
            calendar_file="/scheduling/family/meeting.ics" if planned else None,
            cancelled_by=meeting.cancelled_by if meeting else None,
            note=view.personal.note or None,
        )


class MeetingOut(BaseModel):
    """A meeting as staff sees it: everything but the family's address."""

    contact_id: str
    reference: str
    case_id: str
    tutor_id: str
    state: str
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    family_zone: str | None
    family_local: str | None
    tutor_zone: str
    tutor_local: str | None
    has_availability: bool
    reach_by: ReachBy | None
    reach_trouble: MailTrouble | None = None
    reschedules: int
    cancelled_by: str | None
    not_held_because: NotHeldBecause | None
    held_from: AwareDatetime | None
    held_until: AwareDatetime | None
    participants: list[ParticipantBody]
    recording: str | None
    join_url: str | None
    telling: Telling | None = None
    words_to_tell: str | None = None  # in the family's language, where staff is to tell it

    @classmethod
    def of(cls, view: StaffView) -> "MeetingOut":
        meeting, planned = view.meeting, view.planned
        return cls(
            contact_id=meeting.id,
            reference=meeting.contact.reference,
            case_id=meeting.contact.case_id,
            tutor_id=meeting.tutor_id,
            state=meeting.state,
            starts_at=planned.starts_at if planned else None,
            ends_at=planned.ends_at if planned else None,
            family_zone=view.family_zone or None,
            family_local=local(planned.starts_at, view.family_zone) if planned and view.family_zone else None,
            tutor_zone=view.tutor_zone,
            tutor_local=local(planned.starts_at, view.tutor_zone) if planned else None,
            has_availability=view.times.rules is not None,
            reach_by=meeting.reach_by,
            reach_trouble=meeting.mail_trouble,
            telling=meeting.telling,
            words_to_tell=view.words_to_tell or None,
            reschedules=meeting.reschedules,
            cancelled_by=meeting.cancelled_by,
            not_held_because=meeting.not_held_because,
            held_from=meeting.held_from,
            held_until=meeting.held_until,
            participants=[ParticipantBody(**one.model_dump()) for one in meeting.participants],
            recording=meeting.recording,
            join_url=view.join_url or None,
        )


class MeetingsOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one."""

    items: list[MeetingOut]
    next: str | None
    total: int


class CloseOut(BaseModel):
    """What closing starts from: the planned times, and whether the family allows a recording."""

    state: str
    held_from: AwareDatetime | None
    held_until: AwareDatetime | None
    recording_allowed: bool
    participants: list[ParticipantBody]

    @classmethod
    def of(cls, view: StaffView) -> "CloseOut":
        return cls(
            state=view.meeting.state,
            held_from=view.planned.starts_at if view.planned else None,
            held_until=view.planned.ends_at if view.planned else None,
            recording_allowed=view.meeting.may_record,
            participants=[ParticipantBody(person_id=view.meeting.tutor_id)],
        )


class AvailabilityOut(AvailabilityRules):
    """When a tutor can be met for a case."""

    case_id: str
    tutor_id: str

    @classmethod
    def of_tutor(cls, case_id: str, tutor_id: str, rules: AvailabilityRules) -> "AvailabilityOut":
        return cls.model_validate({**rules.model_dump(by_alias=True), "case_id": case_id, "tutor_id": tutor_id})


Whose = Literal["mine", "all"]
Shown = Literal["to-close", "coming", "waiting", "ended"]
