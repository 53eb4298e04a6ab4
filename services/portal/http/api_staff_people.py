"""An institution's people and the tokens of its machines, over JSON."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from firsthand.services.portal.handlers import people
from firsthand.services.portal.http.doors import token_of
from firsthand.services.portal.http.shapes import (
    ChangedPerson,
    LabelOut,
    LabelsOut,
    NewPerson,
    NewToken,
    PeopleOut,
    PersonIdOut,
    PersonLabelOut,
    PersonOut,
    TokenOut,
)
from firsthand.shared.events.portal import Role
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.web.access import AnyStaff, ContextDep, Coordinator, Tutor

router = APIRouter(prefix="/api/v1", tags=["people"])


@router.get("/people")
async def everybody(
    context: ContextDep,
    staff: Coordinator,
    after: Cursor | None = None,
    limit: Annotated[int | None, Query(ge=1, le=200)] = None,
) -> PeopleOut:
    """List people by name: all, or a page of `limit`."""
    everyone = await people.people_of(context, staff.institution)
    page = people.page_of(everyone, after=after, limit=limit or max(1, len(everyone)))
    return PeopleOut(items=[PersonOut.of(one) for one in page.people], next=page.next, total=page.total)


@router.post("/people", status_code=201)
async def add_person(context: ContextDep, body: NewPerson, staff: Coordinator) -> PersonIdOut:
    return PersonIdOut(person_id=await people.add_person(context, staff.institution, by=staff, **body.model_dump()))


@router.get("/people/labels")
async def labels(context: ContextDep, staff: Tutor, role: Role = "student") -> LabelsOut:
    """Names to choose from, e.g. who took part in a meeting: no addresses."""
    found = await people.people_of(context, staff.institution)
    chosen = [one for one in found if one.person.active and role in one.person.roles]
    return LabelsOut(items=[PersonLabelOut(person_id=one.person.id, label=one.name) for one in chosen])


@router.get("/people/{person_id}")
async def one(context: ContextDep, person_id: Id, staff: Coordinator) -> PersonOut:
    return PersonOut.of(await people.person_of(context, staff.institution, person_id))


@router.patch("/people/{person_id}")
async def change_person(context: ContextDep, person_id: Id, body: ChangedPerson, staff: Coordinator) -> PersonOut:
    await people.change_person(context, staff.institution, person_id, by=staff, **body.model_dump())
    return PersonOut.of(await people.person_of(context, staff.institution, person_id))


@router.get("/people/{person_id}/label")
async def label(context: ContextDep, person_id: Id, staff: AnyStaff) -> LabelOut:
    return LabelOut(label=await people.label_of(context, staff.institution, person_id))


@router.post("/tokens", status_code=201)
async def make_token(context: ContextDep, body: NewToken, staff: Coordinator) -> TokenOut:
    return await token_of(context, staff.institution, body, staff)


@router.delete("/tokens/{person_id}", status_code=204)
async def revoke_token(context: ContextDep, person_id: Id, staff: Coordinator) -> Response:
    await people.revoke_token(context, staff.institution, person_id, by=staff)
    return Response(status_code=204)
