"""The institutions of a deployment, for its operators."""

from fastapi import APIRouter

from firsthand.services.portal.handlers import institutions, people, sign_in
from firsthand.services.portal.http.doors import link_address, token_of
from firsthand.services.portal.http.shapes import (
    Address,
    InstitutionsOut,
    NewInstitution,
    NewPerson,
    NewToken,
    PersonIdOut,
    SlugOut,
    TokenOut,
    UrlOut,
)
from firsthand.services.portal.repository import known
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.inputs import Word
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Operator
from firsthand.shared.web.problems import Problem

router = APIRouter(prefix="/api/v1", tags=["operators"])


@router.post("/institutions", status_code=201)
async def add_institution(context: ContextDep, body: NewInstitution, staff: Operator) -> SlugOut:
    _only_the_deployments(staff)
    return SlugOut(slug=await institutions.add_institution(context, body.slug, body.state(), actor=staff.person_id))


@router.get("/institutions")
async def all_institutions(context: ContextDep, staff: Operator) -> InstitutionsOut:
    _only_the_deployments(staff)
    return InstitutionsOut(items=await institutions.all_institutions(context))


@router.post("/institutions/{slug}/people", status_code=201)
async def add_person(context: ContextDep, slug: Word, body: NewPerson, staff: Operator) -> PersonIdOut:
    institution = await _of(context, slug, staff)
    return PersonIdOut(person_id=await people.add_person(context, institution, by=staff, **body.model_dump()))


@router.post("/institutions/{slug}/sign-in-links", status_code=201)
async def make_link(context: ContextDep, slug: Word, body: Address, staff: Operator) -> UrlOut:
    institution = await _of(context, slug, staff)
    secret = await sign_in.make_link(context, institution, body.email, by=staff)
    return UrlOut(url=link_address(context, institution, secret))


@router.post("/institutions/{slug}/tokens", status_code=201)
async def make_token(context: ContextDep, slug: Word, body: NewToken, staff: Operator) -> TokenOut:
    institution = await _of(context, slug, staff)
    return await token_of(context, institution, body, staff)


async def _of(context: Context, slug: Word, staff: Staff) -> InstitutionId:
    _only_the_deployments(staff)
    return await known(context, slug)


def _only_the_deployments(staff: Staff) -> None:
    if staff.institution != DEPLOYMENT:
        raise Problem(403, N_("Only an operator of this system can do this"))
