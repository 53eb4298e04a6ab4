"""What the doors of consent share: the context of a request, and who may see a journey."""

from fastapi import Request

from firsthand.services.consent.handlers.sight import may_see
from firsthand.services.consent.model import Journey
from firsthand.services.consent.repository import Journeys
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def guided(context: Context, staff: Staff, contact_id: str) -> Journey:
    """The journey, if this person may see it; else 404, as if it were not there."""
    journey = await Journeys(context, staff.institution).get(contact_id)
    if journey is None or not await may_see(context, staff, journey):
        raise NotFound
    return journey
