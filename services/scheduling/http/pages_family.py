"""The family's pages: choose a place, choose a time, say how to be reached; see, move and cancel the meeting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.scheduling.handlers import booking
from firsthand.services.scheduling.http.words import part_of_night, short_time
from firsthand.services.scheduling.model import ReachBy
from firsthand.services.scheduling.model.slots import Slot, by_day, is_night
from firsthand.services.scheduling.model.zones import places
from firsthand.services.scheduling.words import PAGES
from firsthand.shared.inputs import Instant, Line, Word
from firsthand.shared.mail_address import NotMailAddress, as_typed, mail_address
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, FamilySession
from firsthand.shared.web.languages import DEFAULT
from firsthand.shared.web.problems import ElsewhereFirst

HOME: Final = "/scheduling/family"
_DAYS_A_PAGE: Final = 6
_FEW: Final = 12  # places that are shown as buttons
# Without a script nothing tells where somebody is: places where many readers of a language live.
_OFTEN: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("America/New_York", "America/Chicago", "America/Phoenix", "America/Los_Angeles", "Europe/London",
           "Pacific/Auckland"),
    "es": ("America/Mexico_City", "America/Bogota", "America/New_York", "America/Los_Angeles", "America/Lima",
           "Europe/Madrid"),
    "ar": ("Asia/Qatar", "Asia/Riyadh", "Asia/Dubai", "Asia/Kuwait", "Asia/Bahrain", "Asia/Muscat",
           "Africa/Cairo", "Asia/Amman", "Africa/Casablanca"),
}  # fmt: skip
_NO_LONGER: Final = N_("This time is no longer available. Choose another one.")
_GONE: Final = frozenset({"slot-taken", "slot-gone"})


router = APIRouter(prefix="/family", include_in_schema=False)


@router.get("")
async def home(request: Request, context: ContextDep, family: FamilySession, done: Word = "") -> Response:
    view = await booking.see(context, family)
    if view.may_choose and not view.planned and view.state == "offered":
        return RedirectResponse(f"{HOME}/times" if view.personal.zone else f"{HOME}/place", 303)
    return PAGES.render(
        request,
        "meeting.html",
        view=view,
        address=as_typed(view.personal.address),
        now=context.clock.now(),
        done=done,
    )


@router.get("/meeting.ics")
async def file(request: Request, context: ContextDep, family: FamilySession) -> Response:
    code = PAGES.language(request).code
    content = await booking.calendar_file_of(context, family, code)
    headers = {"Content-Disposition": 'attachment; filename="meeting.ics"'}
    return Response(content, headers=headers, media_type="text/calendar; charset=utf-8; method=PUBLISH")


@router.get("/cancel")
async def ask_cancel(request: Request, context: ContextDep, family: FamilySession) -> Response:
    view = await booking.see(context, family)
    if view.planned is None:
        return RedirectResponse(HOME, 303)
    return PAGES.render(request, "cancel.html", view=view)


@router.post("/cancel")
async def cancel(context: ContextDep, family: FamilySession) -> Response:
    await booking.cancel(context, family)
    return RedirectResponse(HOME, 303)


@router.get("/place")
async def ask_place(request: Request, context: ContextDep, family: FamilySession) -> Response:
    return _place_page(request, context, await _open(context, family))


@router.post("/place")
async def place(
    request: Request,
    context: ContextDep,
    family: FamilySession,
    zone: Annotated[Word, Form()] = "",
    find: Annotated[Word, Form()] = "",
) -> Response:
    view = await _open(context, family)
    if find.strip() and not zone:
        return _place_page(request, context, view, find)
    try:
        await booking.choose_zone(context, family, zone)
    except Refused as refused:
        return _place_page(request, context, view, error=refused.text)
    return RedirectResponse(f"{HOME}/times", 303)


@router.get("/times")
async def times(
    request: Request, context: ContextDep, family: FamilySession, later: Annotated[int, Query(ge=0, le=60)] = 0
) -> Response:
    view = await _open(context, family)
    if not view.personal.zone:
        return RedirectResponse(f"{HOME}/place", 303)
    return _times_page(request, context, view, later=later)


@router.get("/confirm")
async def ask_confirm(
    request: Request, context: ContextDep, family: FamilySession, at: Instant | None = None
) -> Response:
    view = await _open(context, family)
    if at is None:
        return RedirectResponse(f"{HOME}/times", 303)
    slot = _chosen(view, at)
    if slot is None or not view.personal.zone:
        return _times_page(request, context, view, refused=_NO_LONGER)
    return _confirm_page(request, view, slot)


@router.post("/confirm")
async def confirm(
    request: Request,
    context: ContextDep,
    family: FamilySession,
    at: Annotated[Instant, Form()],
    by: Annotated[ReachBy | None, Form()] = None,
    address: Annotated[Line, Form(max_length=512)] = "",
    night: Annotated[Literal["yes", ""], Form()] = "",
) -> Response:
    view = await _open(context, family)
    slot = _chosen(view, at)
    errors = dict(_errors(by, address, night=slot is not None and _asks_twice(view, slot) and not night))
    try:
        if not errors:
            await booking.book(context, family, booking.Wish(at, view.personal.zone, by or "page", address))
    except Refused as refused:
        if refused.code in _GONE:
            return _times_page(request, context, await _open(context, family), refused=refused.text)
        if slot is None or "address" not in refused.fields:
            raise
        errors = dict(refused.fields)
    if errors and slot is None:
        return _times_page(request, context, view, refused=_NO_LONGER)
    if errors and slot:
        return _confirm_page(request, view, slot, errors=errors, by=by, address=address, night=night)
    return RedirectResponse(f"{HOME}?done=booked", 303)


async def _open(context: Context, family: Family) -> booking.FamilyView:
    """The view, if a time may be chosen; otherwise redirect to the home page, which explains."""
    view = await booking.see(context, family)
    if not view.may_choose:
        raise ElsewhereFirst(HOME)
    return view


def _chosen(view: booking.FamilyView, at: datetime) -> Slot | None:
    """The free time that begins then, or the family's own, about which it may want to be reached otherwise."""
    mine = [view.planned] if view.planned else []
    return next((slot for slot in [*view.times.slots, *mine] if slot.starts_at == at), None)


