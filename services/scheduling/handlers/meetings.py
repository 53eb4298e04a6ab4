"""What staff do with meetings: see them, move them, cancel them, close them as held or not held."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from firsthand.services.scheduling.handlers.calendars import Times, reserve_time, reserved, times_for
from firsthand.services.scheduling.handlers.personal import Personal, open_personal, seal
from firsthand.services.scheduling.handlers.rooms import join_url
from firsthand.services.scheduling.model import Meeting, NotHeldBecause, Participant
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.repository import Scheduling, coming, past
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff


@dataclass(frozen=True)
class StaffView:
    """A meeting as staff sees it. Never the family's address."""

    meeting: Meeting
    planned: Slot | None
    personal: Personal
    times: Times
    join_url: str

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
class Overview:
    """The meetings of a tutor, or of all: to close, upcoming, waiting for the family, ended."""

    to_close: list[StaffView]
    coming: list[StaffView]
    waiting: list[StaffView]
    ended: list[StaffView]

    @property
    def empty(self) -> bool:
        return not (self.to_close or self.coming or self.waiting or self.ended)


async def overview(context: Context, staff: Staff, *, everybody: bool) -> Overview:
    """List meetings, each part at most a hundred: a tutor's own, or everybody's."""
    scheduling = Scheduling(context, staff.institution)
    tutor_id = None if everybody else staff.person_id
    now = context.clock.now()

    async def views(meetings: list[Meeting]) -> list[StaffView]:
        return [await view_of(context, meeting) for meeting in meetings]

    to_close = await scheduling.meetings("scheduled", tutor_id=tutor_id, starts=past(now))
    ahead = await scheduling.meetings("scheduled", tutor_id=tutor_id, starts=coming(now))
    waiting = await scheduling.meetings("offered", tutor_id=tutor_id)
    finished = await scheduling.meetings("finished", tutor_id=tutor_id, latest_first=True, limit=30)
    cancelled = await scheduling.meetings("cancelled", tutor_id=tutor_id, limit=30)
    return Overview(
        to_close=await views(to_close.items),
        coming=await views(ahead.items),
        waiting=await views(waiting.items),
        ended=await views([*cancelled.items, *finished.items]),
    )


async def see(context: Context, institution: InstitutionId, contact_id: str) -> StaffView:
    """Show one meeting. Raises NotFound."""
    return await view_of(context, await Scheduling(context, institution).known_meeting(contact_id))


async def view_of(context: Context, meeting: Meeting) -> StaffView:
    calendar = await Scheduling(context, meeting.institution).calendar(meeting.tutor_id)
    reservation = reserved(meeting, calendar)
    planned = reservation.slot if reservation else None
    if planned is None and meeting.starts_at and meeting.ends_at:
        planned = Slot(meeting.starts_at, meeting.ends_at)
    return StaffView(
        meeting=meeting,
        planned=planned,
        personal=await open_personal(context, meeting),
        times=await times_for(context, meeting, calendar),
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
    "Overview",
    "StaffView",
    "cancel",
    "choose_anew",
    "close_held",
    "close_not_held",
    "move",
    "offer_again",
    "overview",
    "see",
]
