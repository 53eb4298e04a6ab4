"""The journeys: entering what happened, and finding them."""

from dataclasses import dataclass

from firsthand.services.portal.model.journey import STAGES, Journey, Stage
from firsthand.services.portal.repository import Journeys, cases_of
from firsthand.shared.acting import Responsible, leads
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, AnyOf, OneOf, Where
from firsthand.shared.texts import N_


async def enter_event(context: Context, event: AnyEvent) -> None:
    """Enter what happened to a contact into its journey, which the first of its events begins, whichever that is."""
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.subject) or Journey(
        id=event.subject, institution=event.institution, moved_at=event.time
    )
    if journey.enter(event):
        await journeys.save(journey)


async def note_todo(_context: Context, journey: Journey) -> None:
    """Note what a journey of an older release asks of staff."""
    journey.note_todo()


@dataclass(frozen=True)
class Sight:
    """What one person may see: the open eye of a coordinator, or a tutor's cases."""

    cases: dict[str, CaseState]  # by case id
    all: bool
    person_id: str

    def of(self, journey: Journey) -> bool:
        return self.all or journey.case_id in self.cases or journey.tutor_id == self.person_id

    def where(self, stage: Stage | None = None, case_id: str | None = None) -> Where | AnyOf:
        """Ask for the journeys that this person may see, as `of` decides for one. Raises Refused (404) for a case that
        it may not, and for more cases than one list can hold.
        """
        stages = stage or OneOf(STAGES)
        if case_id:
            if case_id not in self.cases:
                raise NotFound
            return {"case_id": case_id, "stage": stage} if stage else {"case_id": case_id}
        if self.all:
            return {"stage": stages}
        if len(self.cases) + len(STAGES) > MOST_VALUES:
            raise Refused.of_field("case", N_("You teach too many cases to show in one list. Choose one case."))
        of_cases: Where = {"case_id": OneOf.of(self.cases)}
        if stage:
            of_cases = {**of_cases, "stage": stage}
        return AnyOf((of_cases, {"tutor_id": self.person_id, "stage": stages}))


async def sight_of(context: Context, staff: Staff) -> Sight:
    """What this person may see, by the one rule (`shared.acting`)."""
    cases = await cases_of(context, staff.institution)
    return Sight(
        {case.case_id: case for case in cases if Responsible(case.tutors).include(staff)}, leads(staff), staff.person_id
    )


@dataclass(frozen=True)
class Board:
    """Journeys as the list shows them, with how many there are at each stage, and where the next page begins."""

    journeys: list[Journey]
    counts: dict[Stage, int]
    next: str | None
    cases: dict[str, CaseState]


async def board(
    context: Context,
    staff: Staff,
    *,
    stage: Stage | None = None,
    case_id: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Board:
    """The journeys that this person may see, the last moved first. Raises Refused as `Sight.where`."""
    sight = await sight_of(context, staff)
    page = await Journeys(context, staff.institution).find(sight.where(stage, case_id), after=after, limit=limit)
    return Board(page.items, await counts_of(context, staff, sight, case_id=case_id), page.next, sight.cases)


async def counts_of(context: Context, staff: Staff, sight: Sight, *, case_id: str | None = None) -> dict[Stage, int]:
    """How many journeys there are at each stage, of those that this person may see."""
    journeys = Journeys(context, staff.institution)
    return {stage: await journeys.count(sight.where(stage, case_id)) for stage in STAGES}


async def journey_of(context: Context, institution: InstitutionId, contact_id: str) -> Journey:
    """Raises Refused (404)."""
    journey = await Journeys(context, institution).get(contact_id)
    if journey is None:
        raise NotFound
    return journey


async def has_entry(context: Context, institution: InstitutionId, contact_id: str, event_id: str) -> Journey | None:
    """The journey, once an event is entered in it."""
    journey = await Journeys(context, institution).get(contact_id)
    return journey if journey and any(entry.id == event_id for entry in journey.timeline) else None