def _asks_twice(view: booking.FamilyView, slot: Slot) -> bool:
    """Whether the time is at night for the family, and not booked already."""
    return slot != view.planned and is_night(slot.starts_at, ZoneInfo(view.zone))


def _errors(by: ReachBy | None, address: str, *, night: bool) -> Iterator[tuple[str, str]]:
    if night:
        yield "night-yes", N_("Confirm that this time suits you, or choose another one.")
    if by is None:
        yield "by", N_("Choose how we should send reminders.")
    if by == "email":
        try:
            mail_address(address)
        except NotMailAddress:
            yield "address", booking.NOT_AN_ADDRESS


def _place_page(
    request: Request, context: Context, view: booking.FamilyView, find: str = "", error: str = ""
) -> Response:
    code, now = PAGES.language(request).code, context.clock.now()
    everywhere = places(code, now)
    named = {place.zone: place for place in everywhere}
    found = (
        places(code, now, find)[:_FEW] if find.strip() else [named[zone] for zone in _OFTEN.get(code, _OFTEN[DEFAULT])]
    )
    return PAGES.render(
        request,
        "place.html",
        status=422 if error else 200,
        view=view,
        found=found,
        everywhere=everywhere,
        find=find.strip(),
        error=error,
    )


@dataclass(frozen=True)
class ShownSlot:
    """A time to choose, with the students' time, and the part of the night that it is in for the family, if any."""

    slot: Slot
    theirs: str
    night: str


def _times_page(
    request: Request, context: Context, view: booking.FamilyView, *, later: int = 0, refused: str = ""
) -> Response:
    words, theirs = PAGES.language(request), view.times.tutor_zone
    days = by_day(view.times.slots, ZoneInfo(view.zone))
    first = later * _DAYS_A_PAGE
    shown: list[tuple[date, list[ShownSlot], list[ShownSlot]]] = []
    for day, slots in days[first : first + _DAYS_A_PAGE]:
        all_day = [
            ShownSlot(slot, short_time(words, slot.starts_at, theirs), part_of_night(words, slot.starts_at, view.zone))
            for slot in slots
        ]
        shown.append((day, [one for one in all_day if not one.night], [one for one in all_day if one.night]))
    return PAGES.render(
        request,
        "times.html",
        status=409 if refused else 200,
        view=view,
        days=shown,
        later=later,
        more=len(days) > first + _DAYS_A_PAGE,
        refused=refused,
        now=context.clock.now(),
    )


def _confirm_page(
    request: Request,
    view: booking.FamilyView,
    slot: Slot,
    *,
    errors: Mapping[str, str] | None = None,
    by: ReachBy | None = None,
    address: str = "",
    night: str = "",
) -> Response:
    given: dict[str, Any] = {"by": by, "address": address}
    if errors is None and view.meeting:
        given = {"by": view.meeting.reach_by, "address": as_typed(view.personal.address)}
    words = PAGES.language(request)
    found = {name: words.gettext(text) for name, text in (errors or {}).items()}
    return PAGES.render(
        request,
        "confirm.html",
        status=422 if errors else 200,
        view=view,
        slot=slot,
        found=found,
        part_of_night=part_of_night(words, slot.starts_at, view.zone) if _asks_twice(view, slot) else "",
        night=night,
        **given,
    )


__all__ = ["HOME", "router"]
