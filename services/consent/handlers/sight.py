"""Which contacts a person of the institution may see: a coordinator all, a tutor those that they guide and those of
their cases. Decided here for one contact and for lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from firsthand.services.consent.model import Journey, Step
from firsthand.services.consent.repository import Journeys
from firsthand.shared.copies import case_of, cases_of
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, AnyOf, OneOf, Page
from firsthand.shared.texts import N_

_SEES_ALL = frozenset({"coordinator", "machine"})


async def may_see(context: Context, staff: Staff, journey: Journey) -> bool:
    if staff.roles & _SEES_ALL or journey.contact.tutor_id == staff.person_id:
        return True
    case = await case_of(context, staff.institution, journey.case_id)
    return case is not None and staff.person_id in case.tutors


@dataclass(frozen=True)
class Sight:
    """What one person may see, as a question to the store."""

    institution: InstitutionId
    tutor_id: str | None  # None: sees all
    cases: tuple[str, ...] = ()

    def of(self, steps: Sequence[Step]) -> AnyOf:
        """What is seen at these steps. Raises Refused where that is more than one question takes."""
        step = OneOf.of(steps)
        if self.tutor_id is None:
            return AnyOf(({"step": step},))
        if len(steps) * (1 + len(self.cases)) > MOST_VALUES:
            raise Refused(
                "too-many-cases", N_("You have too many cases for one list of all. Ask for one state."), kind="invalid"
            )
        return AnyOf(({"tutor_id": self.tutor_id, "step": step}, {"case_id": OneOf.of(self.cases), "step": step}))


async def sight_of(context: Context, staff: Staff) -> Sight:
    if staff.roles & _SEES_ALL:
        return Sight(staff.institution, None)
    cases = await cases_of(context, staff.institution)
    taught = tuple(case.case_id for case in cases if staff.person_id in case.tutors)
    return Sight(staff.institution, staff.person_id, taught)


async def page_of(
    context: Context, sight: Sight, steps: Sequence[Step], *, after: str | None, limit: int
) -> Page[Journey]:
    """A page of those seen at these steps, the latest moved first. Raises Refused, NoSuchPlace."""
    return await Journeys(context, sight.institution).page(sight.of(steps), after=after, limit=limit)


async def count_of(context: Context, sight: Sight, steps: Sequence[Step]) -> int:
    """How many are seen at these steps. Raises Refused."""
    return await Journeys(context, sight.institution).count(sight.of(steps))


__all__ = ["Sight", "count_of", "may_see", "page_of", "sight_of"]
