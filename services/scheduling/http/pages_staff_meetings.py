"""The staff's pages: all meetings; one meeting, to move, cancel or close."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import RedirectResponse, Response

from firsthand.services.scheduling.handlers import availability, meetings
from firsthand.services.scheduling.http.doors import ContactTutor
from firsthand.services.scheduling.http.shapes import Shown, Whose
from firsthand.services.scheduling.http.words import part_of_night
from firsthand.services.scheduling.model import Meeting, NotHeldBecause, Participant
from firsthand.services.scheduling.model.letters import TellingOf
from firsthand.services.scheduling.model.slots import instants, is_night
from firsthand.services.scheduling.words import PAGES
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Count, Cursor, Instant, Note, Word, tidy
from firsthand.shared.refused import Refused
from firsthand.shared.renewals import is_complete
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Tutor
from firsthand.shared.web.problems import status_of

LIST: Final = "/scheduling/meetings"
_YEARS: Final = range(2000, 2200)
_ROWS: Final = 8  # people who can be named when closing
_PERSON: Final[TypeAdapter[str]] = TypeAdapter(Id)

_A_PAGE: Final = 25  # meetings of one part
_FIRST: Final = 8  # of each part, where all are shown

# What the family waits to hear, as staff reads it: who tells it, and of what.
TELLINGS: Final[Mapping[TellingOf, str]] = {
    "recording": N_("Tell the family that it can watch its recording"),
    "text": N_("Tell the family that a text waits for it"),
    "times": N_("Tell the family that it can choose a time again"),
    "cancelled": N_("Tell the family that the meeting is cancelled"),
    "choose-anew": N_("Tell the family to choose another time"),
}
PARTS: Final[tuple[tuple[Shown, str], ...]] = (
    ("to-close", N_("To close")),
    ("coming", N_("Upcoming")),
    ("waiting", N_("Waiting for the family to choose")),
    ("ended", N_("Past and cancelled")),
)
REASONS: Final[tuple[tuple[NotHeldBecause, str], ...]] = (
    ("nobody-came", N_("No one from the family came")),
    ("technical", N_("There was a technical problem")),
    ("other", N_("Something else")),
)
_DONE: Final = {
    "moved": N_("The new time is set."),
    "anew": N_("The time is free again. The family can choose another."),
    "cancelled": N_("The meeting is cancelled."),
    "offered": N_("The family can choose a time again."),
    "closed": N_("Thank you. The meeting is closed."),
    "told": N_("Thank you. The family knows."),
}


@dataclass(frozen=True)
class Entered:
    """What somebody entered in one of the page's forms; kept when it is refused."""

    at: str = ""
    note: str = ""
    begun: str = ""
    ended: str = ""
    people: tuple[str, ...] = ()
    agree: tuple[int, ...] = ()  # the rows of those who agree to the recording
    reason: str = ""
    again: bool = False


router = APIRouter(prefix="/meetings", include_in_schema=False)


@router.get("")
async def everything(
    request: Request,
    context: ContextDep,
    staff: Tutor,
    whose: Whose = "mine",
    show: Shown | None = None,
    after: Cursor | None = None,
) -> Response:
    """The first meetings of each part; or one part, page by page."""
    after = after if show else None
    everybody, limit = whose == "all", _A_PAGE if show else _FIRST
    parts = [
        (part, text, await meetings.list_part(context, staff, part, everybody=everybody, after=after, limit=limit))
        for part, text in PARTS
        if show in {None, part}
    ]
    return PAGES.render(
        request,
        "meetings.html",
        parts=parts,
        hours=None if show else await availability.hours_of(context, staff, limit=_FIRST),
        whose=whose,
        complete=is_complete(context, Meeting, staff.institution),
        show=show,
        after=after,
        now=context.clock.now(),
    )


