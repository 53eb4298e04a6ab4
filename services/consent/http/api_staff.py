"""The JSON API for staff and machines."""

from typing import Any, Literal

from fastapi import APIRouter, Request

from firsthand.services.consent.handlers import decisions, invitations, reading, texts
from firsthand.services.consent.handlers.sight import count_of, page_of, sight_of
from firsthand.services.consent.handlers.templates import PLACES, languages
from firsthand.services.consent.http.doors import CaseTutor, ContactTutor, context_of
from firsthand.services.consent.http.shapes import (
    AnswerGiven,
    Approval,
    ChangeTold,
    InvitationOut,
    InvitationsOut,
    LanguageCode,
    LinkOut,
    MessageSent,
    ReceiptOut,
    TextOut,
    TextsOfLanguageOut,
    TextsOut,
    TextVersionsOut,
    WholeInvitationOut,
    WithdrawalTold,
)
from firsthand.services.consent.http.urls import link_url
from firsthand.services.consent.model import STEPS, Stage, steps_of
from firsthand.services.consent.repository import Journeys, Texts
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Word
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import Coordinator, Tutor

_A_PAGE = 50
_VERSIONS_A_PAGE = 4  # whole texts

router = APIRouter(prefix="/api/v1")


@router.get("/cases/{case_id}/texts")
async def texts_of_case(request: Request, staff: CaseTutor, case_id: Id) -> TextsOut:
    """The newest and the approved version by language, and the places that may stand in a text."""
    context = context_of(request)
    await texts.demand_case(context, staff.institution, case_id)
    found = Texts(context, staff.institution)
    shown: dict[str, TextsOfLanguageOut] = {}
    for language in languages():
        newest = await found.newest(case_id, language)
        approved = await found.approved(case_id, language)
        shown[language] = TextsOfLanguageOut(
            newest=TextOut.of(newest) if newest else None, approved=TextOut.of(approved) if approved else None
        )
    return TextsOut(texts=shown, places=list(PLACES))


@router.get("/cases/{case_id}/texts/{language}")
async def text_versions(
    request: Request, staff: CaseTutor, case_id: Id, language: LanguageCode, after: Cursor | None = None
) -> TextVersionsOut:
    """A page of the versions, the newest first, and the text that a case without one begins with."""
    context = context_of(request)
    page = await Texts(context, staff.institution).versions(case_id, language, after=after, limit=_VERSIONS_A_PAGE)
    proposed = await texts.proposed_text(context, staff.institution, case_id, language)
    return TextVersionsOut(versions=[TextOut.of(text) for text in page.items], proposed=proposed, next=page.next)


@router.put("/cases/{case_id}/texts/{language}")
async def edit_text(
    request: Request, staff: Coordinator, case_id: Id, language: LanguageCode, changes: dict[Word, Any] | None = None
) -> TextOut:
    """Make the next version: the fields given replace those of the newest one, or of the template. Not yet approved."""
    context = context_of(request)
    text = await texts.edit_text(context, staff, case_id, language, changes or {})
    return TextOut.of(text)


@router.post("/cases/{case_id}/texts/{language}/approve")
async def approve_text(
    request: Request, staff: Coordinator, case_id: Id, language: LanguageCode, approval: Approval
) -> TextOut:
    context = context_of(request)
    text = await texts.approve_text(
        context, staff, case_id, language, approval_number=approval.number, sha256=approval.sha256
    )
    return TextOut.of(text)


@router.get("/invitations")
async def list_invitations(
    request: Request, staff: Tutor, state: Stage | None = None, after: Cursor | None = None
) -> InvitationsOut:
    """A page of those that this person may see, the latest moved first; `next` is the cursor of the following page."""
    context = context_of(request)
    sight, steps = await sight_of(context, staff), steps_of(state) if state else STEPS
    page = await page_of(context, staff, sight, steps, after=after, limit=_A_PAGE)
    shown = [InvitationOut.of(context, journey) for journey in page.items]
    return InvitationsOut(invitations=shown, next=page.next, total=await count_of(context, staff, sight, steps))


@router.get("/invitations/{contact_id}")
async def one_invitation(request: Request, staff: ContactTutor, contact_id: Id) -> WholeInvitationOut:
    context = context_of(request)
    return await WholeInvitationOut.of_journey(context, await Journeys(context, staff.institution).demand(contact_id))


@router.post("/invitations/{contact_id}/sent")
async def mark_sent(
    request: Request, staff: ContactTutor, contact_id: Id, sent: MessageSent | None = None
) -> WholeInvitationOut:
    """A person sent the message that `GET` showed: the first one, or the one reminder."""
    context = context_of(request)
    copied = invitations.Copied(sent.language, sent.text_version) if sent else None
    journey = await invitations.mark_sent(context, staff, contact_id, copied)
    return await WholeInvitationOut.of_journey(context, journey)


@router.post("/invitations/{contact_id}/answer")
async def log_answer(request: Request, staff: ContactTutor, contact_id: Id, given: AnswerGiven) -> WholeInvitationOut:
    context = context_of(request)
    journey = await invitations.log_answer(context, staff, contact_id, given.answer, given.later_at)
    return await WholeInvitationOut.of_journey(context, journey)


@router.post("/invitations/{contact_id}/link")
async def make_link(request: Request, staff: ContactTutor, contact_id: Id) -> LinkOut:
    """Make a new personal link; the one before opens nothing any more. `usable` says where it leads to us."""
    context = context_of(request)
    token = await invitations.make_link(context, staff, contact_id)
    usable: Literal["everywhere", "this machine only"] = (
        "this machine only" if context.settings.address_is_loopback else "everywhere"
    )
    return LinkOut(url=link_url(context, staff.institution, token), usable=usable)


@router.post("/consents/{contact_id}/withdraw")
async def withdraw(request: Request, staff: ContactTutor, contact_id: Id, told: WithdrawalTold) -> InvitationOut:
    context = context_of(request)
    by = decisions.Told(staff.person_id, told.how_told, told.told_at)
    journey = await decisions.withdraw(context, staff.institution, contact_id, told.erase, told=by)
    return InvitationOut.of(context, journey)


@router.post("/consents/{contact_id}/change")
async def change(request: Request, staff: ContactTutor, contact_id: Id, told: ChangeTold) -> InvitationOut:
    context = context_of(request)
    by = decisions.Told(staff.person_id, told.how_told, told.told_at)
    journey = await decisions.change(context, staff.institution, contact_id, told.scopes, told=by)
    return InvitationOut.of(context, journey)


@router.get("/consents/{contact_id}/receipt")
async def receipt(request: Request, staff: Coordinator, contact_id: Id) -> ReceiptOut:
    """The consent record for an audit (ISO/IEC TS 27560)."""
    context = context_of(request)
    return await _receipt(context, staff, contact_id)


async def _receipt(context: Context, staff: Staff, contact_id: str) -> ReceiptOut:
    view = await reading.family_view(context, staff.institution, contact_id)
    return ReceiptOut.model_validate(await reading.receipt(context, view))
