"""Which contacts a person of the institution may see: a coordinator all, a tutor those that they guide and those of
their cases. Decided here for one contact and for lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from firsthand.services.consent.model import Journey, Step
from firsthand.services.consent.repository import Journeys
from firsthand.shared.copies import case_of, cases_of
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, OneOf, Page, Where

_SEES_ALL = frozenset({"coordinator", "machine"})


async def may_see(context: Context, staff: Staff, journey: Journey) -> bool:
    if staff.roles & _SEES_ALL or journey.contact.tutor_id == staff.person_id:
        return True
    case = await case_of(context, staff.institution, journey.case_id)
    return case is not None and staff.person_id in case.tutors


@dataclass(frozen=True)
class Sight:
    """What one person may see, as conditions of the store."""

    institution: InstitutionId
    tutor_id: str | None  # None: sees all
    cases: tuple[str, ...] = ()

    def of(self, steps: Sequence[Step]) -> list[Where]:
        """The conditions of what is seen at these steps: what fits any of them."""
        step = OneOf.of(steps)
        if self.tutor_id is None:
            return [{"step": step}]
        return [{"tutor_id": self.tutor_id, "step": step}, *self._of_cases(step)]

    def twice(self, steps: Sequence[Step]) -> list[Where]:
        """The conditions of what fits two of those: whom one guides in a case of one's own."""
        own = {"tutor_id": self.tutor_id}
        return [] if self.tutor_id is None else [{**where, **own} for where in self._of_cases(OneOf.of(steps))]

    def _of_cases(self, step: OneOf) -> list[Where]:
        at_once = max(1, MOST_VALUES // len(step.values))
        groups = [self.cases[n : n + at_once] for n in range(0, len(self.cases), at_once)]
        return [{"case_id": OneOf.of(group), "step": step} for group in groups]


async def sight_of(context: Context, staff: Staff) -> Sight:
    if staff.roles & _SEES_ALL:
        return Sight(staff.institution, None)
    cases = await cases_of(context, staff.institution)
    taught = tuple(case.case_id for case in cases if staff.person_id in case.tutors)
    return Sight(staff.institution, staff.person_id, taught)


async def page_of(
    context: Context, sight: Sight, steps: Sequence[Step], *, after: str | None, limit: int
) -> Page[Journey]:
    """A page of those seen at these steps, the latest moved first. Raises NoSuchPlace."""
    return await Journeys(context, sight.institution).page(sight.of(steps), after=after, limit=limit)


async def count_of(context: Context, sight: Sight, steps: Sequence[Step]) -> int:
    """How many are seen at these steps."""
    journeys = Journeys(context, sight.institution)
    return await journeys.count(sight.of(steps)) - await journeys.count(sight.twice(steps))
