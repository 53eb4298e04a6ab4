"""Discovery's documents, of one institution, and the ledger that spares people everywhere."""

from collections.abc import Iterable
from typing import Final

from firsthand.services.discovery.model.addresses import Platform
from firsthand.services.discovery.model.cases import Case, Places
from firsthand.services.discovery.model.leads import Content, Lead, Week
from firsthand.services.discovery.model.people import Asked, Mark, Person
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import Collection

# Hexadecimal digits of a mark that are kept within an institution: 128 bits tell a million posts apart, and every index
# holds them.
_SHORT: Final = 32
Account = tuple[Platform, str]  # a platform, and a name under which it knows somebody
DOCUMENTS: Final = (Case, Places, Lead, Week, Person, Mark, Asked)


class Repository:
    """The collections of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self.institution = institution
        self.cases: Collection[Case] = context.store.collection(Case, institution)
        self.places: Collection[Places] = context.store.collection(Places, institution)
        self.leads: Collection[Lead] = context.store.collection(Lead, institution)
        self.weeks: Collection[Week] = context.store.collection(Week, institution)
        self.people: Collection[Person] = context.store.collection(Person, institution)
        self.marks: Collection[Mark] = context.store.collection(Mark, institution)

    def case_id(self, prefix: str) -> str:
        """The id of the case with a prefix: storing the case takes the prefix, in this institution."""
        return f"{prefix.lower()}-{self._context.vault.mark('case', self.institution, prefix.upper())[:12]}"

    async def case(self, name: str) -> Case:
        """Give a case by its id or its prefix. Raises Refused (404)."""
        case = await self.cases.get(name) or await self.cases.get(self.case_id(name))
        if case is None:
            raise NotFound
        return case

    async def lead(self, lead_id: str) -> Lead:
        """Give a lead. Raises Refused (404)."""
        lead = await self.leads.get(lead_id)
        if lead is None:
            raise NotFound
        return lead

    async def person(self, contact_id: str) -> Person:
        """Give who a contact is, as long as that is known. Raises Refused (404)."""
        person = await self.people.get(contact_id)
        if person is None or person.standing == "erased":
            raise NotFound
        return person

    def lead_id(self, case_id: str, permalink: str) -> str:
        """The id of a post in a case: the same post is the same lead."""
        return self._context.vault.mark("lead", self.institution, case_id, permalink)[:_SHORT]

    def marks_of(self, accounts: Iterable[Account]) -> list[str]:
        """The marks of accounts within this institution."""
        return [self._context.vault.mark("person", self.institution, *account)[:_SHORT] for account in accounts]

    async def asked_before(self, marks: Iterable[str]) -> bool:
        """Return whether one of these accounts was contacted, was refused or said no here."""
        for mark in marks:
            if await self.marks.get(mark) is not None:
                return True
        return False

    async def content_of(self, lead: Lead) -> Content | None:
        """Open the sealed text of an undecided lead; None once it is decided."""
        if lead.content is None:
            return None
        return Content.model_validate_json(
            await self._context.vault.open(self.institution, lead.week, lead.id, lead.content)
        )


class Ledger:
    """The one thing that institutions share: marks under the deployment's key, with counts and times."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.asked: Collection[Asked] = context.store.collection(Asked, DEPLOYMENT)

    def marks_of(self, accounts: Iterable[Account]) -> list[str]:
        return [self._context.vault.mark("person", *account) for account in accounts]

    async def entry(self, mark: str) -> Asked:
        return await self.asked.get(mark) or Asked(id=mark, institution=DEPLOYMENT)

    async def keep(self, entry: Asked) -> None:
        """Store an entry, new or changed. Raises Conflict, AlreadyExists."""
        await self.asked.put(entry)


__all__ = ["DOCUMENTS", "Account", "Ledger", "Repository"]
