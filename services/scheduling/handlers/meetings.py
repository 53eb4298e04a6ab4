"""What staff do with meetings: see them, move them, cancel them, close them as held or not held."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from firsthand.services.scheduling.handlers.calendars import Times, Tutors, reserve_time, reserved, times_for
from firsthand.services.scheduling.handlers.personal import Personal, open_personal, seal
from firsthand.services.scheduling.handlers.rooms import join_url
from firsthand.services.scheduling.letters import words_to_tell
from firsthand.services.scheduling.model import Calendar, Meeting, NotHeldBecause, Participant
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.repository import Part, Scheduling
from firsthand.shared.acting import Sight
from firsthand.shared.copies import cases_of, institution_of
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import NoSuchPlace

_ONE_AFTER_ANOTHER: Final[tuple[Part, ...]] = ("planned", "waiting", "ended")


@dataclass(frozen=True)
class StaffView:
    """A meeting as staff sees it. Never the family's address."""

    meeting: Meeting
    planned: Slot | None
    personal: Personal
    times: Times
    join_url: str
    words_to_tell: str  # to the family, in its language, where somebody of staff is to tell it

    @property
    def family_zone(self) -> str:
        """The family's zone; empty while it has chosen none."""
        return self.personal.zone

    @property
    def tutor_zone(self) -> str:
        return self.times.tutor_zone


@dataclass(frozen=True)
class Held:
    """How a meeting was held. Without times: as planned."""

    participants: list[Participant]
    from_: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Listed:
    """A page of a list of meetings: how many there are in all, and where the next page begins."""

    views: list[StaffView]
    total: int
    next: str | None


async def list_part(
    context: Context, staff: Staff, part: Part, *, everybody: bool, after: str | None = None, limit: int
) -> Listed:
    """List a part of the meetings, a tutor's own or all that they may see. Raises NoSuchPlace, Refused."""
    scheduling, now = Scheduling(context, staff.institution), context.clock.now()
    sight = await _sight(context, staff, everybody=everybody)
    page = await scheduling.meetings(part, sight=sight, now=now, after=after, limit=limit)
    total = await scheduling.count(part, sight=sight, now=now)
    return Listed(await _views(context, staff.institution, page.items), total, page.next)


async def list_all(context: Context, staff: Staff, *, everybody: bool, after: str | None = None, limit: int) -> Listed:
    """List the same, one part after the other: planned, waiting for the family, ended. Raises NoSuchPlace, Refused."""
    scheduling, now = Scheduling(context, staff.institution), context.clock.now()
    sight = await _sight(context, staff, everybody=everybody)
    totals = {part: await scheduling.count(part, sight=sight, now=now) for part in _ONE_AFTER_ANOTHER}
    begin, _, place = (after or f"{_ONE_AFTER_ANOTHER[0]}.").partition(".")
    if begin not in totals:
        raise NoSuchPlace("this cursor belongs to another list")
    found: list[Meeting] = []
    following: str | None = None
    for part in _ONE_AFTER_ANOTHER[list(totals).index(begin) :]:
        if len(found) == limit:
            following = f"{part}." if totals[part] else None
        elif totals[part] or place:
            page = await scheduling.meetings(part, sight=sight, now=now, after=place or None, limit=limit - len(found))
            found += page.items
            following = f"{part}.{page.next}" if page.next else None
        place = ""
        if following:
            break
    return Listed(await _views(context, staff.institution, found), sum(totals.values()), following)


async def _sight(context: Context, staff: Staff, *, everybody: bool) -> Sight:
    if not everybody:
        return Sight(staff.person_id)
    return Sight.of(staff, await cases_of(context, staff.institution))


async def _views(context: Context, institution: InstitutionId, meetings: list[Meeting]) -> list[StaffView]:
    tutors = Tutors(context, institution)
    return [await _view(context, one, await tutors.calendar(one.tutor_id), await tutors.times(one)) for one in meetings]