@router.get("/{contact_id}")
async def one(request: Request, context: ContextDep, contact_id: Id, staff: ContactTutor, done: Word = "") -> Response:
    return await _page(request, context, staff, contact_id, done=_DONE.get(done, ""))


@router.get("/{contact_id}/{_action}")
async def back(contact_id: Id, _action: Word, staff: ContactTutor) -> Response:  # noqa: ARG001 - who may
    """Where a form was refused, another language is asked for by its own address."""
    return RedirectResponse(f"{LIST}/{contact_id}", 303)


@router.post("/{contact_id}/move")
async def move(
    request: Request,
    context: ContextDep,
    contact_id: Id,
    staff: ContactTutor,
    slot: Annotated[Instant | Literal[""], Form()] = "",
    at: Annotated[Word, Form()] = "",
    night: Annotated[Literal["yes", ""], Form()] = "",
) -> Response:
    view, entered = await meetings.see(context, staff.institution, contact_id), Entered(at=at)
    try:
        starts_at = _clocked(at, view.tutor_zone) or slot or None
        if starts_at is None:
            raise Refused.of_field("at", N_("Choose a time, or enter one."))
    except Refused as refused:
        return await _page(
            request, context, staff, contact_id, refused=_text_of(refused), status=status_of(refused), entered=entered
        )
    if view.family_zone and is_night(starts_at, ZoneInfo(view.family_zone)) and not night:
        return await _page(request, context, staff, contact_id, at_night=starts_at, status=422)
    return await _done(
        request, context, staff, contact_id, meetings.move(context, staff, contact_id, starts_at), "moved", entered
    )


@router.post("/{contact_id}/anew")
async def anew(
    request: Request,
    context: ContextDep,
    contact_id: Id,
    staff: ContactTutor,
    note: Annotated[Note, Form(max_length=1000)] = "",
) -> Response:
    return await _done(
        request,
        context,
        staff,
        contact_id,
        meetings.choose_anew(context, staff, contact_id, note),
        "anew",
        Entered(note=note),
    )


@router.post("/{contact_id}/cancel")
async def cancel(
    request: Request,
    context: ContextDep,
    contact_id: Id,
    staff: ContactTutor,
    note: Annotated[Note, Form(max_length=1000)] = "",
) -> Response:
    return await _done(
        request,
        context,
        staff,
        contact_id,
        meetings.cancel(context, staff, contact_id, note),
        "cancelled",
        Entered(note=note),
    )


@router.post("/{contact_id}/offer")
async def offer(request: Request, context: ContextDep, contact_id: Id, staff: ContactTutor) -> Response:
    return await _done(request, context, staff, contact_id, meetings.offer_again(context, staff, contact_id), "offered")


@router.post("/{contact_id}/told")
async def told(request: Request, context: ContextDep, contact_id: Id, staff: ContactTutor) -> Response:
    return await _done(request, context, staff, contact_id, meetings.note_told(context, staff, contact_id), "told")


@router.post("/{contact_id}/held")
async def held(
    request: Request,
    context: ContextDep,
    contact_id: Id,
    staff: ContactTutor,
    person: Annotated[list[Word], Form()],
    agrees: Annotated[list[Count] | None, Form()] = None,
    begun: Annotated[Word, Form()] = "",
    ended: Annotated[Word, Form()] = "",
) -> Response:
    view = await meetings.see(context, staff.institution, contact_id)

    async def act() -> None:
        zone, planned = view.tutor_zone, view.planned.starts_at if view.planned else None
        from_ = _clocked(begun, zone, near=planned)
        until = _clocked(ended, zone, after=from_ or planned)
        how = meetings.Held(_participants(person, agrees or []), from_, until)
        await meetings.close_held(context, staff, contact_id, how)

    entered = Entered(begun=begun, ended=ended, people=tuple(person), agree=tuple(agrees or ()))
    return await _done(request, context, staff, contact_id, act(), "closed", entered)


