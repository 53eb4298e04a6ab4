"""A meeting room of the institution's own: the link that the tutor wrote into their availability."""

from firsthand.services.scheduling.model import availability_id
from firsthand.services.scheduling.model.room import ProviderName, Room
from firsthand.services.scheduling.providers import Booking
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context


class OwnLink:
    """Keeps no link of its own: a tutor who changes theirs changes it for every planned meeting."""

    name: ProviderName = "own-link"

    def __init__(self, context: Context) -> None:
        self._context = context

    async def create(self, booking: Booking) -> Room:
        return Room(provider=self.name, reference=availability_id(booking.case_id, booking.tutor_id))

    async def change(self, room: Room, booking: Booking) -> Room:
        return await self.create(booking) if room.provider != self.name else room

    async def cancel(self, institution: InstitutionId, room: Room) -> None:
        """Nothing to do: the room is the institution's."""

    async def join_url(self, institution: InstitutionId, room: Room) -> str:
        availability = await Scheduling(self._context, institution).availability_by_id(room.reference)
        return availability.rules.join_url if availability else ""


__all__ = ["OwnLink"]
