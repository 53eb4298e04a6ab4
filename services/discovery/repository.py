"""Discovery's documents, of one institution, and the ledger that spares people everywhere."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.cases import Case, Places
from firsthand.services.discovery.model.earlier import earlier_names
from firsthand.services.discovery.model.leads import Content, Gone, Lead, Week
from firsthand.services.discovery.model.people import Asked, Mark, Person
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import Collection

# Hexadecimal digits of a mark that are kept within an institution: 128 bits tell a million posts apart, and every index
# holds them.
_SHORT: Final = 32
# Of more names that an account may have had than these, all earlier marks are read at once, and compared.
_ONE_BY_ONE: Final = 32
_AT_ONCE: Final = 500  # names that are marked without leaving the event loop: a millisecond
_PAGE: Final = 1000
DOCUMENTS: Final = (Case, Places, Lead, Gone, Week, Person, Mark, Asked)


class Repository:
    """The collections of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self.institution = institution
        self.cases: Collection[Case] = context.store.collection(Case, institution)
        self.places: Collection[Places] = context.store.collection(Places, institution)
        self.leads: Collection[Lead] = context.store.collection(Lead, institution)
        self.gone: Collection[Gone] = context.store.collection(Gone, institution)
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

    async def earlier_marks(self) -> frozenset[str]:
        """The ids of the marks that an earlier release made, or that nobody knows the name of."""
        return await _unnamed(self.marks)

    async def marked_earlier(
        self, accounts: Sequence[Account], spelled: str = "", among: frozenset[str] | None = None
    ) -> list[str]:
        """The marks that are here of these accounts under the names that an earlier release may have given them.

        `spelled`: the handle as it was given. `among`: the earlier marks, where they were read before.
        """
        if among is not None and not among:
            return []
        names = [name for account in accounts for name in earlier_names(account, spelled)]
        return await _found(self.marks, names, self.marks_of, among)

    async def asked_before(
        self, accounts: Sequence[Account], spelled: str = "", among: frozenset[str] | None = None
    ) -> bool:
        """Return whether one of these accounts was contacted, was refused or said no here, however it was named."""
        for mark in self.marks_of(accounts):
            if await self.marks.get(mark) is not None:
                return True
        return bool(await self.marked_earlier(accounts, spelled, among))

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

    async def marked_earlier(self, accounts: Sequence[Account], spelled: str = "") -> list[str]:
        """The marks that are here of these accounts under the names that an earlier release may have given them."""
        names = [name for account in accounts for name in earlier_names(account, spelled)]
        return await _found(self.asked, names, self.marks_of, None)

    async def entries_of(self, accounts: Sequence[Account], spelled: str = "") -> list[Asked]:
        """Everything that is noted of these accounts, however they were named."""
        marks = [*self.marks_of(accounts), *await self.marked_earlier(accounts, spelled)]
        return [await self.entry(mark) for mark in marks]

    async def entry(self, mark: str) -> Asked:
        return await self.asked.get(mark) or Asked(id=mark, institution=DEPLOYMENT)

    async def keep(self, entry: Asked) -> None:
        """Store an entry, new or changed. Raises Conflict, AlreadyExists."""
        await self.asked.put(entry)


async def _found(
    kept: Collection[Mark] | Collection[Asked],
    names: Sequence[Account],
    marks_of: Callable[[Iterable[Account]], list[str]],
    among: frozenset[str] | None,
) -> list[str]:
    if among is None and len(names) <= _ONE_BY_ONE:
        found = [await kept.get(mark) for mark in marks_of(names)]
        return [one.id for one in found if one is not None and one.names is None]
    if among is None:
        among = await _unnamed(kept)
    if len(names) <= _AT_ONCE or not among:
        return sorted(among.intersection(marks_of(names))) if among else []
    return await asyncio.to_thread(lambda: sorted(among.intersection(marks_of(names))))


async def _unnamed(kept: Collection[Mark] | Collection[Asked]) -> frozenset[str]:
    found: set[str] = set()
    after: str | None = None
    while True:
        page = await kept.find({"names": None}, limit=_PAGE, after=after)
        found.update(one.id for one in page.items)
        if (after := page.next) is None:
            return frozenset(found)


__all__ = ["DOCUMENTS", "Ledger", "Repository"]
