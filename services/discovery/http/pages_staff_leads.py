"""The pages on which a tutor decides: leads, one lead, and who a contact is."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.discovery.handlers import leads, listing, people
from firsthand.services.discovery.http.doors import ContactTutor, LeadTutor
from firsthand.services.discovery.http.pages import pages, zone_of
from firsthand.services.discovery.model.authors import asks_for
from firsthand.services.discovery.model.cases import Case
from firsthand.services.discovery.model.leads import REASONS, Checks, Clearing, RefusalReason
from firsthand.services.discovery.repository import Repository
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Word
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Tutor
from firsthand.shared.web.problems import status_of

Text = Annotated[str, Form(max_length=4000)]
Yes = Annotated[bool, Form()]
_A_PAGE = 25
_FEW_CASES = 12  # that stand side by side; of more one is chosen from a list


router = APIRouter()


@router.get("/leads")
async def list_leads(
    request: Request,
    context: ContextDep,
    staff: Tutor,
    case: Word = "",
    language: Word = "",
    after: Cursor | None = None,
) -> Response:
    repository = Repository(context, staff.institution)
    cases = {one.id: one async for one in repository.cases.all() if one.responsible().include(staff)}
    chosen = cases.get(case) or (next(iter(cases.values())) if len(cases) == 1 else None)
    language = language if chosen else ""
    case_id = chosen.id if chosen else ""
    page = await listing.list_leads(context, staff, case_id=case_id, language=language, after=after, limit=_A_PAGE)
    return pages.render(
        request,
        "leads.html",
        page=page,
        after=after,
        cases=cases,
        few=_FEW_CASES,
        chosen=chosen,
        chosen_language=language,
        now=context.clock.now(),
        zone=await zone_of(context, staff),
        told=request.query_params.get("told", ""),
    )


@router.get("/leads/{lead_id}")
async def show_lead(request: Request, context: ContextDep, staff: LeadTutor, lead_id: Id) -> Response:
    return await _show(request, context, staff, lead_id)


@router.post("/leads/{lead_id}/clear")
async def clear(
    request: Request,
    context: ContextDep,
    staff: LeadTutor,
    lead_id: Id,
    profile: Text = "",
    language: Text = "",
    public: Yes = False,
    adult: Yes = False,
    not_vulnerable: Yes = False,
) -> Response:
    # Whether the person was asked before is not a tutor's to answer: clearing looks it up.
    checks = Checks(public=public, adult=adult, not_vulnerable=not_vulnerable, not_asked_before=True)
    clearing = Clearing(profile=profile, checks=checks, language=language or None)
    try:
        contact = await leads.clear(context, staff, lead_id, clearing)
    except Refused as refused:
        return await _show(request, context, staff, lead_id, refused, clearing)
    return RedirectResponse(f"/discovery/contacts/{contact.id}?told=cleared", 303)


@router.post("/leads/{lead_id}/refuse")
async def refuse(
    context: ContextDep, staff: LeadTutor, lead_id: Id, reason: Annotated[RefusalReason, Form()]
) -> Response:
    lead = await leads.refuse(context, staff, lead_id, reason)
    return RedirectResponse(f"/discovery/leads?case={lead.case_id}&told=refused", 303)


@router.get("/contacts/{contact_id}")
async def show_contact(request: Request, context: ContextDep, staff: ContactTutor, contact_id: Id) -> Response:
    shown = await people.show(context, staff, contact_id)
    case = await Repository(context, staff.institution).case(shown.person.case_id)
    return pages.render(
        request,
        "contact.html",
        shown=shown,
        case=case,
        zone=await zone_of(context, staff),
        told=request.query_params.get("told", ""),
    )


async def _show(
    request: Request,
    context: Context,
    staff: Staff,
    lead_id: str,
    refused: Refused | None = None,
    clearing: Clearing | None = None,
) -> Response:
    repository = Repository(context, staff.institution)
    lead = await repository.lead(lead_id)
    case = await repository.case(lead.case_id)
    content = await repository.content_of(lead)
    said: dict[str, Any] = clearing.model_dump() if clearing else Clearing().model_dump()
    return pages.render(
        request,
        "lead.html",
        status=status_of(refused) if refused else 200,
        lead=lead,
        case=case,
        content=content,
        available=await leads.is_available(context, staff, lead, content) if content else False,
        asks_for=asks_for(lead, content) if content else None,
        obstacle=_obstacle(context, case),
        refused=refused,
        errors=[(field.removeprefix("checks."), text) for field, text in refused.fields.items()] if refused else [],
        said=said,
        reasons=[("", N_("Choose a reason")), *REASONS.items()],
        zone=await zone_of(context, staff),
    )


def _obstacle(context: Context, case: Case) -> Refused | None:
    """What stands in the way of asking anybody for this case now."""
    try:
        case.may_contact(context.clock.now())
    except Refused as refused:
        return refused
    return None
