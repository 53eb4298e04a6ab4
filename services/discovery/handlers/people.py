"""The people behind contacts: after a clearing, after events of consent, and their erasure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from firsthand.services.discovery.handlers.cases import keep_places, places_of
from firsthand.services.discovery.model.people import NAMES, NO, Mark, Person, standing_of
from firsthand.services.discovery.repository import Ledger, Repository
from firsthand.shared.events.consent import ConsentState, ErasureRequestedV1
from firsthand.shared.events.discovery import DiscoveryErasedV1
from firsthand.shared.events.envelope import Event
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.vault import KeyErased

# What owners in the erasure ledger are called that are no contacts.
_WEEK: Final = "leads-"
_LEAD: Final = "lead-"
_MARK: Final = "mark-"


@dataclass(frozen=True)
class Shown:
    """Who a contact is, opened for a tutor. Empty where the platform or the tutor gave nothing."""

    person: Person
    handle: str
    name: str
    profile: str
    post: str

    @property
    def label(self) -> str:
        return self.name or self.handle or self.person.reference


async def show(context: Context, staff: Staff, contact_id: str) -> Shown:
    """Open who a contact is. Raises Refused (404) once erased."""
    person = await Repository(context, staff.institution).person(contact_id)
    sealed = {
        field: value for field in ("handle", "name", "profile", "post") if (value := getattr(person, field)) is not None
    }
    try:
        opened = await context.vault.open_many(person.institution, person.id, sealed) if sealed else {}
    except KeyErased:  # it is being erased at this moment
        raise NotFound from None
    return Shown(person, *(opened.get(field, "") for field in ("handle", "name", "profile", "post")))


@use_case
async def settle(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Do what follows from a contact that was made: note it in the ledger, decide its lead, close its other leads."""
    repository, ledger = Repository(context, institution), Ledger(context)
    person = await repository.people.get(contact_id)
    if person is None or person.due_at is None:
        return
    for mark in person.on_deployment:
        entry = await ledger.entry(mark)
        entry.note(person.cleared_at)
        await ledger.keep(entry)
    lead = await repository.leads.get(person.lead_id)
    if lead and lead.state == "waiting":
        lead.clear(person.id, person.cleared_by, person.cleared_at)
        await repository.leads.save(lead)
    await close_leads(repository, person.marks, person.cleared_at)
    person.due_at = None
    await repository.people.save(person)


async def settle_later(context: Context, person: Person) -> None:
    """Timer of a person: a crash may have come between the contact and what follows from it."""
    await settle(context, person.institution, person.id)


async def close_leads(repository: Repository, marks: Sequence[str], now: datetime) -> None:
    """Close all that waits of a person."""
    for mark in marks:
        for field in ("author", "also"):
            while waiting := (await repository.leads.find({field: mark, "state": "waiting"})).items:
                for lead in waiting:
                    lead.close(now)
                    await repository.leads.save(lead)


async def follow_consent(context: Context, event: Event[ConsentState]) -> None:
    """Keep where a contact stands: for the places of the case, and so that a no stays a no."""
    if isinstance(event, ErasureRequestedV1):
        await _erase_as_asked(context, event)
        return
    repository = Repository(context, event.institution)
    person = await repository.people.get(event.subject)
    if person is None:
        return
    if not person.take(event):
        await _agree(context, person, event.time)
        return
    if person.standing != "erased":
        before = person.standing
        if event.data.is_known:  # else it stays, so that what a newer release says never turns a no into a yes
            person.standing = standing_of(event.data)
        if person.standing in NO and person.said_no_at is None:
            person.said_no_at = event.time
            await _note_no(context, person, event.time)
        elif before in NO and person.standing not in NO and person.said_no_at:
            await _take_back_no(context, person, person.said_no_at)
            person.said_no_at = None
        await _keep_place(repository, person, event.time)
    await repository.people.save(person)


async def _agree(context: Context, person: Person, at: datetime) -> None:
    """Bring the ledger and the case's places in line with where the contact stands, after an event that counts no more.

    The event may be this handler's own second try: it noted a no (at `at`) or a place, and then another one, which
    handled a later event at the same time, saved first.
    """
    if person.said_no_at:
        await _note_no(context, person, person.said_no_at)
    if person.said_no_at != at:
        await _take_back_no(context, person, at)
    await _keep_place(Repository(context, person.institution), person, at)


async def _erase_as_asked(context: Context, event: ErasureRequestedV1) -> None:
    """Erase who a contact was, and say so only when it is true. Asked again, it says nothing twice.

    An erasure is final: it is done and answered also when a later event of the contact came first.
    """
    repository = Repository(context, event.institution)
    person = await repository.people.get(event.subject) or _unknown(event)
    erasure_id = event.data.consent.erasure_id or event.id
    if person.erasure_id == erasure_id:
        return
    if person.said_no_at is None:
        await _note_no(context, person, event.time)
        person.said_no_at = event.time
    person = await erase(context, person, event.time)
    person.take(event)
    person.erasure_id = erasure_id
    erased = DiscoveryErasedV1.of(
        person,
        person.erased(person.erasure_id),
        at=context.clock.now(),
        actor="system",
        cause=event,
    )
    await repository.people.save(person, erased)


