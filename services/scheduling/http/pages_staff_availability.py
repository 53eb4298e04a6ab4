"""The page on which a tutor says when they can be met for a case, with a look at what that means elsewhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from babel.dates import get_day_names
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from firsthand.services.scheduling.handlers import availability
from firsthand.services.scheduling.http.doors import CaseTutor
from firsthand.services.scheduling.http.pages_staff_meetings import LIST
from firsthand.services.scheduling.http.shapes import AvailabilityBody
from firsthand.services.scheduling.http.words import part_of_night, short_when
from firsthand.services.scheduling.model import AvailabilityRules
from firsthand.services.scheduling.model.slots import Slot, free_slots
from firsthand.services.scheduling.model.zones import places
from firsthand.services.scheduling.words import PAGES
from firsthand.shared.copies import institution_of
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Word
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Tutor
from firsthand.shared.web.languages import Language

_ENTRIES_A_DAY: Final = 3  # that are shown at least
_MOST_A_DAY: Final = 10
_PREVIEWED: Final = 8
_A_PAGE: Final = 50
# Where the first families and students were: four clocks that never agree for long.
_CLOCKS: Final = ("Asia/Qatar", "America/Phoenix", "America/New_York", "Pacific/Auckland")
_NUMBERS: Final = ("duration_minutes", "buffer_minutes", "notice_hours", "horizon_days")
_WRONG: Final[Mapping[str, str]] = {
    "zone": N_("Choose the time zone of these hours."),
    "duration_minutes": N_("A meeting must be between 30 and 180 minutes long."),
    "buffer_minutes": N_("The break between two meetings must be between 0 and 240 minutes."),
    "notice_hours": N_("The notice must be between 0 and 336 hours."),
    "horizon_days": N_("You can offer times between 1 and 180 days ahead."),
    "weekly": N_("Enter hours like 09:00 to 17:30. Each must end after it starts, and none may overlap."),
    "blocked": N_("Enter each day off on its own line, for example 2026-12-24."),
    "join_url": N_("The address of the meeting room must start with https://."),
}


router = APIRouter(prefix="/availability", include_in_schema=False)


@router.get("")
async def everything(request: Request, context: ContextDep, staff: Tutor, after: Cursor | None = None) -> Response:
    found = await availability.hours_of(context, staff, after=after, limit=_A_PAGE)
    everybodys = "coordinator" in staff.roles
    return PAGES.render(request, "hours.html", found=found, everybodys=everybodys, after=after, back=LIST)


@router.get("/{case_id}")
async def hours(
    request: Request, context: ContextDep, case_id: Id, staff: CaseTutor, tutor: Word = "", done: Word = ""
) -> Response:
    case, tutor_id = await _whose(context, staff, case_id, tutor)
    found = await availability.availability_of(context, staff.institution, case_id, tutor_id)
    rules = found.rules if found else await _first(context, staff)
    given = {**rules.model_dump(by_alias=True), "blocked": "\n".join(map(str, rules.blocked))}
    return _page(request, context, case, tutor_id, given, rules=rules, saved=done == "saved")


@router.post("/{case_id}")
async def save(request: Request, context: ContextDep, case_id: Id, staff: CaseTutor, tutor: Word = "") -> Response:
    case, tutor_id = await _whose(context, staff, case_id, tutor)
    form = await request.form(max_fields=200)
    given = _given(form)
    try:
        body = AvailabilityBody.model_validate({**given, "blocked": given["blocked"].split()})
    except ValidationError as error:
        wrong = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        return _page(request, context, case, tutor_id, given, wrong=list(wrong))
    rules = body.rules_only()
    if form.get("look"):
        return _page(request, context, case, tutor_id, given, rules=rules)
    await availability.set_availability(context, staff.institution, case_id, tutor_id, rules)
    return RedirectResponse(f"/scheduling/availability/{case_id}?tutor={tutor_id}&done=saved", 303)


async def _whose(context: Context, staff: Staff, case_id: Id, tutor: str) -> tuple[CaseState, str]:
    case = await availability.case_named(context, staff.institution, case_id)
    return case, availability.tutor_meant(staff, tutor)


async def _first(context: Context, staff: Staff) -> AvailabilityRules:
    """What a tutor begins with: the institution's own zone, and no hours."""
    institution = await institution_of(context, staff.institution)
    return AvailabilityRules(zone=institution.zone if institution else "UTC")


def _given(form: FormData) -> dict[str, Any]:
    """Read the form: for each weekday some entries `from-<day>-<n>`, `to-<day>-<n>`; 00:00 ends the day."""
    weekly = []
    for day in range(7):
        for n in range(_MOST_A_DAY):
            begins, ends = (str(form.get(f"{end}-{day}-{n}") or "").strip() for end in ("from", "to"))
            if begins or ends:
                weekly.append({"weekday": day, "from": begins, "to": "24:00" if ends == "00:00" else ends})
    plain = {name: str(form.get(name) or "").strip() for name in ("zone", "blocked", "join_url", *_NUMBERS)}
    return {**plain, "weekly": weekly}


def _page(
    request: Request,
    context: Context,
    case: CaseState,
    tutor_id: str,
    given: Mapping[str, Any],
    *,
    rules: AvailabilityRules | None = None,
    wrong: list[str] | None = None,
    saved: bool = False,
) -> Response:
    words, now = PAGES.language(request), context.clock.now()
    week: list[list[tuple[str, str]]] = [[] for _ in range(7)]
    for entry in given["weekly"]:
        week[int(entry["weekday"])].append((entry["from"], "00:00" if entry["to"] == "24:00" else entry["to"]))
    week = [entries + [("", "")] * (_ENTRIES_A_DAY - len(entries)) for entries in week]
    coming: list[Slot] = free_slots(rules.rules(), now)[:_PREVIEWED] if rules else []
    clocks = [rules.zone, *(zone for zone in _CLOCKS if zone != rules.zone)] if rules else []
    return PAGES.render(
        request,
        "availability.html",
        status=422 if wrong else 200,
        case=case,
        tutor_id=tutor_id,
        given=given,
        week=week,
        weekdays=[get_day_names("wide", locale=words.locale)[day] for day in range(7)],
        zones=[(place.zone, f"{place.name} · {words.time(now, place.zone)}") for place in places(words.code, now)],
        coming=coming,
        short=lambda at, zone: _marked(words, at, zone, own=zone == clocks[0]),
        clocks=clocks,
        wrong={name: words.gettext(_WRONG[name]) for name in wrong or [] if name in _WRONG},
        saved=saved,
        back=LIST,
    )


def _marked(words: Language, at: datetime, zone: str, *, own: bool) -> str:
    """A time on a clock, marked where it would be night for a family there."""
    night = "" if own else part_of_night(words, at, zone)
    return short_when(words, at, zone) + (f" ({night})" if night else "")
