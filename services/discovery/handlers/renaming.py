"""People and leads of an earlier release get the marks that their accounts have by the rules of today.

It runs once after an upgrade, beside everything else, and is repeated at a start as long as something is left. What was
erased keeps only the marks that it had; clearing looks for those too (`model/earlier.py`).
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.addresses import read_address
from firsthand.services.discovery.model.authors import authors
from firsthand.services.discovery.model.leads import Content, Lead, Week
from firsthand.services.discovery.model.people import NAMES, Mark, Person
from firsthand.services.discovery.repository import Ledger, Repository
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.store import Unreadable
from firsthand.shared.vault import VaultError


async def name_again(context: Context) -> None:
    """Go through what earlier releases left. One that cannot be read now is left for the next start."""
    for institution in await context.store.institutions(Week):
        await _tried(context, institution, partial(_name_all_leads, context, institution))
    for institution in await context.store.institutions(Person):
        await _tried(context, institution, partial(_name_all_people, context, institution))


async def _tried(context: Context, what: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await use_case(work)()
    except (Unreadable, VaultError) as error:
        context.log.warning("%s keeps the marks of an earlier release: %s", what, error)


async def _name_all_leads(context: Context, institution: InstitutionId) -> None:
    weeks = [week.id async for week in Repository(context, institution).weeks.all() if week.names is None]
    for week in weeks:
        await _tried(context, week, partial(_name_leads, context, institution, week))


async def _name_all_people(context: Context, institution: InstitutionId) -> None:
    for person in await _unnamed(Repository(context, institution)):
        await _tried(context, person, partial(_name_person, context, institution, person))


async def _unnamed(repository: Repository) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while True:
        page = await repository.people.find({"names": None}, after=after)
        found += [person.id for person in page.items]
        if (after := page.next) is None:
            return found


async def _name_leads(context: Context, institution: InstitutionId, week_id: str) -> None:
    """Mark the waiting leads of a week by the names that their authors have today."""
    repository = Repository(context, institution)
    week = await repository.weeks.get(week_id)
    if week is None or week.names is not None:
        return
    after: str | None = None
    while True:
        page = await repository.leads.find(
            {"case_id": week.case_id, "state": "waiting"}, sort="posted_at", limit=200, after=after
        )
        for lead in page.items:
            if lead.week == week.id and (content := await repository.content_of(lead)):
                await _name_lead(repository, lead, content)
        if (after := page.next) is None:
            break
    week.names = NAMES
    await repository.weeks.save(week)


async def _name_lead(repository: Repository, lead: Lead, content: Content) -> None:
    marks = repository.marks_of(authors(lead.platform, content))[:2]
    if marks and marks != lead.marks:
        lead.author, lead.also = marks[0], marks[1] if len(marks) > 1 else None
        await repository.leads.save(lead)


async def _name_person(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Bind the marks of today to a contact, and let the deployment's ledger know it by them."""
    repository, ledger = Repository(context, institution), Ledger(context)
    person = await repository.people.get(contact_id)
    if person is None or person.names is not None:
        return
    accounts = await _accounts_of(context, person)
    for mark in repository.marks_of(accounts):
        if await repository.marks.get(mark) is None:
            bound = Mark(id=mark, institution=institution, contact_id=contact_id, since=person.cleared_at, names=NAMES)
            await repository.marks.insert(bound)
        if mark not in person.marks:
            person.marks = [*person.marks, mark]
    for mark in ledger.marks_of(accounts):
        if mark not in person.on_deployment:
            entry = await ledger.entry(mark)
            entry.names = entry.names if entry.version else NAMES
            entry.note(person.cleared_at)
            if person.said_no_at:
                entry.note_no(person.said_no_at)
            await ledger.keep(entry)
            person.on_deployment = [*person.on_deployment, mark]
    person.names = NAMES
    await repository.people.save(person)


async def _accounts_of(context: Context, person: Person) -> Sequence[Account]:
    """Read whose account it was from what was sealed: the profile's address, or else the post's."""
    sealed = {field: value for field in ("profile", "post") if (value := getattr(person, field)) is not None}
    if person.standing == "erased" or not sealed:
        return []
    opened = await context.vault.open_many(person.institution, person.id, sealed)
    for field in ("profile", "post"):
        try:
            if owners := read_address(opened.get(field, "")).owners:
                return owners
        except Refused:  # it named nobody then either
            continue
    return []


__all__ = ["name_again"]
