"""The pages of people, machines and cohorts."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from firsthand.services.portal.handlers import institutions, people, sign_in
from firsthand.services.portal.http import words
from firsthand.services.portal.http.doors import link_address, number, submit
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.http.pages_staff_journeys import zone_of
from firsthand.services.portal.model.people import GIVEN_BY_COORDINATORS, ROLES
from firsthand.services.portal.model.sign_in import hashed
from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.events.portal import Role
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Line, Word, day_of
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Coordinator
from firsthand.shared.web.problems import status_of

Text = Annotated[Line, Form()]
_A_PAGE = 50
_LINK_MADE = N_(
    "Hello,\n\n%(name)s created a link that signs in to Firsthand as you. It works once, within 15 minutes.\n\n"
    "If you asked for it, you do not need to do anything. If you did not, tell another coordinator at your institution."
)


class PersonForm(BaseModel):
    name: Line = ""
    email: Annotated[Line, Field(max_length=254)] = ""
    roles: list[Role] = []
    cohorts: list[Id] = []


class CohortForm(BaseModel):
    """As it was typed: what is wrong with it is told beside its field."""

    id: Annotated[Line, Field(max_length=64)] = ""
    label: Line = ""
    size: Word = ""
    learns_until: Word = ""


router = APIRouter()


@router.get("/people")
async def everybody(
    request: Request, context: ContextDep, staff: Coordinator, shown: Word = "", after: Cursor | None = None
) -> Response:
    return await _list(context, request, staff, shown=shown, after=after)


@router.get("/people/new")
async def new(request: Request, context: ContextDep, staff: Coordinator) -> Response:
    return pages.render(request, "person_new.html", errors={}, **await _choices(context, staff), **_EMPTY)


@router.post("/people/new")
async def add(
    request: Request, context: ContextDep, staff: Coordinator, form: Annotated[PersonForm, Form()]
) -> Response:
    return await submit(
        request,
        people.add_person(context, staff.institution, by=staff, **form.model_dump()),
        "/portal/people?shown=added",
        "person_new.html",
        form.model_dump() | await _choices(context, staff),
    )


@router.get("/people/{person_id}")
async def one(request: Request, context: ContextDep, person_id: Id, staff: Coordinator) -> Response:
    found = await people.person_of(context, staff.institution, person_id)
    return pages.render(request, "person.html", errors={}, link="", **await _shown(context, staff, found))


@router.post("/people/{person_id}")
async def change(
    request: Request, context: ContextDep, person_id: Id, staff: Coordinator, form: Annotated[PersonForm, Form()]
) -> Response:
    found = await people.person_of(context, staff.institution, person_id)
    return await submit(
        request,
        people.change_person(context, staff.institution, person_id, by=staff, **form.model_dump(exclude={"email"})),
        "/portal/people?shown=changed",
        "person.html",
        {"link": ""} | await _shown(context, staff, found),
    )


@router.post("/people/{person_id}/active")
async def set_active(
    request: Request, context: ContextDep, person_id: Id, staff: Coordinator, active: Text
) -> Response:
    found = await people.person_of(context, staff.institution, person_id)
    return await submit(
        request,
        people.change_person(context, staff.institution, person_id, active=active == "yes", by=staff),
        "/portal/people?shown=changed",
        "person.html",
        {"link": ""} | await _shown(context, staff, found),
    )


@router.post("/people/{person_id}/sign-out")
async def sign_out(context: ContextDep, person_id: Id, staff: Coordinator) -> Response:
    await people.sign_out_everywhere(context, staff.institution, person_id, by=staff)
    return RedirectResponse("/portal/people?shown=signed-out", 303)


@router.post("/people/{person_id}/link")
async def link(request: Request, context: ContextDep, person_id: Id, staff: Coordinator) -> Response:
    """Show a one-time link once, for who has no mail at hand."""
    found = await people.person_of(context, staff.institution, person_id)
    shown = await _shown(context, staff, found)
    try:
        secret = await sign_in.make_link(context, staff.institution, found.email, by=staff)
    except Refused as refused:
        words = pages.language(request)
        errors = {"main": f"{words.gettext(refused.title)}. {words.gettext(refused.text)}"}
        return pages.render(request, "person.html", status=status_of(refused), errors=errors, link="", **shown)
    if person_id != staff.person_id:
        await _tell_of_link(request, context, staff, found, secret)
    url = link_address(context, staff.institution, secret)
    return pages.render(request, "person.html", errors={}, link=url, **shown)


@router.post("/tokens")
async def make(
    request: Request, context: ContextDep, staff: Coordinator, label: Text = "", days: Text = "30"
) -> Response:
    """Show the token once, on the page that answers; it is kept nowhere."""
    token, ends = await people.make_token(context, staff.institution, label=label, days=number(days), by=staff)
    return await _list(context, request, staff, token=token, ends=ends)


@router.post("/tokens/{person_id}/revoke")
async def revoke(context: ContextDep, person_id: Id, staff: Coordinator) -> Response:
    await people.revoke_token(context, staff.institution, person_id, by=staff)
    return RedirectResponse("/portal/people?shown=revoked", 303)


@router.get("/cohorts")
async def cohorts(
    request: Request, context: ContextDep, staff: Coordinator, edit: Word = "", shown: Word = ""
) -> Response:
    found = await institutions.cohorts_of(context, staff.institution)
    chosen = next((one for one in found if one.id == edit), None)
    entered = {
        "id": chosen.id if chosen else "",
        "label": chosen.label if chosen else "",
        "size": chosen.size if chosen else "",
        "learns_until": chosen.learns_until.isoformat() if chosen else "",
    }
    return pages.render(
        request, "cohorts.html", cohorts=found, entered=entered, known=chosen is not None, errors={}, shown=shown
    )


@router.post("/cohorts")
async def put(
    request: Request, context: ContextDep, staff: Coordinator, form: Annotated[CohortForm, Form()]
) -> Response:
    return await submit(
        request,
        _put_cohort(context, staff, form),
        "/portal/cohorts?shown=saved",
        "cohorts.html",
        {
            "cohorts": await institutions.cohorts_of(context, staff.institution),
            "entered": form.model_dump(),
            "known": False,
            "shown": "",
        },
    )


async def _put_cohort(context: Context, staff: Staff, form: CohortForm) -> None:
    short = form.id.strip().lower()
    if not short or not all(letter.isascii() and (letter.isalnum() or letter == "-") for letter in short):
        raise Refused.of_field("id", N_("Use lower-case letters, digits and hyphens, for example year-3."))
    try:
        until = day_of(form.learns_until)
    except ValueError:
        raise Refused.of_field("learns_until", N_("Until when do they study here?")) from None
    await institutions.put_cohort(
        context, staff.institution, short, label=form.label, size=number(form.size), learns_until=until
    )


async def _tell_of_link(request: Request, context: Context, staff: Staff, found: people.Shown, secret: str) -> None:
    """Mail the person that a colleague can sign in as them. Their first page says it too, should no mail go out."""
    words = pages.language(request)
    name = await people.label_of(context, staff.institution, staff.person_id)
    try:
        await context.mail.send(
            staff.institution,
            found.person.id,
            f"link-made-{hashed(secret)}",
            to=found.email,
            subject=words.gettext(N_("A sign-in link was created for you")),
            text=words.gettext(_LINK_MADE, name=name),
        )
    except (Transient, Hopeless) as error:
        context.log.warning("a person was not mailed that a sign-in link was made for them: %s", error)


async def _shown(context: Context, staff: Staff, found: people.Shown) -> dict[str, Any]:
    """What a person's page shows, besides the link that was just made."""
    links = await people.links_of(context, found.person, found.person.links_made)
    return {"one": found, "links": links} | await _choices(context, staff)


