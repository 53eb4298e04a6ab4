"""The pages of cases: their details, their approvals, and importing posts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from firsthand.services.discovery.handlers import cases, nominations, posts
from firsthand.services.discovery.handlers.cases import faults_of
from firsthand.services.discovery.handlers.sight import STATES, sight_of
from firsthand.services.discovery.http.doors import CaseTutor
from firsthand.services.discovery.http.pages import pages, zone_of
from firsthand.services.discovery.http.shapes import WRONG, case_fields, day_ends, filled, what_is_wrong
from firsthand.services.discovery.model.cases import APPROVALS, ENDS_SOON, Approval, Case, CaseChange, CaseDraft
from firsthand.services.discovery.posts import FORMATS
from firsthand.services.discovery.repository import Repository
from firsthand.shared.events.discovery import ApprovalKind
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, tidy
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import ContextDep, Coordinator, Student, Tutor
from firsthand.shared.web.languages import NAMES
from firsthand.shared.web.multipart import SentForm
from firsthand.shared.web.security import Streamed

Errors = Sequence[tuple[str, str]]
Text = Annotated[str, Form(max_length=4000)]
_A_PAGE: Final = 25


@dataclass(frozen=True)
class ApprovalShown:
    """One approval as the case's page shows it."""

    kind: ApprovalKind
    state: Literal["missing", "ended", "soon", "good"]
    approval: Approval | None

    def last_day(self, zone: str) -> date | None:
        """The last day, in a zone, on which the approval holds."""
        if self.approval is None:
            return None
        return (self.approval.expires_at - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date()

    @classmethod
    def of(cls, case: Case, kind: ApprovalKind, now: datetime) -> "ApprovalShown":
        approval = case.approvals.get(kind)
        if approval is None:
            return cls(kind, "missing", None)
        if approval.expires_at <= now:
            return cls(kind, "ended", approval)
        return cls(kind, "soon" if approval.expires_at - now < ENDS_SOON else "good", approval)


router = APIRouter()


@router.get("/cases")
async def list_cases(
    request: Request,
    context: ContextDep,
    staff: Tutor,
    state: Literal["open", "closed"] | None = None,
    after: Cursor | None = None,
) -> Response:
    now, repository = context.clock.now(), Repository(context, staff.institution)
    sight = await sight_of(context, staff)
    counts = {one: await repository.cases.count(sight.cases(one)) for one in STATES}
    shown = state or ("open" if counts["open"] or not counts["closed"] else "closed")
    page = await repository.cases.find(sight.cases(shown), sort=sight.sort, limit=_A_PAGE, after=after)
    return pages.render(
        request,
        "cases.html",
        cases=[
            (case, _approvals(case, now), await repository.leads.count({"case_id": case.id, "state": "waiting"}))
            for case in page.items
        ],
        shown=shown,
        counts=counts,
        next=page.next,
        after=after,
        may_edit="coordinator" in staff.roles,
        zone=await zone_of(context, staff),
    )


@router.get("/cases/new")
async def new_case(request: Request, staff: Coordinator) -> Response:  # noqa: ARG001 - says who may
    empty = {"hashtags": [], "condition": {}, "languages": list(NAMES), "cohorts": [], "tutors": [], "goals": []}
    return _form(request, None, empty)


@router.get("/cases/{case_id}")
async def show_case(request: Request, context: ContextDep, staff: CaseTutor, case_id: Id) -> Response:
    return await show(request, context, staff, case_id)


async def show(
    request: Request, context: Context, staff: Staff, case_id: str, errors: Errors = (), **said: Any
) -> Response:
    """Show a case; after an invalid form, with its errors."""
    repository, now = Repository(context, staff.institution), context.clock.now()
    case = await repository.case(case_id)
    counts = {
        state: await repository.leads.count({"case_id": case.id, "state": state})
        for state in ("waiting", "cleared", "refused", "lapsed")
    }
    return pages.render(
        request,
        "case.html",
        status=422 if errors else 200,
        case=case,
        approvals=_approvals(case, now),
        counts=counts,
        formats=FORMATS,
        may_edit="coordinator" in staff.roles,
        zone=await zone_of(context, staff),
        today=now.date(),
        errors=errors,
        told=request.query_params.get("told", ""),
        said=said,
    )


@router.post("/cases")
async def open_case(request: Request, context: ContextDep, staff: Coordinator) -> Response:
    form = await request.form()
    given = {"prefix": str(form.get("prefix", "")), **case_fields(form)}
    try:
        draft = CaseDraft.model_validate(given)
        case = await cases.open_case(context, staff, draft)
    except ValidationError as invalid:
        return _form(request, None, given, what_is_wrong(faults_of(invalid)))
    except Refused as refused:
        return _form(request, None, given, tuple(refused.fields.items()))
    return RedirectResponse(f"/discovery/cases/{case.id}?told=opened", 303)


@router.get("/cases/{case_id}/edit")
async def edit_case(request: Request, context: ContextDep, staff: Coordinator, case_id: Id) -> Response:
    case = await Repository(context, staff.institution).case(case_id)
    return _form(request, case, filled(case))


@router.post("/cases/{case_id}/edit")
async def change_case(request: Request, context: ContextDep, staff: Coordinator, case_id: Id) -> Response:
    case = await Repository(context, staff.institution).case(case_id)
    given = case_fields(await request.form())
    try:
        change = CaseChange.model_validate(given)
        await cases.change_case(context, staff, case.id, change)
    except ValidationError as invalid:
        return _form(request, case, {"prefix": case.prefix, **given}, what_is_wrong(faults_of(invalid)))
    except Refused as refused:
        if refused.kind != "invalid":
            raise
        return _form(request, case, {"prefix": case.prefix, **given}, what_is_wrong(refused.fields))
    return RedirectResponse(f"/discovery/cases/{case.id}?told=changed", 303)


@router.get("/cases/{case_id}/close")
async def ask_to_close(request: Request, context: ContextDep, staff: Coordinator, case_id: Id) -> Response:
    repository = Repository(context, staff.institution)
    case = await repository.case(case_id)
    waiting = await repository.leads.count({"case_id": case.id, "state": "waiting"})
    return pages.render(request, "case_close.html", case=case, waiting=waiting)


@router.post("/cases/{case_id}/close")
async def close_case(context: ContextDep, staff: Coordinator, case_id: Id) -> Response:
    return await _put(context, staff, case_id, "closed")


@router.post("/cases/{case_id}/open")
async def open_again(context: ContextDep, staff: Coordinator, case_id: Id) -> Response:
    return await _put(context, staff, case_id, "open")


async def _put(context: Context, staff: Staff, case_id: str, state: Literal["open", "closed"]) -> Response:
    case = await cases.change_case(context, staff, case_id, CaseChange(state=state))
    return RedirectResponse(f"/discovery/cases/{case.id}?told={state}", 303)


@router.post("/cases/{case_id}/approvals/{kind}")
async def approve(
    request: Request,
    context: ContextDep,
    staff: Coordinator,
    case_id: Id,
    kind: ApprovalKind,
    number: Text = "",
    day: Text = "",
) -> Response:
    try:
        expires_at = day_ends(day, await zone_of(context, staff))
        case = await cases.approve_case(context, staff, case_id, kind, tidy(number), expires_at)
    except ValueError:
        wrong = [(f"{kind}-day", WRONG["expires_at"])]
        return await show(request, context, staff, case_id, wrong, number=number, day=day, kind=kind)
    except Refused as refused:
        if refused.kind != "invalid":
            raise
        wrong = [(f"{kind}-{field}", text) for field, text in what_is_wrong(refused.fields)]
        return await show(request, context, staff, case_id, wrong, number=number, day=day, kind=kind)
    return RedirectResponse(f"/discovery/cases/{case.id}?told=approved", 303)


@router.post("/cases/{case_id}/import")
async def import_file(
    request: Request, context: ContextDep, staff: CaseTutor, case_id: Id, chunks: Streamed
) -> Response:
    upload = SentForm(request.headers.get("content-type", ""), chunks, "file")
    try:
        report = await posts.import_posts(context, staff, case_id, None, upload.file())
    except Refused as refused:
        if refused.code != "not-this-format":
            raise
        return await show(request, context, staff, case_id, [("file", refused.title)])
    case = await Repository(context, staff.institution).case(case_id)
    return pages.render(request, "imported.html", case=case, report=report)


@router.post("/cases/{case_id}/nominations")
async def nominate(
    request: Request, context: ContextDep, staff: Student, case_id: Id, address: Text = "", note: Text = ""
) -> Response:
    is_tutor = bool(staff.roles & {"tutor", "coordinator"})
    try:
        lead = await nominations.nominate(context, staff, case_id, address, note)
    except Refused as refused:
        wrong = list(refused.fields.items()) or [("address", refused.title)]
        if not is_tutor:
            raise
        return await show(request, context, staff, case_id, wrong, address=address, note=note)
    return RedirectResponse(f"/discovery/leads/{lead.id}" if is_tutor else "/discovery/nominate?told=named", 303)


@router.get("/nominate")
async def nominate_page(request: Request, context: ContextDep, staff: Student) -> Response:
    """For students, who see no leads: name a person in a case of their own."""
    repository = Repository(context, staff.institution)
    mine = [case async for case in repository.cases.all() if case.state == "open" and case.takes_names_from(staff)]
    return pages.render(request, "nominate.html", cases=mine, told=request.query_params.get("told", ""))


def _approvals(case: Case, now: datetime) -> list[ApprovalShown]:
    return [ApprovalShown.of(case, kind, now) for kind in APPROVALS]


def _form(request: Request, case: Case | None, values: Mapping[str, Any], errors: Errors = ()) -> Response:
    return pages.render(
        request, "case_form.html", status=422 if errors else 200, case=case, values=values, errors=errors
    )
