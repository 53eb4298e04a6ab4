"""An institution's policies and cohorts, over JSON."""

from fastapi import APIRouter

from firsthand.services.portal.handlers import institutions
from firsthand.services.portal.http.shapes import CohortFields, CohortOut, CohortsOut, Policies
from firsthand.services.portal.repository import Institutions
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import Id
from firsthand.shared.web.access import AnyStaff, ContextDep, Coordinator

router = APIRouter(prefix="/api/v1", tags=["institution"])


@router.get("/institution")
async def read(context: ContextDep, staff: AnyStaff) -> InstitutionState:
    return (await Institutions(context, staff.institution).demand()).state


@router.put("/institution")
async def change(context: ContextDep, body: Policies, staff: Coordinator) -> InstitutionState:
    return await institutions.change_institution(context, staff.institution, body.given(), actor=staff.person_id)


@router.get("/cohorts")
async def cohorts(context: ContextDep, staff: AnyStaff) -> CohortsOut:
    found = await institutions.cohorts_of(context, staff.institution)
    return CohortsOut(items=[CohortOut.of(one) for one in found])


@router.put("/cohorts/{cohort_id}")
async def put_cohort(context: ContextDep, cohort_id: Id, body: CohortFields, staff: Coordinator) -> CohortOut:
    return CohortOut.of(await institutions.put_cohort(context, staff.institution, cohort_id, **dict(body)))
