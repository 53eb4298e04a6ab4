"""A tutor decides on a lead: clear it, which begins a journey, or refuse it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from firsthand.services.discovery.handlers.cases import keep_places, places_of
from firsthand.services.discovery.handlers.people import close_leads, settle
from firsthand.services.discovery.model.authors import Who, authors, spelled_in, who_is
from firsthand.services.discovery.model.cases import Case, Place
from firsthand.services.discovery.model.leads import Clearing, Content, Gone, Lead, RefusalReason, Week
from firsthand.services.discovery.model.people import NAMES, Mark, Person, not_available, open_to_all
from firsthand.services.discovery.repository import Ledger, Repository
from firsthand.shared.copies import institution_of
from firsthand.shared.events.discovery import ContactDiscoveredV1
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import new_id
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import AlreadyExists
from firsthand.shared.texts import N_

# How long after the contact was made the timer finishes what a crash may have left of a clearing.
_SETTLE_AFTER = timedelta(seconds=5)


@use_case
async def clear(context: Context, staff: Staff, lead_id: str, clearing: Clearing) -> Person:
    """Make the lead's author a contact. The same lead again gives the same contact.

    Raises Refused (and Conflict, AlreadyExists when somebody else was at it: try again). Of the steps before the
    contact each may be repeated, and each lapses by itself if this process dies in between.
    """
    repository, ledger, now = Repository(context, staff.institution), Ledger(context), context.clock.now()
    lead = await repository.lead(lead_id)
    if lead.state == "cleared":
        return await repository.person(lead.contact_id)
    lead.must_wait()
    case = await repository.case(lead.case_id)
    policy = await _checked(context, case, clearing)
    who = who_is(lead, await repository.content_of(lead), clearing.profile)
    language = _language(case, lead, clearing)
    marks, on_deployment = repository.marks_of(who.accounts), ledger.marks_of(who.accounts)
    earlier = await repository.marked_earlier(who.accounts, who.spelled)

    bound, there = await _bound_to(repository, marks, earlier, now)
    if there and there.lead_id != lead.id:
        raise not_available()
    contact = there
    if contact is None:
        # Nobody is asked again too early because a clock is ahead.
        cool_off, sure = timedelta(days=policy.cool_off_days), context.trusted.sure()
        if not open_to_all(await ledger.entries_of(who.accounts, who.spelled), marks[0], cool_off, sure):
            raise not_available()
        await _take_on_deployment(ledger, on_deployment, marks[0], cool_off, sure)
        place = await _take_place(repository, case, marks[0], policy.active_contacts_a_case, now)
        await _bind(repository, bound)
        contact = await _make(
            context,
            who,
            Person(
                id=bound[0].contact_id,
                institution=staff.institution,
                due_at=now + _SETTLE_AFTER,
                case_id=case.id,
                reference=f"{case.prefix}-{place.number:03d}",
                number=place.number,
                names=NAMES,
                platform=who.platform,
                language=language,
                tutor_id=_tutor(staff, case),
                marks=marks,
                on_deployment=on_deployment,
                lead_id=lead.id,
                cleared_by=staff.person_id,
                cleared_at=now,
            ),
        )
    contact_id = contact.id
    await settle(context, staff.institution, contact_id)
    return contact


async def is_available(context: Context, staff: Staff, lead: Lead, content: Content) -> bool | None:
    """Return whether the author could be contacted now; None when the platform does not say who it is."""
    repository, ledger = Repository(context, staff.institution), Ledger(context)
    accounts, spelled = authors(lead.platform, content), spelled_in(content.permalink)
    policy = await institution_of(context, staff.institution)
    if not accounts or policy is None:
        return None
    if await repository.asked_before(accounts, spelled):
        return False
    cool_off, sure = timedelta(days=policy.cool_off_days), context.trusted.sure()
    mark = repository.marks_of(accounts)[0]
    return open_to_all(await ledger.entries_of(accounts, spelled), mark, cool_off, sure)


@use_case
async def refuse(context: Context, staff: Staff, lead_id: str, reason: RefusalReason) -> Lead:
    """Refuse a lead; when the reason is about the person, nothing of that person is shown again."""
    repository, now = Repository(context, staff.institution), context.clock.now()
    lead = await repository.lead(lead_id)
    content = await repository.content_of(lead)
    named = repository.marks_of(authors(lead.platform, content)) if content else []
    marks = list(dict.fromkeys([*named, *lead.marks]))
    if lead.refuse(reason, staff.person_id, now):
        for mark in marks:
            if await repository.marks.get(mark) is None:
                names = NAMES if mark in named else None
                await repository.marks.insert(Mark(id=mark, institution=staff.institution, since=now, names=names))
        lead = await repository.leads.save(lead)
        await close_leads(repository, marks, now)
        return lead
    return await repository.leads.save(lead)


async def lapse(context: Context, lead: Lead) -> None:
    """Timer of a lead: nobody decided in 30 days."""
    if lead.state == "waiting":
        lead.lapse("undecided", context.clock.now())
    lead.due_at = None
    await Repository(context, lead.institution).leads.save(lead)


async def forget(context: Context, gone: Gone) -> None:
    """Timer of a remembered deletion: what it concerned would have lapsed by now."""
    await Repository(context, gone.institution).gone.delete(gone)


async def end_week(context: Context, week: Week) -> None:
    """Timer of a week: nothing found in it waits any more, so its key is destroyed."""
    repository, now = Repository(context, week.institution), context.clock.now()
    after: str | None = None
    while True:
        page = await repository.leads.find(
            {"case_id": week.case_id, "state": "waiting"}, sort="posted_at", limit=200, after=after
        )
        for lead in page.items:
            if lead.week == week.id:
                lead.lapse("undecided", now)
                await repository.leads.save(lead)
        if (after := page.next) is None:
            break
    await context.vault.erase(week.institution, week.id)
    await repository.weeks.delete(week)


async def _checked(context: Context, case: Case, clearing: Clearing) -> InstitutionState:
    """Check all that does not concern who it is. Raises Refused; gives the institution's policies."""
    clearing.checks.require()
    case.may_contact(context.clock.now())
    policy = await institution_of(context, case.institution)
    if policy is None:
        raise Refused(
            "no-policy",
            N_("Nothing was changed. Try again in a moment."),
            title=N_("Your institution's rules are not available yet"),
            kind="unavailable",
        )
    return policy


