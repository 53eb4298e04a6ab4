"""The use cases of evidence: all journeys that somebody may see as a table, and an institution's numbers by year."""

from collections import Counter
from collections.abc import AsyncIterator

from firsthand.services.portal.handlers.journeys import sight_of
from firsthand.services.portal.model.evidence import COLUMNS, FIGURES, figure_rows, figures_of, row_of
from firsthand.services.portal.repository import Institutions, Journeys
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff


async def journeys_as_rows(context: Context, staff: Staff) -> AsyncIterator[list[str]]:
    """The columns' names, then one row for each journey that this person may see, by id: so none is missed that moves
    meanwhile.
    """
    sight = await sight_of(context, staff)
    yield list(COLUMNS)
    async for journey in Journeys(context, staff.institution).all():
        if sight.of(journey):
            yield row_of(journey, sight.cases.get(journey.case_id))


async def figures_as_rows(context: Context, staff: Staff) -> list[list[str]]:
    """The columns' names, then one row for each year, of all the institution's journeys."""
    institution = await Institutions(context, staff.institution).get()
    zone = institution.state.zone if institution else "UTC"
    found: Counter[tuple[int, str]] = Counter()
    async for journey in Journeys(context, staff.institution).all():
        found.update(figures_of([journey], zone))
    return [list(FIGURES), *figure_rows(found)]


__all__ = ["figures_as_rows", "journeys_as_rows"]