async def erase(context: Context, person: Person, now: datetime) -> Person:
    """Leave nothing that says who a contact was: leads, sealed fields, the key, and the traces on disk.

    What stays is a tombstone, and marks that reveal nothing. The erasure ledger, which no backup of the data holds, is
    told of the leads and marks too: a restore of data from before the clearing must not bring the person back. It is
    told first: once the leads are wiped, nothing says any more whose they were.
    """
    repository = Repository(context, person.institution)
    leads = await _leads_of(repository, person)
    for owner in (person.id, *(f"{_LEAD}{lead}" for lead in leads), *(f"{_MARK}{mark}" for mark in person.marks)):
        await context.vault.erase(person.institution, owner)
    for lead_id in leads:
        await _wipe_lead(repository, lead_id, now)
    for mark in person.marks:
        await _suppress(repository, mark, now)
    person.wipe()
    await _keep_place(repository, person, now)
    person = await repository.people.put(person)
    await context.store.compact()
    return person


async def restore_erasure(context: Context, institution: InstitutionId, owner: str) -> None:
    """After a restore of data, erase again what the erasure ledger names: a contact, its leads, its marks."""
    repository, now = Repository(context, institution), context.clock.now()
    if owner.startswith(_WEEK):
        async for lead in repository.leads.all():
            if lead.week == owner and lead.content is not None:
                lead.lapse("undecided", now)
                await repository.leads.save(lead)
    elif owner.startswith(_LEAD):
        await _wipe_lead(repository, owner.removeprefix(_LEAD), now)
    elif owner.startswith(_MARK):
        await _suppress(repository, owner.removeprefix(_MARK), now)
        await close_leads(repository, [owner.removeprefix(_MARK)], now)
    elif (person := await repository.people.get(owner)) and person.standing != "erased":
        await erase(context, person, now)


async def _suppress(repository: Repository, mark: str, now: datetime) -> None:
    """See that the account of a mark is never asked again, without saying which contact it was."""
    bound = await repository.marks.get(mark)
    if bound is None:
        await repository.marks.insert(Mark(id=mark, institution=repository.institution, since=now))
    elif bound.contact_id:
        bound.contact_id = ""
        await repository.marks.save(bound)


async def _leads_of(repository: Repository, person: Person) -> set[str]:
    """Find every lead of a person, decided or not: their ids, which are marks."""
    ids = {person.lead_id} - {""}
    for mark in person.marks:
        for field in ("author", "also"):
            after: str | None = None
            while True:
                page = await repository.leads.find({field: mark}, after=after)
                ids.update(lead.id for lead in page.items)
                if (after := page.next) is None:
                    break
    return ids


async def _wipe_lead(repository: Repository, lead_id: str, now: datetime) -> None:
    if lead := await repository.leads.get(lead_id):
        if lead.state == "waiting":
            lead.close(now)
        if lead.content is not None or lead.marks:
            lead.wipe()
            await repository.leads.save(lead)


async def _keep_place(repository: Repository, person: Person, now: datetime) -> None:
    """Free the place in the case of one whose journey is over, and give it back if it goes on after all."""
    if not person.marks:
        return
    places, mark = await places_of(repository, person.case_id), person.marks[0]
    if person.over and places.free(mark):
        await keep_places(repository, places)
    elif not person.over and mark not in places.taken:
        places.put_back(mark, person.number, now)
        await keep_places(repository, places)


async def _note_no(context: Context, person: Person, at: datetime) -> None:
    ledger = Ledger(context)
    for mark in person.on_deployment:
        entry = await ledger.entry(mark)
        if at not in entry.said_no:
            entry.note_no(at)
            await ledger.keep(entry)


async def _take_back_no(context: Context, person: Person, at: datetime) -> None:
    ledger = Ledger(context)
    for mark in person.on_deployment:
        entry = await ledger.entry(mark)
        if at in entry.said_no:
            entry.take_back_no(at)
            await ledger.keep(entry)


def _unknown(event: ErasureRequestedV1) -> Person:
    """A tombstone for a contact that is not here any more, e.g. after a restore of older data."""
    contact = event.data.contact
    return Person(
        id=event.subject,
        institution=event.institution,
        case_id=contact.case_id,
        reference=contact.reference,
        number=0,
        names=NAMES,
        platform="other",
        language=contact.language,
        tutor_id=contact.tutor_id,
        marks=[],
        on_deployment=[],
        lead_id="",
        cleared_by="system",
        cleared_at=event.time,
        said_no_at=event.time,
    )


__all__ = ["Shown", "close_leads", "erase", "follow_consent", "restore_erasure", "settle", "settle_later", "show"]