_EMPTY: dict[str, Any] = {"name": "", "email": "", "roles": [], "cohorts": []}


async def _choices(context: Context, staff: Staff) -> dict[str, Any]:
    """What a person's form offers."""
    given = ROLES if "operator" in staff.roles else [role for role in ROLES if role in GIVEN_BY_COORDINATORS]
    return {
        "role_choices": [(role, *words.ROLES[role]) for role in given if role != "machine"],
        "cohort_choices": await institutions.cohorts_of(context, staff.institution),
        "zone": await zone_of(context, staff.institution),
    }


async def _list(
    context: Context,
    request: Request,
    staff: Staff,
    *,
    shown: Word = "",
    token: str = "",
    ends: Any = None,
    after: Cursor | None = None,
) -> Response:
    found = await people.people_of(context, staff.institution)
    cohorts = await institutions.cohorts_of(context, staff.institution)
    return pages.render(
        request,
        "people.html",
        page=people.page_of([one for one in found if not one.person.is_machine], after=after, limit=_A_PAGE),
        after=after,
        machines=[one for one in found if one.person.is_machine],
        cohorts={one.id: one.label for one in cohorts},
        shown=shown,
        token=token,
        ends=ends,
        said=words,
        now=context.clock.now(),
        zone=await zone_of(context, staff.institution),
    )