async def see(context: Context, institution: InstitutionId, contact_id: str) -> StaffView:
    """Show one meeting. Raises NotFound."""
    return await view_of(context, await Scheduling(context, institution).known_meeting(contact_id))


async def view_of(context: Context, meeting: Meeting) -> StaffView:
    calendar = await Scheduling(context, meeting.institution).calendar(meeting.tutor_id)
    return await _view(context, meeting, calendar, await times_for(context, meeting, calendar))


async def _view(context: Context, meeting: Meeting, calendar: Calendar, times: Times) -> StaffView:
    reservation = reserved(meeting, calendar)
    planned = reservation.slot if reservation else None
    if planned is None and meeting.starts_at and meeting.ends_at:
        planned = Slot(meeting.starts_at, meeting.ends_at)
    personal = await open_personal(context, meeting)
    by_hand = meeting.telling is not None and meeting.telling.how == "by-hand"
    institution = await institution_of(context, meeting.institution) if by_hand else None
    return StaffView(
        meeting=meeting,
        planned=planned,
        personal=personal,
        words_to_tell=words_to_tell(meeting, personal.zone, institution) if by_hand else "",
        times=times,
        join_url=await join_url(context, meeting),
    )


@use_case
async def move(context: Context, staff: Staff, contact_id: str, starts_at: datetime) -> Slot:
    """Set a time that was agreed with the family. Raises SlotTaken, Refused, NotFound; Conflict."""
    return await reserve_time(context, staff.institution, contact_id, starts_at, actor=staff.person_id)


@use_case
async def choose_anew(context: Context, staff: Staff, contact_id: str, note: str = "") -> None:
    """Set the time free and ask the family to choose another. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    sealed = await seal(context, meeting, "note", note.strip())
    await _save(context, meeting, staff, lambda now: meeting.choose_anew(now=now, note=sealed))


@use_case
async def offer_again(context: Context, staff: Staff, contact_id: str) -> None:
    """Offer times again after a cancellation. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    await _save(context, meeting, staff, meeting.offer_again)


@use_case
async def cancel(context: Context, staff: Staff, contact_id: str, note: str = "") -> None:
    """Cancel, with a word to the family. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    sealed = await seal(context, meeting, "note", note.strip())
    await _save(context, meeting, staff, lambda now: meeting.cancel("tutor", reserved=True, now=now, note=sealed))


@use_case
async def note_told(context: Context, staff: Staff, contact_id: str) -> None:
    """Note that somebody told the family what it waits to hear. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    await _save(context, meeting, staff, lambda _: meeting.note_told())


@use_case
async def close_held(context: Context, staff: Staff, contact_id: str, held: Held) -> None:
    """Close as held: who took part, and each one's yes to the recording. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    participants = list({one.person_id: one for one in held.participants}.values())
    await _save(context, meeting, staff, lambda now: meeting.close_held(participants, held.from_, held.until, now))


@use_case
async def close_not_held(context: Context, staff: Staff, contact_id: str, because: NotHeldBecause) -> None:
    """Close as not held; times can be offered again after it. Raises Refused, NotFound; Conflict."""
    meeting = await Scheduling(context, staff.institution).known_meeting(contact_id)
    await _save(context, meeting, staff, lambda now: meeting.close_not_held(because, now))


async def _save(context: Context, meeting: Meeting, staff: Staff, decide: Callable[[datetime], type[AnyEvent]]) -> None:
    """Decide, and save with the event that says so."""
    now = context.clock.now()
    event = decide(now)
    await Scheduling(context, staff.institution).put_meeting(
        meeting,
        event.of(
            meeting,
            meeting.as_state(),
            at=now,
            actor=staff.person_id,
        ),
    )


__all__ = [
    "Held",
    "Listed",
    "StaffView",
    "cancel",
    "choose_anew",
    "close_held",
    "close_not_held",
    "list_all",
    "list_part",
    "move",
    "note_told",
    "offer_again",
    "see",
]
