"""Reserving and freeing a tutor's time: each is one versioned write of one calendar."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from firsthand.services.scheduling.model import (
    Availability,
    AvailabilityRules,
    Calendar,
    Meeting,
    Reservation,
    SlotTaken,
)
from firsthand.services.scheduling.model.slots import Slot, free_slots
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.scheduling import CalendarChangedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.texts import N_

# How far ahead a tutor may set a time that was agreed by message.
_FARTHEST = timedelta(days=365)


@dataclass(frozen=True)
class Times:
    """What can be chosen for a meeting now. `rules` is None while the tutor has given no availability."""

    rules: AvailabilityRules | None
    slots: list[Slot]

    @property
    def tutor_zone(self) -> str:
        return self.rules.zone if self.rules else "UTC"


async def times_for(context: Context, meeting: Meeting, calendar: Calendar | None = None) -> Times:
    """The free times of the contact's tutor, by the availability for its case, as the calendar stands now."""
    scheduling = Scheduling(context, meeting.institution)
    availability = await scheduling.availability(meeting.contact.case_id, meeting.tutor_id)
    if availability is None:
        return Times(None, [])
    calendar = calendar or await scheduling.calendar(meeting.tutor_id)
    mine = reserved(meeting, calendar)
    taken, until = calendar.taken(but=meeting.id), meeting.allowed_until
    slots = free_slots(availability.rules.rules(), context.clock.now(), taken, until) if meeting.is_open else []
    return Times(availability.rules, [slot for slot in slots if mine is None or slot != mine.slot])


class Tutors:
    """The calendars and hours of tutors, each read once for all meetings of a list."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._scheduling = Scheduling(context, institution)
        self._now = context.clock.now()
        self._calendars: dict[str, Calendar] = {}
        self._availabilities: dict[tuple[str, str], Availability | None] = {}
        self._free: dict[tuple[str, str, datetime | None], list[Slot]] = {}

    async def calendar(self, tutor_id: str) -> Calendar:
        if tutor_id not in self._calendars:
            self._calendars[tutor_id] = await self._scheduling.calendar(tutor_id)
        return self._calendars[tutor_id]

    async def times(self, meeting: Meeting) -> Times:
        """As `times_for`; only for whom no time is planned are the free ones looked for."""
        key = (meeting.contact.case_id, meeting.tutor_id)
        if key not in self._availabilities:
            self._availabilities[key] = await self._scheduling.availability(*key)
        availability = self._availabilities[key]
        if availability is None:
            return Times(None, [])
        calendar, rules = await self.calendar(meeting.tutor_id), availability.rules
        if not meeting.is_open or meeting.starts_at or calendar.of(meeting.id):
            return Times(rules, [])
        until = meeting.allowed_until
        if until and until > self._now + timedelta(days=rules.horizon_days) + rules.duration:
            until = None  # the consent ends beyond all times, so they are those of others too
        if (*key, until) not in self._free:
            self._free[*key, until] = free_slots(rules.rules(), self._now, calendar.taken(), until)
        return Times(rules, self._free[*key, until])


def reserved(meeting: Meeting, calendar: Calendar) -> Reservation | None:
    """The time that the calendar holds for this contact, if it still counts; the meeting may not be planned yet."""
    reservation = calendar.of(meeting.id)
    return reservation if reservation and meeting.honours(reservation, calendar.id) else None


@use_case
async def reserve_slot(context: Context, institution: InstitutionId, contact_id: str, starts_at: datetime) -> Slot:
    """The family takes a free time, in place of what it had. Raises SlotTaken, Refused, NotFound; Conflict."""
    scheduling = Scheduling(context, institution)
    meeting = await scheduling.known_meeting(contact_id)
    meeting.check_open()
    calendar = await scheduling.calendar(meeting.tutor_id)
    if (mine := reserved(meeting, calendar)) and mine.starts_at == starts_at:
        return mine.slot  # asked twice
    times = await times_for(context, meeting, calendar)
    slot = next((slot for slot in times.slots if slot.starts_at == starts_at), None)
    if slot is None or times.rules is None:
        gone = Refused("slot-gone", N_("This time is no longer available. Choose another one."))
        if not _lies_ahead(starts_at, context.clock.now()):
            raise gone
        wanted = Slot(starts_at, starts_at + timedelta(minutes=1))
        if any(wanted.meets(other) for other in calendar.taken(but=contact_id)):
            raise SlotTaken
        raise gone
    await _reserve(context, meeting, calendar, slot, times.rules.buffer, actor="family")
    return slot


async def reserve_time(
    context: Context, institution: InstitutionId, contact_id: str, starts_at: datetime, *, actor: str
) -> Slot:
    """The tutor sets a time, also outside the weekly hours: agreed by message. Raises as `reserve_slot`."""
    scheduling = Scheduling(context, institution)
    meeting = await scheduling.known_meeting(contact_id)
    meeting.check_open()
    now = context.clock.now()
    if not _lies_ahead(starts_at, now):
        raise Refused("not-ahead", N_("Choose a time in the future, within a year from now."), kind="invalid")
    availability = await scheduling.availability(meeting.contact.case_id, meeting.tutor_id)
    if availability is None:
        raise Refused("no-availability", N_("First set this tutor's hours for this case."))
    calendar = await scheduling.calendar(meeting.tutor_id)
    slot = Slot(starts_at, starts_at + availability.rules.duration)
    if (mine := reserved(meeting, calendar)) and mine.slot == slot:
        return slot
    await _reserve(context, meeting, calendar, slot, availability.rules.buffer, actor=actor)
    return slot


def _lies_ahead(starts_at: datetime, now: datetime) -> bool:
    return now < starts_at < now + _FARTHEST


@use_case
async def free_time(
    context: Context, institution: InstitutionId, tutor_id: str, contact_id: str, *, voids: int | None
) -> None:
    """Free the reservations for a contact made before its meeting's version `voids` (None: all). Raises Conflict."""
    scheduling = Scheduling(context, institution)
    calendar = await scheduling.calendar(tutor_id)
    if calendar.free(contact_id, voids=voids, now=context.trusted.sure()):
        await scheduling.put_calendar(calendar, _changed(context, calendar, contact_id, "system"))


async def _reserve(
    context: Context, meeting: Meeting, calendar: Calendar, slot: Slot, buffer: timedelta, *, actor: str
) -> None:
    calendar.reserve(meeting.id, slot, knew=meeting.version, buffer=buffer, now=context.trusted.sure())
    event = _changed(context, calendar, meeting.id, actor)
    await Scheduling(context, calendar.institution).put_calendar(calendar, event)


def _changed(context: Context, calendar: Calendar, contact_id: str, actor: str) -> AnyEvent:
    """The calendar's event; its correlation names the contact whose time it is about."""
    return CalendarChangedV1.of(
        calendar,
        calendar.state(),
        at=context.clock.now(),
        actor=actor,
        correlation=contact_id,
    )


__all__ = ["Times", "Tutors", "free_time", "reserve_slot", "reserve_time", "reserved", "times_for"]