def _language(case: Case, lead: Lead, clearing: Clearing) -> str:
    """The language to write in: the one that is said, else the post's, if the case has texts in it."""
    language = clearing.language or lead.language
    if language not in case.details.languages:
        raise Refused(
            "language",
            N_("Choose one of the case's languages."),
            title=N_("Which language do they read?"),
            kind="invalid",
            fields={"language": N_("Choose one of the case's languages.")},
        )
    return language


def _tutor(staff: Staff, case: Case) -> str:
    """Who guides the contact: who clears it, unless that is no tutor."""
    if staff.person_id in case.details.tutors or "tutor" in staff.roles or not case.details.tutors:
        return staff.person_id
    return case.details.tutors[0]


async def _bound_to(
    repository: Repository, marks: Sequence[str], earlier: Sequence[str], now: datetime
) -> tuple[list[Mark], Person | None]:
    """The marks of these accounts, all bound to one contact: one there (given too), or one that may now be made.

    `earlier`: marks of the same accounts that an earlier release made. Nothing is stored. Raises Refused when one of
    them is never to be asked.
    """
    known = [bound for mark in (*marks, *earlier) if (bound := await repository.marks.get(mark))]
    for bound in known:
        if not bound.contact_id:
            raise not_available()
        if person := await repository.people.get(bound.contact_id):
            return known, person
    contact_id = known[0].contact_id if known else new_id()
    found = {bound.id: bound for bound in known}
    for mark in marks:
        made = Mark(id=mark, institution=repository.institution, since=now, names=NAMES)
        found.setdefault(mark, made).contact_id = contact_id
    return [found[mark] for mark in marks], None


async def _take_on_deployment(
    ledger: Ledger, marks: Sequence[str], holder: str, cool_off: timedelta, now: datetime
) -> None:
    """Hold the accounts across all institutions for this clearing. Raises Refused."""
    for mark in marks:
        entry = await ledger.entry(mark)
        entry.names = entry.names if entry.version else NAMES
        entry.take_for(holder, cool_off, now)
        await ledger.keep(entry)


async def _take_place(repository: Repository, case: Case, mark: str, limit: int, now: datetime) -> Place:
    """Take a place and number in the case. Raises Refused when all places are taken by contacts that are there."""
    places = await places_of(repository, case.id)
    if mark not in places.taken and len(places.taken) >= limit:
        places.free(*[old for old in places.doubtful(now) if not await _on_the_way(repository, case, old)])
    place = places.take_place(mark, limit, now)
    await keep_places(repository, places)
    return place


async def _on_the_way(repository: Repository, case: Case, mark: str) -> bool:
    bound = await repository.marks.get(mark)
    person = await repository.people.get(bound.contact_id) if bound and bound.contact_id else None
    return person is not None and person.case_id == case.id and not person.over


async def _bind(repository: Repository, bound: Sequence[Mark]) -> None:
    """Store the marks as they were bound. Of several clearings of one person, the first one's contact is everybody's:
    the others raise AlreadyExists or Conflict, and find it when they try again.
    """
    for mark in bound:
        await repository.marks.put(mark)


async def _make(context: Context, who: Who, person: Person) -> Person:
    """Store the contact with the event that starts its journey. Raises AlreadyExists when somebody was faster."""
    people = Repository(context, person.institution).people
    if await people.get(person.id) is not None:
        raise AlreadyExists(f"contact {person.id} is there already")
    sealed = await context.vault.seal_many(
        person.institution,
        person.id,
        {"handle": who.handle, "name": who.name, "profile": who.profile, "post": who.post},
    )
    person.handle, person.name = sealed["handle"], sealed["name"]
    person.profile, person.post = sealed["profile"], sealed["post"]
    event = ContactDiscoveredV1.of(
        person,
        person.said(),
        at=person.cleared_at,
        actor=person.cleared_by,
    )
    return await people.insert(person, event)


__all__ = ["clear", "end_week", "forget", "is_available", "lapse", "refuse"]
