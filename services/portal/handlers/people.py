"""People and machines of an institution."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.portal.model.people import LinkMade, Person, check_roles
from firsthand.services.portal.repository import Institutions, People
from firsthand.shared.events.portal import Role
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId, new_id
from firsthand.shared.inputs import is_name, tidy
from firsthand.shared.mail import MailUnavailable
from firsthand.shared.mail_address import MailAddress, NotMailAddress, mail_address, needs_utf8
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import MACHINE_LIFE, Staff
from firsthand.shared.store import NoSuchPlace
from firsthand.shared.texts import N_

_LONGEST_NAME: Final = 120


@dataclass(frozen=True)
class Shown:
    """A person as its own institution's coordinators see it."""

    person: Person
    name: str
    email: str


@use_case
async def add_person(
    context: Context,
    institution: InstitutionId,
    *,
    name: str,
    email: str,
    roles: Iterable[Role],
    cohorts: Iterable[str],
    by: Staff,
) -> str:
    """Add a person; returns the person's id. Raises Refused (409 with the id if the address is known here)."""
    if institution != DEPLOYMENT:
        await Institutions(context, institution).demand()
    given = check_roles(institution, roles, by=by.roles)
    name = tidy(name)
    if not is_name(name) or len(name) > _LONGEST_NAME:
        raise Refused.of_field("name", N_("Enter the person's name."))
    email = await _address_of(context, email)
    people = People(context, institution)
    person_id = people.id_of(email)
    if there := await people.known_as(email):
        raise Refused(
            "exists",
            title=N_("Someone with this email address already exists"),
            known=f"/portal/api/v1/people/{there.id}",
        )
    sealed = await context.vault.seal_many(institution, person_id, {"name": name, "email": email})
    person = Person(
        id=person_id,
        institution=institution,
        name=sealed["name"],
        email=sealed["email"],
        roles=given,
        cohorts=sorted(set(cohorts)),
        added_at=context.clock.now(),
    )
    return (await people.save(person, actor=by.person_id)).id


async def _address_of(context: Context, typed: str) -> MailAddress:
    """Clean an address that mail can be sent to. Raises Refused; while our mail server is away, time will tell."""
    try:
        email = mail_address(typed, inside=True)
    except NotMailAddress:
        raise Refused.of_field("email", N_("Enter a valid email address.")) from None
    with contextlib.suppress(MailUnavailable):
        if needs_utf8(email) and not await context.mail.takes_utf8():
            raise Refused.of_field(
                "email", N_("Our mail server cannot write to letters such as é before the @. Enter another address.")
            )
    return email


@use_case
async def change_person(
    context: Context,
    institution: InstitutionId,
    person_id: str,
    *,
    name: str | None = None,
    roles: Iterable[Role] | None = None,
    cohorts: list[str] | None = None,
    active: bool | None = None,
    by: Staff,
) -> Person:
    """Change what a person is called or may do. Raises Refused."""
    people = People(context, institution)
    person = await people.demand(person_id)
    if person_id == by.person_id and (active is False or (roles is not None and "coordinator" not in set(roles))):
        raise Refused(
            "yourself",
            N_("Ask another coordinator, so that someone can give it back."),
            title=N_("You cannot remove this from yourself"),
        )
    if active is not None and active != person.active:
        person.check_access_may_change(by.roles)
    given = None if roles is None or person.is_machine else _wanted(person, roles, by)
    changed = person.change(roles=given, cohorts=cohorts, active=active, at=context.clock.now())
    if name is not None and (name := tidy(name)):
        if not is_name(name):
            raise Refused.of_field("name", N_("Enter the person's name."))
        person.name = await context.vault.seal(institution, person_id, "name", name[:_LONGEST_NAME])
        changed = True
    return await people.save(person, actor=by.person_id) if changed else person


def _wanted(person: Person, roles: Iterable[Role], by: Staff) -> list[Role]:
    """The roles that a person is to have; an operator's role is neither given nor taken by coordinators."""
    kept: list[Role] = [] if "operator" in by.roles else [role for role in person.roles if role == "operator"]
    return check_roles(person.institution, [*kept, *roles], by=by.roles, held=person.roles)


