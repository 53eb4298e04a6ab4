"""Lists of what a person of the institution may see (`shared.acting`)."""

from collections.abc import Sequence

from firsthand.services.consent.model import Journey, Step
from firsthand.services.consent.repository import Journeys
from firsthand.shared.acting import Sight
from firsthand.shared.copies import cases_of
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import AnyOf, OneOf, Page


async def sight_of(context: Context, staff: Staff) -> Sight:
    return Sight.of(staff, await cases_of(context, staff.institution))


async def page_of(
    context: Context, staff: Staff, sight: Sight, steps: Sequence[Step], *, after: str | None, limit: int
) -> Page[Journey]:
    """A page of those seen at these steps, the latest moved first. Raises Refused, NoSuchPlace."""
    return await Journeys(context, staff.institution).page(_at(sight, steps), after=after, limit=limit)


async def count_of(context: Context, staff: Staff, sight: Sight, steps: Sequence[Step]) -> int:
    """How many are seen at these steps. Raises Refused."""
    return await Journeys(context, staff.institution).count(_at(sight, steps))


def _at(sight: Sight, steps: Sequence[Step]) -> AnyOf:
    return sight.where({"step": OneOf.of(steps)})


__all__ = ["count_of", "page_of", "sight_of"]
