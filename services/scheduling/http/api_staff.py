"""Hours and meetings over the JSON API, for tutors and coordinators."""

from fastapi import APIRouter

from firsthand.services.scheduling.handlers import availability, meetings
from firsthand.services.scheduling.http.doors import CaseTutor, ContactTutor
from firsthand.services.scheduling.http.shapes import (
    AvailabilityBody,
    AvailabilityOut,
    CancelBody,
    CloseBody,
    CloseOut,
    MeetingOut,
    MeetingsOut,
    MoveBody,
    Shown,
    Whose,
)
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Word
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Tutor

_A_PAGE = 50

router = APIRouter(prefix="/api/v1")


@router.get("/cases/{case_id}/availability")
async def get_availability(context: ContextDep, case_id: Id, staff: CaseTutor, tutor_id: Word = "") -> AvailabilityOut:
    tutor = availability.tutor_meant(staff, tutor_id)
    found = await availability.availability_of(context, staff.institution, case_id, tutor)
    if found is None:
        raise NotFound(N_("This tutor has not set any hours for this case yet."))
    return AvailabilityOut.of_tutor(case_id, tutor, found.rules)


@router.put("/cases/{case_id}/availability")
async def put_availability(
    context: ContextDep, case_id: Id, staff: CaseTutor, body: AvailabilityBody
) -> AvailabilityOut:
    tutor = availability.tutor_meant(staff, body.tutor_id or "")
    rules = body.rules_only()
    await availability.set_availability(context, staff.institution, case_id, tutor, rules)
    return AvailabilityOut.of_tutor(case_id, tutor, rules)


@router.get("/meetings")
async def list_meetings(
    context: ContextDep, staff: Tutor, whose: Whose = "all", show: Shown | None = None, after: Cursor | None = None
) -> MeetingsOut:
    """A page of a part of the meetings, or of all: those planned, those that wait for the family, those that ended."""
    everybody = whose == "all"
    if show is None:
        found = await meetings.list_all(context, staff, everybody=everybody, after=after, limit=_A_PAGE)
    else:
        found = await meetings.list_part(context, staff, show, everybody=everybody, after=after, limit=_A_PAGE)
    return MeetingsOut(items=[MeetingOut.of(view) for view in found.views], next=found.next, total=found.total)


@router.get("/meetings/{contact_id}")
async def get_meeting(context: ContextDep, contact_id: Id, staff: ContactTutor) -> MeetingOut:
    return await _seen(context, staff, contact_id)


@router.get("/meetings/{contact_id}/close")
async def get_close(context: ContextDep, contact_id: Id, staff: ContactTutor) -> CloseOut:
    return CloseOut.of(await meetings.see(context, staff.institution, contact_id))


@router.post("/meetings/{contact_id}/close")
async def post_close(context: ContextDep, contact_id: Id, staff: ContactTutor, body: CloseBody) -> MeetingOut:
    if body.held:
        await meetings.close_held(context, staff, contact_id, body.as_held())
    else:
        because = body.reason or "other"
        await meetings.close_not_held(context, staff, contact_id, because)
        if body.offer_again:
            await meetings.offer_again(context, staff, contact_id)
    return await _seen(context, staff, contact_id)


@router.post("/meetings/{contact_id}/cancel")
async def post_cancel(
    context: ContextDep, contact_id: Id, staff: ContactTutor, body: CancelBody | None = None
) -> MeetingOut:
    note = body.reason if body else ""
    await meetings.cancel(context, staff, contact_id, note)
    return await _seen(context, staff, contact_id)


@router.post("/meetings/{contact_id}/reschedule")
async def post_reschedule(
    context: ContextDep, contact_id: Id, staff: ContactTutor, body: MoveBody | None = None
) -> MeetingOut:
    starts_at, note = (body.starts_at, body.note) if body else (None, "")
    if starts_at is None:
        await meetings.choose_anew(context, staff, contact_id, note)
    else:
        await meetings.move(context, staff, contact_id, starts_at)
    return await _seen(context, staff, contact_id)


@router.post("/meetings/{contact_id}/offer")
async def post_offer(context: ContextDep, contact_id: Id, staff: ContactTutor) -> MeetingOut:
    await meetings.offer_again(context, staff, contact_id)
    return await _seen(context, staff, contact_id)


@router.post("/meetings/{contact_id}/told")
async def post_told(context: ContextDep, contact_id: Id, staff: ContactTutor) -> MeetingOut:
    """Somebody told the family what it waits to hear (`telling`)."""
    await meetings.note_told(context, staff, contact_id)
    return await _seen(context, staff, contact_id)


async def _seen(context: Context, staff: Staff, contact_id: str) -> MeetingOut:
    return MeetingOut.of(await meetings.see(context, staff.institution, contact_id))
