"""The JSON API for staff and machines."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.consent.handlers import decisions, invitations, reading, texts
from services.consent.handlers.templates import PLACES, languages
from services.consent.http.doors import context_of, guided
from services.consent.http.urls import link_url
from services.consent.model import Erase, Journey, Stage
from services.consent.model.texts import Text
from services.consent.repository import Journeys, Texts
from shared.events.consent import Answer
from shared.events.contact import Scope
from shared.identifiers import Id
from shared.service import Context
from shared.sessions import Staff
from shared.web.access import Coordinator, Tutor

router = APIRouter(prefix="/api/v1")

LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Approval(BaseModel):
    """The number of the approval that covers the text; `sha256` of what was read, so that nothing else is approved."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[str, Field(max_length=100)]
    sha256: str | None = None


class MessageSent(BaseModel):
    """Which text was sent, as `message` of the invitation named it; the approved one when left out."""

    model_config = ConfigDict(extra="forbid")

    language: LanguageCode
    text_version: Annotated[str, Field(max_length=100)]


class AnswerGiven(BaseModel):
    """What the family answered; `later_at` when it said later."""

    model_config = ConfigDict(extra="forbid")

    answer: Answer
    later_at: AwareDatetime | None = None


class WithdrawalTold(BaseModel):
    """A withdrawal that reached staff by message."""

    model_config = ConfigDict(extra="forbid")

    erase: Erase
    how_told: Annotated[str, Field(min_length=1, max_length=200)]
    told_at: AwareDatetime | None = None


class ChangeTold(BaseModel):
    """A change to less that reached staff by message."""

    model_config = ConfigDict(extra="forbid")

    scopes: dict[Scope, bool]
    how_told: Annotated[str, Field(min_length=1, max_length=200)]
    told_at: AwareDatetime | None = None


@router.get("/cases/{case_id}/texts")
async def texts_of_case(request: Request, staff: Tutor, case_id: Id) -> dict[str, Any]:
    """The newest and the approved version by language, and the places that may stand in a text."""
    context = context_of(request)
    await texts.demand_case(context, staff.institution, case_id)
    found = Texts(context, staff.institution)
    shown: dict[str, Any] = {}
    for language in languages():
        newest = next(iter(await found.versions(case_id, language, limit=1)), None)
        approved = await found.approved(case_id, language)
        shown[language] = {"newest": text_json(newest), "approved": text_json(approved)}
    return {"texts": shown, "places": PLACES}


@router.get("/cases/{case_id}/texts/{language}")
async def text_versions(request: Request, staff: Tutor, case_id: Id, language: LanguageCode) -> dict[str, Any]:
    context = context_of(request)
    versions = await Texts(context, staff.institution).versions(case_id, language)
    proposed = await texts.proposed_text(context, staff.institution, case_id, language)
    return {"versions": [text_json(text) for text in versions], "proposed": proposed.model_dump(mode="json")}


