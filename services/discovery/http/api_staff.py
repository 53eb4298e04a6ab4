"""The JSON interface of discovery: thin doors to the use cases."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.discovery.handlers import cases, leads, listing, nominations, people, posts
from services.discovery.handlers.posts import Report
from services.discovery.model.cases import Case, CaseChange, CaseDetails, CaseDraft, Line
from services.discovery.model.leads import Clearing, Content, Lead, LeadState, RefusalReason
from services.discovery.model.people import Person
from services.discovery.posts import Format
from services.discovery.repository import Repository
from shared.events.contact import Language
from shared.events.discovery import ApprovalKind
from shared.identifiers import Id
from shared.service import Context
from shared.web.access import ContextDep, Coordinator, Student, Tutor
from shared.web.security import Streamed


class ApprovalSaid(BaseModel):
    kind: ApprovalKind
    number: str
    expires_at: AwareDatetime


class CaseSaid(CaseDetails):
    """A case as its institution's staff may know it."""

    model_config = ConfigDict(extra="ignore")

    case_id: str
    prefix: str
    state: Literal["open", "closed"]
    approvals: list[ApprovalSaid]
    approved_until: Annotated[AwareDatetime | None, Field(description="null: something is missing")]
    waiting: Annotated[int, Field(description="leads that wait for a tutor")]

    @classmethod
    def of(cls, case: Case, waiting: int) -> "CaseSaid":
        told = case.said()
        return cls(
            **case.details.model_dump(),
            case_id=case.id,
            prefix=case.prefix,
            state=case.state,
            approvals=[ApprovalSaid(**approval.model_dump()) for approval in told.approvals],
            approved_until=told.approved_until(),
            waiting=waiting,
        )


class LeadSaid(BaseModel):
    """A lead. What it says of a person is there only while it waits."""

    lead_id: str
    case_id: str
    platform: str
    source: str
    posted_at: AwareDatetime
    found_at: AwareDatetime
    found_by: str
    language: str
    tags: list[str]
    state: LeadState
    reason: RefusalReason | None
    contact_id: str
    permalink: str = ""
    text: str = ""
    handle: str = ""
    name: str = ""
    profile: str = ""

    @classmethod
    def of(cls, lead: Lead, content: Content | None) -> "LeadSaid":
        opened = content.model_dump(exclude={"accounts"}) if content else {}
        return cls(lead_id=lead.id, **lead.model_dump(include=set(cls.model_fields)), **opened)


class LeadsSaid(BaseModel):
    items: list[LeadSaid]
    next: str | None


class ContactSaid(BaseModel):
    contact_id: str
    reference: str
    lead_id: str
    language: str
    tutor_id: str

    @classmethod
    def of(cls, person: Person) -> "ContactSaid":
        return cls(contact_id=person.id, **person.model_dump(include=set(cls.model_fields)))


class ReportSaid(BaseModel):
    """What became of an import. `problems` names the first 1000 of `unreadable`."""

    imported: int
    merged: int
    ignored: int
    removed: int
    unreadable: int
    problems: list[dict[str, int | str]]
    ignored_because: dict[str, int]

    @classmethod
    def of(cls, report: Report) -> "ReportSaid":
        return cls(
            imported=report.imported,
            merged=report.merged,
            ignored=report.ignored,
            removed=report.removed,
            unreadable=report.unreadable,
            problems=[{"entry": problem.number, "reason": problem.reason} for problem in report.problems],
            ignored_because=dict(report.ignored_because),
        )


class LabelSaid(BaseModel):
    label: str
    profile_url: str
    platform: str


class ApprovalGiven(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: Line
    expires_at: AwareDatetime


class Nomination(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, Field(max_length=2000, description="a profile's or post's address, or a handle")]
    note: Annotated[str, Field(max_length=2000)] = ""


class Refusal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: RefusalReason


router = APIRouter(prefix="/api/v1")


async def _said(context: Context, case: Case) -> CaseSaid:
    leads_of = Repository(context, case.institution).leads
    return CaseSaid.of(case, await leads_of.count({"case_id": case.id, "state": "waiting"}))


@router.post("/cases", status_code=201)
async def open_case(context: ContextDep, staff: Coordinator, draft: CaseDraft) -> CaseSaid:
    return await _said(context, await cases.open_case(context, staff, draft))


@router.get("/cases")
async def list_cases(context: ContextDep, staff: Tutor) -> dict[str, list[CaseSaid]]:
    return {"items": [await _said(context, case) async for case in Repository(context, staff.institution).cases.all()]}


@router.get("/cases/{case_id}")
async def show_case(context: ContextDep, staff: Tutor, case_id: Id) -> CaseSaid:
    return await _said(context, await Repository(context, staff.institution).case(case_id))


@router.patch("/cases/{case_id}")
async def change_case(context: ContextDep, staff: Coordinator, case_id: Id, change: CaseChange) -> CaseSaid:
    return await _said(context, await cases.change_case(context, staff, case_id, change))


@router.put("/cases/{case_id}/approvals/{kind}")
async def approve_case(
    context: ContextDep, staff: Coordinator, case_id: Id, kind: ApprovalKind, given: ApprovalGiven
) -> CaseSaid:
    return await _said(context, await cases.approve_case(context, staff, case_id, kind, given.number, given.expires_at))


@router.post("/cases/{case_id}/posts")
async def import_posts(
    context: ContextDep,
    staff: Tutor,
    case_id: Id,
    chunks: Streamed,
    format: Format | None = None,  # noqa: A002 - the address's word
) -> ReportSaid:
    """Take in posts as the platform gave them: the body is its answer, or several one after another."""
    return ReportSaid.of(await posts.import_posts(context, staff, case_id, format, chunks))


@router.post("/cases/{case_id}/nominations", status_code=201)
async def nominate(context: ContextDep, staff: Student, case_id: Id, given: Nomination) -> LeadSaid:
    lead = await nominations.nominate(context, staff, case_id, given.address, given.note)
    return LeadSaid.of(lead, None)


@router.get("/leads")
async def list_leads(
    context: ContextDep,
    staff: Tutor,
    case: Id | None = None,
    language: Language | None = None,
    state: LeadState = "waiting",
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> LeadsSaid:
    """List leads, the newest first."""
    page = await listing.list_leads(
        context, staff, state=state, case_id=case or "", language=language or "", after=after, limit=limit
    )
    return LeadsSaid(items=[LeadSaid.of(lead, content) for lead, content in page.leads], next=page.next)


@router.get("/leads/{lead_id}")
async def show_lead(context: ContextDep, staff: Tutor, lead_id: Id) -> LeadSaid:
    repository = Repository(context, staff.institution)
    lead = await repository.lead(lead_id)
    return LeadSaid.of(lead, await repository.content_of(lead))


@router.post("/leads/{lead_id}/clear")
async def clear(context: ContextDep, staff: Tutor, lead_id: Id, clearing: Clearing) -> ContactSaid:
    return ContactSaid.of(await leads.clear(context, staff, lead_id, clearing))


@router.post("/leads/{lead_id}/refuse", status_code=204, response_class=Response)
async def refuse(context: ContextDep, staff: Tutor, lead_id: Id, given: Refusal) -> None:
    await leads.refuse(context, staff, lead_id, given.reason)


@router.get("/contacts/{contact_id}/label")
async def label(context: ContextDep, staff: Tutor, contact_id: Id) -> LabelSaid:
    """Say who a contact is, for pages of other services, in the browser of somebody who may know."""
    shown = await people.show(context, staff, contact_id)
    return LabelSaid(label=shown.label, profile_url=shown.profile, platform=shown.person.platform)
