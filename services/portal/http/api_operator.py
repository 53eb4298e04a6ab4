"""The institutions of a deployment, for its operators."""

from fastapi import APIRouter

from services.portal.handlers import institutions, people, sign_in
from services.portal.http.doors import link_address, token_of
from services.portal.http.shapes import Address, NewInstitution, NewPerson, NewToken
from services.portal.repository import known
from shared.events.portal import InstitutionState
from shared.identifiers import DEPLOYMENT, InstitutionId
from shared.service import Context
from shared.sessions import Staff
from shared.texts import N_
from shared.web.access import ContextDep, Operator
from shared.web.problems import Problem

router = APIRouter(prefix="/api/v1", tags=["operators"])


@router.post("/institutions", status_code=201)
async def add_institution(context: ContextDep, body: NewInstitution, staff: Operator) -> dict[str, str]:
    _only_the_deployments(staff)
    return {"slug": await institutions.add_institution(context, body.slug, body.state(), actor=staff.person_id)}


@router.get("/institutions")
async def all_institutions(context: ContextDep, staff: Operator) -> dict[str, list[InstitutionState]]:
    _only_the_deployments(staff)
    return {"items": await institutions.all_institutions(context)}


@router.post("/institutions/{slug}/people", status_code=201)
async def add_person(context: ContextDep, slug: str, body: NewPerson, staff: Operator) -> dict[str, str]:
    institution = await _of(context, slug, staff)
    return {"person_id": await people.add_person(context, institution, by=staff, **body.model_dump())}


@router.post("/institutions/{slug}/sign-in-links", status_code=201)
async def make_link(context: ContextDep, slug: str, body: Address, staff: Operator) -> dict[str, str]:
    institution = await _of(context, slug, staff)
    secret = await sign_in.make_link(context, institution, body.email)
    return {"url": link_address(context, institution, secret)}


@router.post("/institutions/{slug}/tokens", status_code=201)
async def make_token(context: ContextDep, slug: str, body: NewToken, staff: Operator) -> dict[str, str]:
    institution = await _of(context, slug, staff)
    return await token_of(context, institution, body, staff)


async def _of(context: Context, slug: str, staff: Staff) -> InstitutionId:
    _only_the_deployments(staff)
    return await known(context, slug)


def _only_the_deployments(staff: Staff) -> None:
    if staff.institution != DEPLOYMENT:
        raise Problem(403, N_("Only the operators of this deployment do this"))
