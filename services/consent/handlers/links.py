"""The personal link: from its token to the journey, and to a short family session."""

from contextlib import suppress

from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import PageLock
from firsthand.services.consent.repository import Journeys, Links
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family
from firsthand.shared.store import AlreadyExists


async def journey_behind(context: Context, institution: InstitutionId, token: str) -> Journey | None:
    """The journey that this link opens; None for every reason alike, so that a guess learns nothing."""
    links = Links(context, institution)
    contact_id = await links.contact_of(token)
    journey = await Journeys(context, institution).get(contact_id) if contact_id else None
    return journey if journey and journey.link_id == links.id_of(token) and journey.opens else None


async def lock(context: Context, family: Family) -> None:
    """End the session of this family's device in every service. Raises nothing where that was done before."""
    if family.session_id:
        with suppress(AlreadyExists):
            await Links(context, family.institution).lock(family.session_id)


async def is_locked(context: Context, institution: InstitutionId, session_id: str) -> bool:
    """Return whether the session of a device was locked, so that nothing renews it."""
    return await Links(context, institution).locks.get(session_id) is not None


async def forget_lock(context: Context, locked: PageLock) -> None:
    """Timer of a lock: its session can no longer be renewed."""
    await Links(context, locked.institution).locks.delete(locked)


def session_for(context: Context, journey: Journey, session_id: str) -> str:
    """A family session of 15 minutes, of this device."""
    assert context.issuer is not None, "consent signs the families' sessions"
    language = journey.consent.language if journey.consent.granted_at else journey.contact.language
    return context.issuer.family(journey.institution, journey.id, language=language, session_id=session_id)
