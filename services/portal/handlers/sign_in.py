"""Signing in by a one-time link, renewing sessions, signing out."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from firsthand.services.portal.model.people import LinkMade, Person
from firsthand.services.portal.model.sign_in import LINK_LIFE, SIGN_IN_LIFE, SignIn, SignInLink, hashed
from firsthand.services.portal.repository import People, SignIns, known
from firsthand.shared.identifiers import InstitutionId, new_secret
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import STAFF_LIFE, Staff
from firsthand.shared.store import Conflict
from firsthand.shared.texts import N_


@dataclass(frozen=True)
class Begun:
    """A sign-in: the session for every service, and what renews it."""

    session: str
    sign_in: str  # `<slug>.<secret>`


@dataclass(frozen=True)
class Asked:
    """A link that was made for a person who asked, and where it goes."""

    institution: InstitutionId
    person_id: str
    email: str
    secret: str


@use_case
async def make_link(context: Context, institution: InstitutionId, email: str, *, by: Staff | None = None) -> str:
    """Make a one-time link for a person who is here; returns its secret. Raises Refused, NotFound.

    `by`: who made it, where that is not the person who asked to have it mailed. It is noted before there is a link.
    """
    people = People(context, institution)
    person = await people.known_as(email)
    if person is None or not person.active or person.is_machine:
        raise NotFound
    if by and by.person_id != person.id:
        person.check_access_may_change(by.roles)
        operator = by.institution != institution
        person.note_link(LinkMade(by=by.person_id, at=context.clock.now(), by_operator=operator))
        person = await people.save(person, actor=by.person_id)
    secret = new_secret()
    expires_at = context.clock.now() + LINK_LIFE
    link = SignInLink(
        id=hashed(secret), institution=institution, person_id=person.id, expires_at=expires_at, due_at=expires_at
    )
    await SignIns(context, institution).links.insert(link)
    return secret


async def ask_for_link(context: Context, slug: str, email: str) -> Asked | None:
    """Make the link that is to be mailed; None if we do not know the address, which the one who asks is not told."""
    try:
        institution = await known(context, slug)
        secret = await make_link(context, institution, email)
    except NotFound:
        return None
    people = People(context, institution)
    person = await people.known_as(email)
    if person is None or person.email is None:
        return None
    kept = await context.vault.open(institution, person.id, "email", person.email)
    return Asked(institution, person.id, kept, secret)


async def link_opens(context: Context, slug: str, secret: str) -> bool:
    """Tell whether a link would sign somebody in; changes nothing."""
    try:
        link = await SignIns(context, await known(context, slug)).link(secret)
    except NotFound:
        return False
    return link is not None and link.opens(context.clock.now())


@use_case
async def sign_in(context: Context, slug: str, secret: str) -> Begun:
    """Use a one-time link. Raises Refused (410) when it is used, old or none of ours."""
    institution = await known(context, slug)
    sign_ins, now = SignIns(context, institution), context.clock.now()
    link = await sign_ins.link(secret)
    person = await People(context, institution).get(link.person_id) if link else None
    if link is None or person is None or not link.opens(now) or not person.active:
        raise Refused(
            "link-used",
            N_("A link works once, within 15 minutes. Ask for a new one."),
            title=N_("This sign-in link no longer works"),
            kind="gone",
        )
    link.use(now)
    await sign_ins.links.save(link)  # whoever saves first is signed in
    renewing = new_secret()
    until = now + SIGN_IN_LIFE
    begun = SignIn(
        id=hashed(renewing),
        institution=institution,
        person_id=person.id,
        began_at=now,
        until=until,
        due_at=until + STAFF_LIFE,
    )
    await sign_ins.sign_ins.insert(begun)
    return Begun(_session(context, person, begun), f"{institution}.{renewing}")


async def renew(context: Context, cookie: str) -> str | None:
    """Give a new session while the sign-in lives; None: sign in again."""
    slug, _, secret = cookie.partition(".")
    try:
        institution = await known(context, slug)
    except NotFound:
        return None
    now = context.clock.now()
    begun = await SignIns(context, institution).sign_in(secret)
    if begun is None or now >= begun.until:
        return None
    person = await People(context, institution).get(begun.person_id)
    if person is None or not person.may_renew(begun.began_at):
        return None
    # A change of roles makes every session of its second void, so a new one begins with the next second.
    await asyncio.sleep(min(1.0, max(0.0, person.signed_out_before - now.timestamp())))
    return _session(context, person, begun)


async def sign_out(context: Context, cookie: str, session: Staff | None) -> None:
    """End this browser's sign-in, and its session in every service: no other one of the person is touched.

    `session`: the one that the browser still has, which may outlive by minutes the `cookie` that renews it.
    """
    slug, _, secret = cookie.partition(".")
    begun: SignIn | None = None
    with suppress(NotFound):
        begun = await SignIns(context, await known(context, slug)).sign_in(secret)
    if begun is None and session:
        begun = await SignIns(context, session.institution).sign_ins.get(session.session_id)
    now = context.clock.now()
    if begun and begun.end(now):
        with suppress(Conflict):  # it was asked twice at once
            await SignIns(context, begun.institution).end(begun, at=now)


async def forget_link(context: Context, link: SignInLink) -> None:
    await SignIns(context, link.institution).links.delete(link)


async def forget_sign_in(context: Context, sign_in: SignIn) -> None:
    await SignIns(context, sign_in.institution).sign_ins.delete(sign_in)


def _session(context: Context, person: Person, begun: SignIn) -> str:
    assert context.issuer is not None  # the portal signs for staff
    return context.issuer.staff(
        person.institution,
        person.id,
        roles=frozenset(person.roles),
        cohorts=frozenset(person.cohorts),
        session_id=begun.id,
    )
