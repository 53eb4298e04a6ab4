"""The JSON API: an institution's people, cohorts and policies; and, for operators, the institutions themselves."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from services.portal.handlers import institutions, people, sign_in
from services.portal.handlers.people import Shown
from services.portal.http.doors import act
from services.portal.http.shapes import (
    Address,
    ChangedPerson,
    CohortFields,
    NewInstitution,
    NewPerson,
    NewToken,
    Policies,
)
from services.portal.model.institutions import Cohort
from services.portal.repository import Institutions, known
from shared.events.portal import InstitutionState, Role
from shared.identifiers import DEPLOYMENT, Id, InstitutionId
from shared.service import Context
from shared.sessions import Staff
from shared.texts import N_
from shared.web.access import AnyStaff, Coordinator, Operator, Tutor
from shared.web.problems import Problem

_API = "/api/v1"


def operator_routes(context: Context) -> APIRouter:
    """What the deployment's operators do: add institutions, and their first people."""
    router = APIRouter(prefix=_API, tags=["operators"])

    async def of(slug: str, staff: Staff) -> InstitutionId:
        _only_the_deployments(staff)
        return await act(lambda: known(context, slug))

    @router.post("/institutions", status_code=201)
    async def add_institution(body: NewInstitution, staff: Operator) -> dict[str, str]:
        _only_the_deployments(staff)
        add = institutions.add_institution
        return {"slug": await act(lambda: add(context, body.slug, body.state(), actor=staff.person_id))}

    @router.get("/institutions")
    async def all_institutions(staff: Operator) -> dict[str, list[InstitutionState]]:
        _only_the_deployments(staff)
        return {"items": await institutions.all_institutions(context)}

    @router.post("/institutions/{slug}/people", status_code=201)
    async def add_person(slug: str, body: NewPerson, staff: Operator) -> dict[str, str]:
        institution = await of(slug, staff)
        add = people.add_person
        return {"person_id": await act(lambda: add(context, institution, by=staff, **body.model_dump()))}

    @router.post("/institutions/{slug}/sign-in-links", status_code=201)
    async def make_link(slug: str, body: Address, staff: Operator) -> dict[str, str]:
        institution = await of(slug, staff)
        secret = await act(lambda: sign_in.make_link(context, institution, body.email))
        return {"url": link_address(context, institution, secret)}

    @router.post("/institutions/{slug}/tokens", status_code=201)
    async def make_token(slug: str, body: NewToken, staff: Operator) -> dict[str, str]:
        institution = await of(slug, staff)
        return await _token(context, institution, body, staff)

    return router


def institution_routes(context: Context) -> APIRouter:
    """What an institution's coordinators do, and what its staff may read."""
    router = APIRouter(prefix=_API, tags=["institution"])

    @router.get("/institution")
    async def read(staff: AnyStaff) -> InstitutionState:
        return (await act(Institutions(context, staff.institution).demand)).state

    @router.put("/institution")
    async def change(body: Policies, staff: Coordinator) -> InstitutionState:
        async def change() -> InstitutionState:
            found = await Institutions(context, staff.institution).demand()
            wanted = found.state.model_copy(update=body.given())
            return await institutions.change_institution(context, staff.institution, wanted, actor=staff.person_id)

        return await act(change)

    @router.get("/cohorts")
    async def cohorts(staff: AnyStaff) -> dict[str, list[dict[str, Any]]]:
        return {"items": [_cohort(one) for one in await institutions.cohorts_of(context, staff.institution)]}

    @router.put("/cohorts/{cohort_id}")
    async def put_cohort(cohort_id: Id, body: CohortFields, staff: Coordinator) -> dict[str, Any]:
        put = institutions.put_cohort
        return _cohort(await act(lambda: put(context, staff.institution, cohort_id, **dict(body))))

    return router


def people_routes(context: Context) -> APIRouter:
    router = APIRouter(prefix=_API, tags=["people"])

    @router.get("/people")
    async def everybody(staff: Coordinator) -> dict[str, list[dict[str, Any]]]:
        return {"items": [_person(one) for one in await people.people_of(context, staff.institution)]}

    @router.post("/people", status_code=201)
    async def add(body: NewPerson, staff: Coordinator) -> dict[str, str]:
        add = people.add_person
        return {"person_id": await act(lambda: add(context, staff.institution, by=staff, **body.model_dump()))}

    @router.get("/people/labels")
    async def labels(staff: Tutor, role: Role = "student") -> dict[str, list[dict[str, str]]]:
        """Names to choose from, e.g. who took part in a meeting: no addresses."""
        found = await people.people_of(context, staff.institution)
        chosen = [one for one in found if one.person.active and role in one.person.roles]
        return {"items": [{"person_id": one.person.id, "label": one.name} for one in chosen]}

    @router.get("/people/{person_id}")
    async def one(person_id: Id, staff: Coordinator) -> dict[str, Any]:
        return _person(await act(lambda: people.person_of(context, staff.institution, person_id)))

    @router.patch("/people/{person_id}")
    async def change(person_id: Id, body: ChangedPerson, staff: Coordinator) -> dict[str, Any]:
        change = people.change_person
        await act(lambda: change(context, staff.institution, person_id, by=staff, **body.model_dump()))
        return _person(await act(lambda: people.person_of(context, staff.institution, person_id)))

    @router.get("/people/{person_id}/label")
    async def label(person_id: Id, staff: AnyStaff) -> dict[str, str]:
        return {"label": await act(lambda: people.label_of(context, staff.institution, person_id))}

    @router.post("/tokens", status_code=201)
    async def make_token(body: NewToken, staff: Coordinator) -> dict[str, str]:
        return await _token(context, staff.institution, body, staff)

    @router.delete("/tokens/{person_id}", status_code=204)
    async def revoke_token(person_id: Id, staff: Coordinator) -> Response:
        await act(lambda: people.revoke_token(context, staff.institution, person_id, by=staff))
        return Response(status_code=204)

    return router


def link_address(context: Context, institution: InstitutionId, secret: str) -> str:
    """The address of a one-time sign-in link."""
    return f"{context.settings.address}/portal/sign-in/{institution}/{secret}"


def _only_the_deployments(staff: Staff) -> None:
    if staff.institution != DEPLOYMENT:
        raise Problem(403, N_("Only the operators of this deployment do this"))


async def _token(context: Context, institution: InstitutionId, body: NewToken, staff: Staff) -> dict[str, str]:
    make = people.make_token
    token, ends = await act(lambda: make(context, institution, label=body.label, days=body.days, by=staff))
    return {"token": token, "expires_at": ends.isoformat()}


def _cohort(cohort: Cohort) -> dict[str, Any]:
    return {
        "id": cohort.id,
        "label": cohort.label,
        "size": cohort.size,
        "learns_until": cohort.learns_until.isoformat(),
    }


def _person(one: Shown) -> dict[str, Any]:
    person = one.person
    return {
        "person_id": person.id,
        "name": one.name,
        "email": one.email,
        "roles": person.roles,
        "cohorts": person.cohorts,
        "active": person.active,
        "expires_at": person.expires_at.isoformat() if person.expires_at else None,
    }
