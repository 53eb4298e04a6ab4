"""What a person's first page shows."""

from datetime import timedelta

from firsthand.services.portal.model.journey import Journey
from firsthand.services.portal.model.today import OPEN, Today, today
from firsthand.services.portal.repository import Institutions, Journeys
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff

_OF_A_STAGE = 200  # journeys looked at; who has more to do than this sees the earliest moved last


async def today_of(context: Context, staff: Staff) -> Today:
    """A coordinator's day has everybody's tasks; a tutor's those of the contacts that it guides."""
    institution = await Institutions(context, staff.institution).demand()
    journeys = Journeys(context, staff.institution)
    guide = None if "coordinator" in staff.roles else staff.person_id
    found: list[Journey] = []
    for stage in OPEN:
        found += (await journeys.find(stage=stage, tutor_id=guide, limit=_OF_A_STAGE)).items
    patience = timedelta(days=institution.state.reminder_after_days)
    return today(found, context.clock.now(), reminder_after=patience)
