"""The JSON API, under /scheduling/api/v1."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from services.scheduling.handlers import availability, booking, meetings
from services.scheduling.http.doors import asked
from services.scheduling.http.shapes import (
    AvailabilityBody,
    BookingBody,
    CancelBody,
    CloseBody,
    MoveBody,
    Whose,
    close_json,
    family_json,
    meeting_json,
    slots_json,
)
from services.scheduling.model import AvailabilityRules, Refused
from services.scheduling.model.zones import is_zone
from services.scheduling.words import PAGES
from shared.events.discovery import CaseState
from shared.service import Context
from shared.sessions import Family, Staff
from shared.web.access import FamilySession, Tutor
from shared.web.problems import Problem

# Refusals after which the family is shown what is free instead.
_WITH_SLOTS = frozenset({"slot-taken", "slot-gone"})


def api_routes(context: Context) -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    _availability(router, context)
    _family(router, context)
    _meetings(router, context)
    _changes(router, context)
    return router


def _availability(router: APIRouter, context: Context) -> None:
    @router.get("/cases/{case_id}/availability")
    async def get_availability(case_id: str, staff: Tutor, tutor_id: str = "") -> dict[str, Any]:
        case = await asked(lambda: availability.case_named(context, staff.institution, case_id))
        tutor = _meant(case, staff, tutor_id)
        found = await availability.availability_of(context, staff.institution, case_id, tutor)
        if found is None:
            raise Problem(404, "No times yet", "This tutor has not said yet when they can be met for this case.")
        return {"case_id": case_id, "tutor_id": tutor, **found.rules.model_dump(mode="json", by_alias=True)}

    @router.put("/cases/{case_id}/availability")
    async def put_availability(case_id: str, staff: Tutor, body: AvailabilityBody) -> dict[str, Any]:
        case = await asked(lambda: availability.case_named(context, staff.institution, case_id))
        tutor = _meant(case, staff, body.tutor_id or "")
        rules = AvailabilityRules.model_validate(body.model_dump(exclude={"tutor_id"}, by_alias=True))
        await asked(lambda: availability.set_availability(context, staff.institution, case_id, tutor, rules))
        return {"case_id": case_id, "tutor_id": tutor, **rules.model_dump(mode="json", by_alias=True)}


def _meant(case: CaseState, staff: Staff, tutor_id: str) -> str:
    try:
        return availability.tutor_meant(case, staff, tutor_id)
    except Refused as refused:
        raise Problem(refused.status, refused.text) from None


def _family(router: APIRouter, context: Context) -> None:
    @router.get("/family")
    async def get_family(family: FamilySession) -> dict[str, Any]:
        return family_json(await booking.see(context, family))

    @router.get("/family/slots")
    async def get_slots(family: FamilySession, zone: Annotated[str, Query(max_length=64)] = "") -> dict[str, Any]:
        if zone and not is_zone(zone):
            raise Problem(422, errors=[("zone", "An IANA time zone, e.g. Asia/Qatar")])
        view = await booking.see(context, family)
        return slots_json(view, zone or view.zone)

    @router.post("/family/meeting", response_model=None)
    async def post_meeting(request: Request, family: FamilySession, body: BookingBody) -> Response | dict[str, Any]:
        try:
            await booking.book(context, family, body.wish())
        except Refused as refused:
            if refused.code in _WITH_SLOTS:
                return await _others(request, context, family, refused, body.zone)
            raise Problem(refused.status, refused.text, type=_type(refused)) from None
        return family_json(await booking.see(context, family))

    @router.post("/family/meeting/cancel")
    async def post_cancel(family: FamilySession) -> dict[str, Any]:
        await asked(lambda: booking.cancel(context, family))
        return family_json(await booking.see(context, family))


async def _others(request: Request, context: Context, family: Family, refused: Refused, zone: str) -> Response:
    """The refusal, with the times that are free instead."""
    words = PAGES.language(request)
    view = await booking.see(context, family)
    problem = {
        "type": _type(refused),
        "title": words.gettext(refused.text),
        "status": refused.status,
        **slots_json(view, zone),
    }
    return JSONResponse(problem, refused.status, media_type="application/problem+json")


def _type(refused: Refused) -> str:
    return f"urn:firsthand:scheduling:{refused.code}"


def _meetings(router: APIRouter, context: Context) -> None:
    @router.get("/meetings")
    async def list_meetings(staff: Tutor, whose: Whose = "all") -> dict[str, Any]:
        found = await meetings.overview(context, staff, everybody=whose == "all")
        views = [*found.to_close, *found.coming, *found.waiting, *found.ended]
        return {"items": [meeting_json(view) for view in views]}

    @router.get("/meetings/{contact_id}")
    async def get_meeting(contact_id: str, staff: Tutor) -> dict[str, Any]:
        return await _seen(context, staff, contact_id)

    @router.get("/meetings/{contact_id}/close")
    async def get_close(contact_id: str, staff: Tutor) -> dict[str, Any]:
        return close_json(await asked(lambda: meetings.see(context, staff.institution, contact_id)))


def _changes(router: APIRouter, context: Context) -> None:
    @router.post("/meetings/{contact_id}/close")
    async def post_close(contact_id: str, staff: Tutor, body: CloseBody) -> dict[str, Any]:
        if body.held:
            await asked(lambda: meetings.close_held(context, staff, contact_id, body.as_held()))
        else:
            because = body.reason or "other"
            await asked(lambda: meetings.close_not_held(context, staff, contact_id, because))
            if body.offer_again:
                await asked(lambda: meetings.offer_again(context, staff, contact_id))
        return await _seen(context, staff, contact_id)

    @router.post("/meetings/{contact_id}/cancel")
    async def post_cancel(contact_id: str, staff: Tutor, body: CancelBody | None = None) -> dict[str, Any]:
        note = body.reason if body else ""
        await asked(lambda: meetings.cancel(context, staff, contact_id, note))
        return await _seen(context, staff, contact_id)

    @router.post("/meetings/{contact_id}/reschedule")
    async def post_reschedule(contact_id: str, staff: Tutor, body: MoveBody | None = None) -> dict[str, Any]:
        starts_at, note = (body.starts_at, body.note) if body else (None, "")
        if starts_at is None:
            await asked(lambda: meetings.choose_anew(context, staff, contact_id, note))
        else:
            await asked(lambda: meetings.move(context, staff, contact_id, starts_at))
        return await _seen(context, staff, contact_id)

    @router.post("/meetings/{contact_id}/offer")
    async def post_offer(contact_id: str, staff: Tutor) -> dict[str, Any]:
        await asked(lambda: meetings.offer_again(context, staff, contact_id))
        return await _seen(context, staff, contact_id)


async def _seen(context: Context, staff: Staff, contact_id: str) -> dict[str, Any]:
    return meeting_json(await asked(lambda: meetings.see(context, staff.institution, contact_id)))


__all__ = ["api_routes"]
