"""The pages of today and of the journeys."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from firsthand.services.portal.handlers import evidence, institutions, journeys, people
from firsthand.services.portal.handlers.today import tasks_of, today_of
from firsthand.services.portal.http import words
from firsthand.services.portal.http.doors import ContactTutor
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.model.journey import ON_THE_WAY, STAGES, Stage
from firsthand.services.portal.model.today import TASK_LISTS, TaskList, approvals_to_renew
from firsthand.services.portal.repository import Institutions
from firsthand.shared.identifiers import DEPLOYMENT, Id, InstitutionId
from firsthand.shared.inputs import Cursor
from firsthand.shared.service import Context
from firsthand.shared.topology import SERVICES
from firsthand.shared.web.access import AnyStaff, ContextDep, Coordinator, Public, Tutor
from firsthand.shared.web.cookies import STAFF

_TEAM = frozenset({"tutor", "coordinator"})
_SHOWN = 40  # journeys or tasks a page: 64 KiB hold them in every language
_FEW_CASES = 12  # one link for each; more are chosen from a list


router = APIRouter()


@router.get("/")
async def door(request: Request, _: Public) -> Response:
    known = bool(STAFF.read(request))
    return RedirectResponse("/portal/today" if known else "/portal/sign-in", 303)


@router.get("/today")
async def today(request: Request, context: ContextDep, staff: AnyStaff) -> Response:
    coordinates = "coordinator" in staff.roles
    team = bool(staff.roles & _TEAM)
    sight = await journeys.sight_of(context, staff) if team else None
    counts = await journeys.counts_of(context, staff, sight) if sight else {}
    now = context.clock.now()
    return pages.render(
        request,
        "today.html",
        now=now,
        zone=await zone_of(context, staff.institution),
        links=await people.links_to_tell(context, staff),
        day=await today_of(context, staff) if team else None,
        lists=TASK_LISTS,
        counts=[(stage, counts[stage]) for stage in ON_THE_WAY if counts.get(stage)],
        approvals=approvals_to_renew(sight.cases.values(), now) if sight and coordinates else [],
        cohorts=[
            one
            for one in await institutions.cohorts_of(context, staff.institution)
            if "student" in staff.roles and one.id in staff.cohorts
        ],
        services=sorted(SERVICES) if "operator" in staff.roles else [],
        institutions=await institutions.all_institutions(context) if staff.institution == DEPLOYMENT else [],
        said=words,
    )


@router.get("/tasks/{kind}")
async def tasks(
    request: Request, context: ContextDep, kind: TaskList, staff: Tutor, after: Cursor | None = None
) -> Response:
    return pages.render(
        request,
        "tasks.html",
        kind=kind,
        tasks=await tasks_of(context, staff, kind, after=after, limit=_SHOWN),
        now=context.clock.now(),
        zone=await zone_of(context, staff.institution),
        said=words,
    )


@router.get("/journeys")
async def board(
    request: Request,
    context: ContextDep,
    staff: Tutor,
    stage: Annotated[Stage | None, Query()] = None,
    case: Id | Literal[""] | None = None,  # a form sends nothing as an empty one
    after: Cursor | None = None,
) -> Response:
    found = await journeys.board(context, staff, stage=stage, case_id=case or None, after=after, limit=_SHOWN)
    return pages.render(
        request,
        "journeys.html",
        board=found,
        on_the_way=ON_THE_WAY,
        ended=[one for one in STAGES if one not in ON_THE_WAY],
        stage=stage,
        case=case,
        few=_FEW_CASES,
        coordinates="coordinator" in staff.roles,
        zone=await zone_of(context, staff.institution),
        said=words,
    )


@router.get("/journeys.csv")
async def journeys_table(context: ContextDep, staff: Tutor) -> StreamingResponse:
    return _table(evidence.journeys_as_rows(context, staff), "journeys")


@router.get("/figures.csv")
async def figures_table(context: ContextDep, staff: Coordinator) -> StreamingResponse:
    async def rows() -> AsyncIterator[list[str]]:
        for row in await evidence.figures_as_rows(context, staff):
            yield row

    return _table(rows(), "figures")


def _table(rows: AsyncIterator[list[str]], name: str) -> StreamingResponse:
    """A file of comma-separated values (RFC 4180), of which spreadsheets know by its first bytes that it is UTF-8."""

    async def body() -> AsyncIterator[str]:
        yield "\ufeff"
        async for row in rows:
            line = io.StringIO()
            csv.writer(line).writerow(row)
            yield line.getvalue()

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/journeys/{contact_id}")
async def one(request: Request, context: ContextDep, contact_id: Id, staff: ContactTutor) -> Response:
    journey = await journeys.journey_of(context, staff.institution, contact_id)
    sight = await journeys.sight_of(context, staff)
    return pages.render(
        request,
        "journey.html",
        journey=journey,
        case=sight.cases.get(journey.case_id),
        zone=await zone_of(context, staff.institution),
        said=words,
    )


async def zone_of(context: Context, institution: InstitutionId) -> str:
    """The institution's own time zone, in which staff read times."""
    found = await Institutions(context, institution).get()
    return found.state.zone if found else "UTC"
