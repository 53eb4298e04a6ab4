"""An institution's policies and cohorts, over JSON."""

from typing import Any

from fastapi import APIRouter

from services.portal.handlers import institutions
from services.portal.http.shapes import CohortFields, Policies
from services.portal.model.institutions import Cohort
from services.portal.repository import Institutions
from shared.events.portal import InstitutionState
from shared.identifiers import Id
from shared.web.access import AnyStaff, ContextDep, Coordinator

router = APIRouter(prefix="/api/v1", tags=["institution"])


@router.get("/institution")
async def read(context: ContextDep, staff: AnyStaff) -> InstitutionState:
    return (await Institutions(context, staff.institution).demand()).state


@router.put("/institution")
async def change(context: ContextDep, body: Policies, staff: Coordinator) -> InstitutionState:
    return await institutions.change_institution(context, staff.institution, body.given(), actor=staff.person_id)


@router.get("/cohorts")
async def cohorts(context: ContextDep, staff: AnyStaff) -> dict[str, list[dict[str, Any]]]:
    return {"items": [_cohort(one) for one in await institutions.cohorts_of(context, staff.institution)]}


@router.put("/cohorts/{cohort_id}")
async def put_cohort(context: ContextDep, cohort_id: Id, body: CohortFields, staff: Coordinator) -> dict[str, Any]:
    return _cohort(await institutions.put_cohort(context, staff.institution, cohort_id, **dict(body)))


def _cohort(cohort: Cohort) -> dict[str, Any]:
    return {
        "id": cohort.id,
        "label": cohort.label,
        "size": cohort.size,
        "learns_until": cohort.learns_until.isoformat(),
    }
