"""Which provider makes the rooms of meetings."""

from firsthand.services.scheduling.model import Meeting, Reservation
from firsthand.services.scheduling.model.room import Room
from firsthand.services.scheduling.providers import Booking, MeetingProvider
from firsthand.services.scheduling.providers.own_link import OwnLink
from firsthand.shared.service import Context


def provider_of(context: Context) -> MeetingProvider:
    """The provider of new meetings. There is one kind so far; an institution's choice will be looked up here."""
    return OwnLink(context)


async def room_for(context: Context, meeting: Meeting, reservation: Reservation) -> Room:
    """Make the room for a reserved time, or move the one that the meeting has."""
    booking = Booking(
        institution=meeting.institution,
        contact_id=meeting.id,
        case_id=meeting.contact.case_id,
        tutor_id=meeting.tutor_id,
        starts_at=reservation.starts_at,
        ends_at=reservation.ends_at,
    )
    provider = provider_of(context)
    return await provider.change(meeting.room, booking) if meeting.room else await provider.create(booking)


async def join_url(context: Context, meeting: Meeting) -> str:
    """The current address to join; empty while unknown."""
    return await provider_of(context).join_url(meeting.institution, meeting.room) if meeting.room else ""


__all__ = ["join_url", "provider_of", "room_for"]
