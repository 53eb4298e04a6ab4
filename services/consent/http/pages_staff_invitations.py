"""Staff pages: invitations by task, and one invitation with everything that a tutor needs."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.consent.handlers import decisions, invitations, reading
from firsthand.services.consent.handlers.policies import ground_of
from firsthand.services.consent.handlers.sight import count_of, page_of, sight_of
from firsthand.services.consent.http import words
from firsthand.services.consent.http.doors import ContactTutor, context_of
from firsthand.services.consent.http.history import history_of
from firsthand.services.consent.http.pages import pages
from firsthand.services.consent.http.urls import link_path, link_url
from firsthand.services.consent.model import Erase, Journey, Step
from firsthand.services.consent.repository import Journeys
from firsthand.shared.events.consent import Answer
from firsthand.shared.events.contact import SCOPES, Scope
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Word, day_of, tidy
from firsthand.shared.refused import Refused
from firsthand.shared.renewals import is_complete
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import Tutor
from firsthand.shared.web.problems import status_of

router = APIRouter(prefix="/invitations", include_in_schema=False)

_A_PAGE: Final = 25
# The groups of the list, each with the steps that it is made of.
GROUPS: Final[dict[str, tuple[str, tuple[Step, ...]]]] = {
    "to-send": (N_("To send"), ("prepared", "sent-due", "later-due")),
    "answered": (N_("Answered"), ("answered",)),
    "waiting": (N_("Waiting"), ("sent", "later", "linked")),
    "decided": (N_("Said yes"), ("granted", "paused")),
    "ended": (N_("Ended"), ("closed", "expired", "declined", "withdrawn", "erasing", "erased")),
}


@router.get("")
async def list_page(request: Request, staff: Tutor, show: Word = "", after: Cursor | None = None) -> Response:
    context = context_of(request)
    sight = await sight_of(context, staff)
    counts = {name: await count_of(context, staff, sight, steps) for name, (_, steps) in GROUPS.items()}
    shown = show if show in GROUPS else next((name for name in ("to-send", "answered") if counts[name]), "waiting")
    page = await page_of(context, staff, sight, GROUPS[shown][1], after=after, limit=_A_PAGE)
    return pages.render(
        request,
        "invitations.html",
        groups=[(name, text, counts[name]) for name, (text, _) in GROUPS.items()],
        shown=shown,
        page=page,
        after=after,
        complete=is_complete(context, Journey, staff.institution),
        now=context.clock.now(),
    )


@router.get("/{contact_id}")
async def one_page(request: Request, staff: ContactTutor, contact_id: Id) -> Response:
    return await _page(request, await _journey(context_of(request), staff, contact_id))


@router.post("/{contact_id}/sent")
async def mark_sent(
    request: Request,
    staff: ContactTutor,
    contact_id: Id,
    language: Annotated[str, Form(max_length=20)] = "",
    text_version: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    context = context_of(request)
    copied = invitations.Copied(language, text_version)
    await invitations.mark_sent(context, staff, contact_id, copied)
    return _back(contact_id, "sent")


@router.post("/{contact_id}/answer")
async def log_answer(
    request: Request,
    staff: ContactTutor,
    contact_id: Id,
    answer: Annotated[Answer | None, Form()] = None,
    later: Annotated[Word, Form()] = "",
) -> Response:
    context = context_of(request)
    journey = await _journey(context, staff, contact_id)
    if answer is None:
        return await _page(
            request, journey, Refused("no-answer", N_("Choose what they answered."), fields=("answer",), kind="invalid")
        )
    try:
        later_at = await _morning(context, journey, _day(later, "later_at")) if answer == "later" else None
        await invitations.log_answer(context, staff, contact_id, answer, later_at)
    except Refused as refused:
        return await _page(request, journey, refused, given={"answer": answer, "later": later})
    return _back(contact_id, "answered")


@router.post("/{contact_id}/link")
async def make_link(request: Request, staff: ContactTutor, contact_id: Id) -> Response:
    context = context_of(request)
    await invitations.make_link(context, staff, contact_id)
    return _back(contact_id, "linked")


@router.post("/{contact_id}/told")
async def log_told(request: Request, staff: ContactTutor, contact_id: Id) -> Response:
    """A change to less, or the end, that reached this person by message."""
    context = context_of(request)
    journey = await _journey(context, staff, contact_id)
    form = {key: tidy(str(value)[:2000]) for key, value in (await request.form()).items()}
    try:
        told = decisions.Told(staff.person_id, form.get("how_told", "")[:200], await _told_at(context, journey, form))
        await _log(context, staff, journey, form, told)
    except Refused as refused:
        return await _page(request, await _journey(context, staff, contact_id), refused, given=form)
    return _back(contact_id, "logged")


async def _journey(context: Context, staff: Staff, contact_id: str) -> Journey:
    return await Journeys(context, staff.institution).demand(contact_id)


async def _log(context: Context, staff: Staff, journey: Journey, form: dict[str, str], told: decisions.Told) -> None:
    if form.get("what") == "change":
        less: dict[Scope, bool] = {scope: False for scope in SCOPES if form.get(f"stop-{scope}")}
        if not less:
            raise Refused("nothing-chosen", N_("Choose what they no longer allow."), fields=("what",), kind="invalid")
        await decisions.change(context, staff.institution, journey.id, less, told=told)
        return
    erase: Erase | None = {"end-now": "now", "end-in-7-days": "in-7-days"}.get(form.get("what", ""))  # type: ignore[assignment]
    if erase is None:
        raise Refused("nothing-chosen", N_("Choose what they told you."), fields=("what",), kind="invalid")
    await decisions.withdraw(context, staff.institution, journey.id, erase, told=told)


async def _page(
    request: Request, journey: Journey, refused: Refused | None = None, *, given: dict[str, str] | None = None
) -> Response:
    context = context_of(request)
    now = context.clock.now()
    message, refusals = await invitations.message_of(context, journey)
    token = await invitations.link_token(context, journey)
    ground = await ground_of(context, journey.institution, journey.case_id, journey.contact.language)
    records = await reading.records_of(context, journey)
    return pages.render(
        request,
        "invitation.html",
        status=status_of(refused) if refused else 200,
        journey=journey,
        stage=journey.current_stage(),
        case=ground.case,
        zone=ground.institution.zone if ground.institution else "UTC",
        message=message,
        refusals=refusals,
        refused=refused,
        given=given or {},
        link=_link(context, journey, token) if token else None,
        link_message=ground.text.body.link_message if ground.text else "",
        link_refusals=ground.permission.refusals(now) if journey.consent.state == "none" else [],
        link_possible=_link_possible(journey),
        can_answer=_can_answer(journey),
        can_log=journey.consent.state in {"granted", "paused"} or journey.current_stage() in {"linked", "declined"},
        answers=words.ANSWERS,
        scope_words=words.SCOPES,
        all_scopes=SCOPES,
        done=words.DONE,
        entries=history_of(journey, records, pages.language(request)),
        now=now,
    )


def _link(context: Context, journey: Journey, token: str) -> dict[str, Any]:
    return {
        "url": link_url(context, journey.institution, token),
        "path": link_path(journey.institution, token),
        "usable": not context.settings.address_is_loopback,
    }


def _link_possible(journey: Journey) -> bool:
    stage, invitation = journey.current_stage(), journey.invitation
    return stage in {"linked", "granted", "paused", "withdrawn"} or (stage == "answered" and invitation.answer == "yes")


def _can_answer(journey: Journey) -> bool:
    return journey.consent.state == "none" and journey.current_stage() in {"sent", "answered", "linked", "expired"}


async def _morning(context: Context, journey: Journey, day: date) -> datetime:
    """The beginning of a day where the institution is."""
    ground = await ground_of(context, journey.institution, journey.case_id)
    zone = ZoneInfo(ground.institution.zone if ground.institution else "UTC")
    return datetime.combine(day, time(), zone).astimezone(UTC)


async def _told_at(context: Context, journey: Journey, form: dict[str, str]) -> datetime | None:
    if not form.get("told_on"):
        return None
    return await _morning(context, journey, _day(form["told_on"], "told_on"))


def _day(text: str, field: str) -> date:
    try:
        return day_of(text)
    except ValueError:
        raise Refused("no-date", N_("Choose a day."), fields=(field,), kind="invalid") from None


def _back(contact_id: str, done: str) -> Response:
    return RedirectResponse(f"/consent/invitations/{contact_id}?done={done}", 303)
