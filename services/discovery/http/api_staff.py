"""The JSON interface of discovery: thin doors to the use cases."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from firsthand.services.discovery.handlers import cases, leads, listing, nominations, people, posts
from firsthand.services.discovery.handlers.sight import sight_of
from firsthand.services.discovery.http.doors import CaseTutor, ContactTutor, LeadTutor
from firsthand.services.discovery.http.shapes import (
    ApprovalGiven,
    CaseOut,
    CasesOut,
    ContactOut,
    LabelOut,
    LeadOut,
    LeadsOut,
    Nomination,
    Refusal,
    ReportOut,
)
from firsthand.services.discovery.model.cases import Case, CaseChange, CaseDraft
from firsthand.services.discovery.model.leads import Clearing, LeadState
from firsthand.services.discovery.posts import Format
from firsthand.services.discovery.repository import Repository
from firsthand.shared.events.contact import Language
from firsthand.shared.events.discovery import ApprovalKind
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.service import Context
from firsthand.shared.web.access import ContextDep, Coordinator, Student, Tutor
from firsthand.shared.web.security import Streamed

_MOST_BYTES = 60 * 1024  # of a page of leads
_CASES_A_PAGE = 50

router = APIRouter(prefix="/api/v1")


async def _said(context: Context, case: Case) -> CaseOut:
    leads_of = Repository(context, case.institution).leads
    return CaseOut.of(case, await leads_of.count({"case_id": case.id, "state": "waiting"}))


@router.post("/cases", status_code=201)
async def open_case(context: ContextDep, staff: Coordinator, draft: CaseDraft) -> CaseOut:
    return await _said(context, await cases.open_case(context, staff, draft))


@router.get("/cases")
async def list_cases(context: ContextDep, staff: Tutor, after: Cursor | None = None) -> CasesOut:
    cases_of = Repository(context, staff.institution).cases
    sight = await sight_of(context, staff)
    page = await cases_of.find(sight.cases(), sort=sight.sort, limit=_CASES_A_PAGE, after=after)
    items = [await _said(context, case) for case in page.items]
    return CasesOut(items=items, next=page.next, total=await cases_of.count(sight.cases()))


@router.get("/cases/{case_id}")
async def show_case(context: ContextDep, staff: CaseTutor, case_id: Id) -> CaseOut:
    return await _said(context, await Repository(context, staff.institution).case(case_id))


@router.patch("/cases/{case_id}")
async def change_case(context: ContextDep, staff: Coordinator, case_id: Id, change: CaseChange) -> CaseOut:
    return await _said(context, await cases.change_case(context, staff, case_id, change))


@router.put("/cases/{case_id}/approvals/{kind}")
async def approve_case(
    context: ContextDep, staff: Coordinator, case_id: Id, kind: ApprovalKind, given: ApprovalGiven
) -> CaseOut:
    return await _said(context, await cases.approve_case(context, staff, case_id, kind, given.number, given.expires_at))


@router.post("/cases/{case_id}/posts")
async def import_posts(
    context: ContextDep,
    staff: CaseTutor,
    case_id: Id,
    chunks: Streamed,
    format: Format | None = None,  # noqa: A002 - the address's word
) -> ReportOut:
    """Take in posts as the platform gave them: the body is its answer, or several one after another."""
    return ReportOut.of(await posts.import_posts(context, staff, case_id, format, chunks))


@router.post("/cases/{case_id}/nominations", status_code=201)
async def nominate(context: ContextDep, staff: Student, case_id: Id, given: Nomination) -> LeadOut:
    lead = await nominations.nominate(context, staff, case_id, given.address, given.note)
    return LeadOut.of(lead, None)


@router.get("/leads")
async def list_leads(
    context: ContextDep,
    staff: Tutor,
    case: Id | None = None,
    language: Language | None = None,
    state: LeadState = "waiting",
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> LeadsOut:
    """List leads, the newest first: `limit` of them, or fewer when their texts are long."""
    page = await listing.list_leads(
        context,
        staff,
        state=state,
        case_id=case or "",
        language=language or "",
        after=after,
        limit=limit,
        most_bytes=_MOST_BYTES,
    )
    items = [LeadOut.of(lead, content) for lead, content in page.leads]
    return LeadsOut(items=items, next=page.next, total=page.total)


@router.get("/leads/{lead_id}")
async def show_lead(context: ContextDep, staff: LeadTutor, lead_id: Id) -> LeadOut:
    repository = Repository(context, staff.institution)
    lead = await repository.lead(lead_id)
    return LeadOut.of(lead, await repository.content_of(lead))


@router.post("/leads/{lead_id}/clear")
async def clear(context: ContextDep, staff: LeadTutor, lead_id: Id, clearing: Clearing) -> ContactOut:
    return ContactOut.of(await leads.clear(context, staff, lead_id, clearing))


@router.post("/leads/{lead_id}/refuse", status_code=204, response_class=Response)
async def refuse(context: ContextDep, staff: LeadTutor, lead_id: Id, given: Refusal) -> None:
    await leads.refuse(context, staff, lead_id, given.reason)


@router.get("/contacts/{contact_id}/label")
async def label(context: ContextDep, staff: ContactTutor, contact_id: Id) -> LabelOut:
    """Name a contact for pages of other services, if the visitor may know."""
    shown = await people.show(context, staff, contact_id)
    return LabelOut(label=shown.label, profile_url=shown.profile, platform=shown.person.platform)