@router.put("/cases/{case_id}/texts/{language}")
async def edit_text(
    request: Request, staff: Coordinator, case_id: Id, language: LanguageCode, changes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make the next version: the fields given replace those of the newest one, or of the template. Not yet approved."""
    context = context_of(request)
    text = await texts.edit_text(context, staff, case_id, language, changes or {})
    return text_json(text) or {}


@router.post("/cases/{case_id}/texts/{language}/approve")
async def approve_text(
    request: Request, staff: Coordinator, case_id: Id, language: LanguageCode, approval: Approval
) -> dict[str, Any]:
    context = context_of(request)
    text = await texts.approve_text(
        context, staff, case_id, language, approval_number=approval.number, sha256=approval.sha256
    )
    return text_json(text) or {}


@router.get("/invitations")
async def list_invitations(
    request: Request, staff: Tutor, state: Stage | None = None, after: str | None = None
) -> dict[str, Any]:
    """A page of those that this person guides, the latest moved first; `next` is the cursor of the following page."""
    context = context_of(request)
    page = await Journeys(context, staff.institution).page(state, after=after)
    mine = await invitations.visible_to(context, staff, page.items)
    return {"invitations": [summary(context, journey) for journey in mine], "next": page.next}


@router.get("/invitations/{contact_id}")
async def one_invitation(request: Request, staff: Tutor, contact_id: Id) -> dict[str, Any]:
    context = context_of(request)
    return await _invitation(context, await guided(context, staff, contact_id))


@router.post("/invitations/{contact_id}/sent")
async def mark_sent(request: Request, staff: Tutor, contact_id: Id, sent: MessageSent | None = None) -> dict[str, Any]:
    """A person sent the message that `GET` showed: the first one, or the one reminder."""
    context = context_of(request)
    await guided(context, staff, contact_id)
    copied = invitations.Copied(sent.language, sent.text_version) if sent else None
    journey = await invitations.mark_sent(context, staff, contact_id, copied)
    return await _invitation(context, journey)


@router.post("/invitations/{contact_id}/answer")
async def log_answer(request: Request, staff: Tutor, contact_id: Id, given: AnswerGiven) -> dict[str, Any]:
    context = context_of(request)
    await guided(context, staff, contact_id)
    journey = await invitations.log_answer(context, staff, contact_id, given.answer, given.later_at)
    return await _invitation(context, journey)


@router.post("/invitations/{contact_id}/link")
async def make_link(request: Request, staff: Tutor, contact_id: Id) -> dict[str, str]:
    """Make a new personal link; the one before opens nothing any more. `usable` says where it leads to us."""
    context = context_of(request)
    await guided(context, staff, contact_id)
    token = await invitations.make_link(context, staff, contact_id)
    return {"url": link_url(context, staff.institution, token), "usable": usable(context)}


@router.post("/consents/{contact_id}/withdraw")
async def withdraw(request: Request, staff: Tutor, contact_id: Id, told: WithdrawalTold) -> dict[str, Any]:
    context = context_of(request)
    await guided(context, staff, contact_id)
    by = decisions.Told(staff.person_id, told.how_told, told.told_at)
    journey = await decisions.withdraw(context, staff.institution, contact_id, told.erase, told=by)
    return summary(context, journey)


@router.post("/consents/{contact_id}/change")
async def change(request: Request, staff: Tutor, contact_id: Id, told: ChangeTold) -> dict[str, Any]:
    context = context_of(request)
    await guided(context, staff, contact_id)
    by = decisions.Told(staff.person_id, told.how_told, told.told_at)
    journey = await decisions.change(context, staff.institution, contact_id, told.scopes, told=by)
    return summary(context, journey)


@router.get("/consents/{contact_id}/receipt")
async def receipt(request: Request, staff: Coordinator, contact_id: Id) -> dict[str, Any]:
    """The consent record for an audit (ISO/IEC TS 27560)."""
    context = context_of(request)
    await guided(context, staff, contact_id)
    return await _receipt(context, staff, contact_id)


async def _receipt(context: Context, staff: Staff, contact_id: str) -> dict[str, Any]:
    return await reading.receipt(context, await reading.family_view(context, staff.institution, contact_id))


def text_json(text: Text | None) -> dict[str, Any] | None:
    if text is None:
        return None
    shown = text.model_dump(
        mode="json", include={"case_id", "language", "number", "sha256", "state", "approval_number"}
    )
    dates = {"made_at": text.made_at.isoformat(), "approved_at": text.approved_at and text.approved_at.isoformat()}
    return {**shown, **dates, "text_version": text.text_version, "text": text.body.model_dump(mode="json")}


def summary(context: Context, journey: Journey) -> dict[str, Any]:
    told = journey.told()
    return {
        "contact_id": journey.id,
        "reference": journey.contact.reference,
        "case_id": journey.case_id,
        "language": journey.contact.language,
        "tutor_id": journey.contact.tutor_id,
        "state": journey.current_stage(),
        "reminder_due": journey.invitation.reminder_due(context.clock.now()),
        "later_at": _iso(journey.invitation.later_at),
        "invitation": told.invitation.model_dump(mode="json"),
        "consent": told.consent.model_dump(mode="json"),
    }


async def _invitation(context: Context, journey: Journey) -> dict[str, Any]:
    """The summary, with the message to copy now or with what stands in the way."""
    message, refusals = await invitations.message_of(context, journey)
    return {
        **summary(context, journey),
        "message": message.__dict__ if message else None,
        "blocked_because": [{"code": refused.code, "text": refused.text} for refused in refusals],
    }


def usable(context: Context) -> str:
    """Where a link leads to us: everywhere, or on this machine only while there is no public address."""
    return "this machine only" if context.settings.address_is_loopback else "everywhere"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