@router.post("/{contact_id}/not-held")
async def not_held(
    request: Request,
    context: ContextDep,
    contact_id: Id,
    staff: ContactTutor,
    reason: Annotated[NotHeldBecause, Form()],
    again: Annotated[Literal["yes", ""], Form()] = "",
) -> Response:
    async def act() -> None:
        await meetings.close_not_held(context, staff, contact_id, reason)
        if again:
            await meetings.offer_again(context, staff, contact_id)

    entered = Entered(reason=reason, again=bool(again))
    return await _done(request, context, staff, contact_id, act(), "offered" if again else "closed", entered)


async def _done(
    request: Request,
    context: Context,
    staff: Staff,
    contact_id: Id,
    act: Awaitable[object],
    done: str,
    entered: Entered | None = None,
) -> Response:
    """Act and return to the meeting; its page shows a refusal."""
    try:
        await act
    except Refused as refused:
        if refused.kind not in {"not-possible", "invalid"}:
            raise
        return await _page(
            request,
            context,
            staff,
            contact_id,
            refused=_text_of(refused),
            status=status_of(refused),
            entered=entered,
        )
    return RedirectResponse(f"{LIST}/{contact_id}?done={done}", 303)


async def _page(
    request: Request,
    context: Context,
    staff: Staff,
    contact_id: Id,
    *,
    done: Word = "",
    refused: str = "",
    at_night: datetime | None = None,
    status: int = 200,
    entered: Entered | None = None,
) -> Response:
    view = await meetings.see(context, staff.institution, contact_id)
    words, zone = PAGES.language(request), ZoneInfo(view.tutor_zone)
    planned, kept = view.planned, entered or Entered()
    times = (planned.starts_at, planned.ends_at) if planned else ()
    begun, ended = [f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" for at in times] or ["", ""]
    return PAGES.render(
        request,
        "one_meeting.html",
        status=status,
        view=view,
        now=context.clock.now(),
        entered=replace(kept, begun=kept.begun or begun, ended=kept.ended or ended),
        rows=range(1, _ROWS),
        reasons=REASONS,
        tellings=TELLINGS,
        done=done,
        refused=refused,
        at_night=at_night,
        nights={slot: part_of_night(words, slot.starts_at, view.family_zone) for slot in view.times.slots}
        if view.family_zone
        else {},
    )


def _text_of(refused: Refused) -> str:
    return refused.text or next(iter(refused.fields.values()), "")


def _participants(people: list[str], agrees: list[int]) -> list[Participant]:
    """Read the rows of the form: an id each, and the numbers of the rows that agree. Raises Refused."""
    found = []
    for row, person_id in enumerate(one.strip() for one in people):
        if not person_id:
            continue
        try:
            _PERSON.validate_python(person_id)
        except ValidationError:
            raise Refused.of_field("person", N_("One of the people does not have an ID of this institution.")) from None
        found.append(Participant(person_id=person_id, agrees_to_recording=row in agrees))
    return found


def _clocked(text: str, zone: str, *, near: datetime | None = None, after: datetime | None = None) -> datetime | None:
    """Read a time of the tutor's clock (`YYYY-MM-DDTHH:MM`) as an instant; None for nothing. Raises Refused.

    Of an hour that the clock shows twice it is the first, or the one that lies nearer to `near`, or the first `after`.
    """
    if not (text := tidy(text)):
        return None
    try:
        wall = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise Refused.of_field("at", N_("Enter a date and a time.")) from None
    if wall.year not in _YEARS:
        raise Refused.of_field("at", N_("Enter a date and a time."))
    shown = instants(wall, ZoneInfo(zone))
    if not shown:
        raise Refused.of_field(
            "at", N_("This time does not exist, because the clocks go forward. Choose an hour later.")
        )
    if near:
        return min(shown, key=lambda at: abs(at - near))
    return next((at for at in shown if after and at > after), shown[0])


__all__ = ["LIST", "REASONS", "router"]
