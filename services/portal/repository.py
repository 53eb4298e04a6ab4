"""What the portal keeps of ONE institution. Nothing here can be made without naming it."""

from collections.abc import AsyncIterator
from datetime import datetime

from firsthand.services.portal.model.institutions import Cohort, Institution
from firsthand.services.portal.model.journey import Journey
from firsthand.services.portal.model.people import Person, one_spelling
from firsthand.services.portal.model.sign_in import SignIn, SignInLink, hashed
from firsthand.shared.copies import CaseCopy
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.portal import EndedState, InstitutionChangedV1, PersonChangedV1, SessionEndedV1
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.mail_address import as_typed
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import AnyOf, Page, Where
from firsthand.shared.texts import N_

_PERSON_ID_DIGITS = 32  # of the mark's 64 hexadecimal ones: 128 bits


async def all_slugs(context: Context) -> list[InstitutionId]:
    """Every institution here, for signing in and for the deployment's operators."""
    return sorted(await context.store.institutions(Institution))


async def known(context: Context, slug: str) -> InstitutionId:
    """Give the institution of this slug: it comes from what is kept, not from the request. Raises NotFound."""
    if slug == DEPLOYMENT:
        return DEPLOYMENT
    for institution in await all_slugs(context):
        if institution == slug:
            return institution
    raise NotFound(N_("There is no institution with this short name."))


async def cases_of(context: Context, institution: InstitutionId) -> list[CaseState]:
    """The institution's cases, as discovery last told of them."""
    return [copy.state async for copy in context.store.collection(CaseCopy, institution).all()]


class Institutions:
    """The institution's own document, with its cohorts."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._institution = institution
        self._documents = context.store.collection(Institution, institution)
        self.cohorts = context.store.collection(Cohort, institution)

    async def get(self) -> Institution | None:
        return await self._documents.get(self._institution)

    async def demand(self) -> Institution:
        """Raises Refused (404)."""
        if (found := await self.get()) is None:
            raise NotFound
        return found

    async def save(self, institution: Institution, *, actor: str) -> Institution:
        event = InstitutionChangedV1.of(
            institution,
            institution.state,
            at=self._context.clock.now(),
            actor=actor,
        )
        kept = self._documents
        return await kept.put(institution, event)


class People:
    """The people of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._institution = institution
        self.documents = context.store.collection(Person, institution)

    def id_of(self, email: str) -> str:
        """The id of the person with this address, whether there is one or not."""
        return self._marked(one_spelling(email))

    def _marked(self, email: str) -> str:
        return self._context.vault.mark("person", self._institution, email)[:_PERSON_ID_DIGITS]

    async def known_as(self, email: str) -> Person | None:
        """The person with this address, also one whom an older release added by the letters that were typed."""
        known = one_spelling(email)
        for spelling in dict.fromkeys((known, email.strip().lower(), as_typed(known))):
            if person := await self.get(self._marked(spelling)):
                return person
        return None

    async def get(self, person_id: str) -> Person | None:
        return await self.documents.get(person_id)

    async def demand(self, person_id: str) -> Person:
        """Raises Refused (404)."""
        if (person := await self.documents.get(person_id)) is None:
            raise NotFound
        return person

    async def save(self, person: Person, *, actor: str) -> Person:
        """Save and tell everybody; here the person's void sessions end at once, elsewhere when the event arrives."""
        event: AnyEvent = PersonChangedV1.of(
            person,
            person.told(),
            at=self._context.clock.now(),
            actor=actor,
        )
        saved = await self.documents.put(person, event)
        if saved.signed_out_before:
            self._context.verifier.revoke(self._institution, saved.id, saved.signed_out_before)
        return saved


class SignIns:
    """One-time links and sign-ins of one institution, found by their secrets."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._institution = institution
        self.links = context.store.collection(SignInLink, institution)
        self.sign_ins = context.store.collection(SignIn, institution)

    async def link(self, secret: str) -> SignInLink | None:
        return await self.links.get(hashed(secret))

    async def sign_in(self, secret: str) -> SignIn | None:
        return await self.sign_ins.get(hashed(secret))

    async def end(self, begun: SignIn, *, at: datetime) -> None:
        """Save one that has ended, with its event; here it is heard at once. Raises Conflict."""
        told = SessionEndedV1.of(begun, EndedState(session_id=begun.id), at=at, actor=begun.person_id)
        await self.sign_ins.save(begun, told)
        self._context.verifier.end(self._institution, begun.id)


class Journeys:
    """The journeys of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Journey, institution)

    async def get(self, contact_id: str) -> Journey | None:
        return await self._documents.get(contact_id)

    async def save(self, journey: Journey) -> Journey:
        return await self._documents.put(journey)

    async def find(self, where: Where | AnyOf, *, after: str | None = None, limit: int = 100) -> Page[Journey]:
        """The last moved first."""
        return await self._documents.find(where, sort="moved_at", order="desc", limit=limit, after=after)

    async def count(self, where: Where | AnyOf) -> int:
        return await self._documents.count(where)

    def all(self) -> AsyncIterator[Journey]:
        """By id, in flat memory."""
        return self._documents.all()

    async def asking(self, where: Where, *, after: str | None = None, limit: int = 100) -> Page[Journey]:
        """Those that ask something of staff, the longest since first."""
        return await self._documents.find(where, sort="todo_since", limit=limit, after=after)


__all__ = ["Institutions", "Journeys", "People", "SignIns", "all_slugs", "cases_of", "known"]
