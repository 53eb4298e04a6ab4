"""A family's meeting over the JSON API: the times that are free, booking and cancelling."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from firsthand.services.scheduling.handlers import booking
from firsthand.services.scheduling.http.shapes import BookingBody, FamilyMeetingOut, SlotsOut
from firsthand.services.scheduling.model.zones import is_zone
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import ContextDep, FamilySession
from firsthand.shared.web.problems import Problem, answer_with, problem_of

# Refusals after which the family is shown what is free instead.
_WITH_SLOTS = frozenset({"slot-taken", "slot-gone"})

router = APIRouter(prefix="/api/v1")


@router.get("/family")
async def get_family(context: ContextDep, family: FamilySession) -> FamilyMeetingOut:
    return FamilyMeetingOut.of(await booking.see(context, family))


@router.get("/family/slots")
async def get_slots(
    context: ContextDep, family: FamilySession, zone: Annotated[str, Query(max_length=64)] = ""
) -> SlotsOut:
    if zone and not is_zone(zone):
        raise Problem(422, errors=[("zone", "An IANA time zone, e.g. Asia/Qatar")])
    view = await booking.see(context, family)
    return SlotsOut.of(view, zone or view.zone)


@router.post("/family/meeting", response_model=FamilyMeetingOut)
async def post_meeting(
    request: Request, context: ContextDep, family: FamilySession, body: BookingBody
) -> Response | FamilyMeetingOut:
    try:
        await booking.book(context, family, body.wish())
    except Refused as refused:
        if refused.code in _WITH_SLOTS:
            return await _others(request, context, family, refused, body.zone)
        raise
    return FamilyMeetingOut.of(await booking.see(context, family))


@router.post("/family/meeting/cancel")
async def post_cancel(context: ContextDep, family: FamilySession) -> FamilyMeetingOut:
    await booking.cancel(context, family)
    return FamilyMeetingOut.of(await booking.see(context, family))


async def _others(request: Request, context: Context, family: Family, refused: Refused, zone: str) -> Response:
    """The refusal, with the times that are free instead."""
    view = await booking.see(context, family)
    return answer_with(request, problem_of(request, refused), **SlotsOut.of(view, zone).model_dump(mode="json"))
