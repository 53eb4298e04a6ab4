"""The personal link: from its token to the journey, and to a short family session."""

from firsthand.services.consent.model import Journey
from firsthand.services.consent.repository import Journeys, Links
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context


async def journey_behind(context: Context, institution: InstitutionId, token: str) -> Journey | None:
    """The journey that this link opens; None for every reason alike, so that a guess learns nothing."""
    links = Links(context, institution)
    contact_id = await links.contact_of(token)
    journey = await Journeys(context, institution).get(contact_id) if contact_id else None
    return journey if journey and journey.link_id == links.id_of(token) and journey.opens else None


def session_for(context: Context, journey: Journey) -> str:
    """A family session of 15 minutes."""
    assert context.issuer is not None, "consent signs the families' sessions"
    language = journey.consent.language if journey.consent.granted_at else journey.contact.language
    return context.issuer.family(journey.institution, journey.id, language=language)