@use_case
async def make_token(
    context: Context, institution: InstitutionId, *, label: str, days: int, by: Staff
) -> tuple[str, datetime]:
    """Make a machine with its token, which is shown once; returns it with its end. Raises Refused."""
    if "machine" in by.roles:
        raise Refused(
            "not-yours-to-give",
            N_("A coordinator can do it on the people page."),
            title=N_("Only a person can create a token"),
            kind="forbidden",
        )
    await Institutions(context, institution).demand()
    life = timedelta(days=days)
    if not timedelta() < life <= MACHINE_LIFE:
        raise Refused.of_field("days", N_("A token is valid for 1 to 90 days."))
    label = tidy(label)
    if not is_name(label):
        raise Refused.of_field("label", N_("Enter what the token is for."))
    machine_id, now = new_id(), context.clock.now()
    machine = Person(
        id=machine_id,
        institution=institution,
        name=await context.vault.seal(institution, machine_id, "name", label[:_LONGEST_NAME]),
        email=None,
        roles=["machine"],
        cohorts=[],
        added_at=now,
        expires_at=now + life,
    )
    await People(context, institution).save(machine, actor=by.person_id)
    assert context.issuer is not None  # the portal signs for staff
    return context.issuer.machine(institution, machine_id, life=life), now + life


async def people_of(context: Context, institution: InstitutionId) -> list[Shown]:
    """Everybody, the active ones first, by name."""
    found = [await shown(context, person) async for person in People(context, institution).documents.all()]
    return sorted(found, key=lambda one: (not one.person.active, one.person.is_machine, one.name.casefold()))


@dataclass(frozen=True)
class Listed:
    """A page of people, how many there are in all, and where the next page begins."""

    people: list[Shown]
    total: int
    next: str | None


def page_of(people: list[Shown], *, after: str | None, limit: int) -> Listed:
    """Give what follows the person `after`. Raises NoSuchPlace.

    Names are sealed, so that no store can sort by them: a list by name is opened as a whole, some 50 us a person.
    """
    ids = [one.person.id for one in people]
    if after is not None and after not in ids:
        raise NoSuchPlace("this person is not in the list")
    begin = ids.index(after) + 1 if after is not None else 0
    shown_now = people[begin : begin + limit]
    return Listed(shown_now, len(people), shown_now[-1].person.id if begin + limit < len(people) else None)


async def person_of(context: Context, institution: InstitutionId, person_id: str) -> Shown:
    """Raises Refused (404)."""
    return await shown(context, await People(context, institution).demand(person_id))


async def label_of(context: Context, institution: InstitutionId, person_id: str) -> str:
    """The person's name, for a colleague's browser. Raises Refused (404)."""
    person = await People(context, institution).get(person_id)
    if person is None:
        raise NotFound
    return await context.vault.open(institution, person_id, "name", person.name)


@dataclass(frozen=True)
class LinkShown:
    """A sign-in link that somebody else created: their name, empty for an operator of the deployment."""

    name: str
    at: datetime


async def links_of(context: Context, person: Person, made: Sequence[LinkMade]) -> list[LinkShown]:
    """Name who created these links for a person, the latest first."""
    people = People(context, person.institution)
    found = []
    for one in reversed(made):
        maker = None if one.by_operator else await people.get(one.by)
        name = await context.vault.open(person.institution, one.by, "name", maker.name) if maker else ""
        found.append(LinkShown(name, one.at))
    return found


async def links_to_tell(context: Context, staff: Staff) -> list[LinkShown]:
    """The links that colleagues created lately for the person who is signed in."""
    person = await People(context, staff.institution).get(staff.person_id)
    return await links_of(context, person, person.links_to_tell(context.clock.now())) if person else []


async def shown(context: Context, person: Person) -> Shown:
    fields = {"name": person.name} | ({"email": person.email} if person.email else {})
    opened = await context.vault.open_many(person.institution, person.id, fields)
    return Shown(person, opened["name"], opened.get("email", ""))


@use_case
async def revoke_token(context: Context, institution: InstitutionId, machine_id: str, *, by: Staff) -> None:
    """End a machine's token at once. Raises Refused (404)."""
    machine = await People(context, institution).demand(machine_id)
    if not machine.is_machine:
        raise NotFound
    await change_person(context, institution, machine_id, active=False, by=by)


@use_case
async def sign_out_everywhere(context: Context, institution: InstitutionId, person_id: str, *, by: Staff) -> None:
    """End every session and sign-in of a person, e.g. of a lost telephone. Raises Refused."""
    people = People(context, institution)
    person = await people.demand(person_id)
    person.check_access_may_change(by.roles)
    person.sign_out_everywhere(context.clock.now())
    await people.save(person, actor=by.person_id)
