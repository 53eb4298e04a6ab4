"""Where a meeting takes place. Every provider is behind one interface, so that a service like Zoom joins beside a link
of one's own without a change elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from firsthand.services.scheduling.model.room import ProviderName, Room
from firsthand.shared.identifiers import InstitutionId


@dataclass(frozen=True)
class Booking:
    """What a provider knows of a meeting. Nothing personal."""

    institution: InstitutionId
    contact_id: str  # with it a provider recognises the meeting that it was asked for before
    case_id: str
    tutor_id: str
    starts_at: datetime
    ends_at: datetime


class MeetingProvider(Protocol):
    """Makes rooms. Each call may be repeated (delivery is at least once) and must then do nothing new.

    Raises `Transient` where trying again may help, `Hopeless` where it cannot.
    """

    name: ProviderName

    async def create(self, booking: Booking) -> Room: ...

    async def change(self, room: Room, booking: Booking) -> Room:
        """Move the meeting to the booking's time; the room may stay the same."""
        ...

    async def cancel(self, institution: InstitutionId, room: Room) -> None: ...

    async def join_url(self, institution: InstitutionId, room: Room) -> str:
        """The current address to join; empty while there is none."""
        ...


__all__ = ["Booking", "MeetingProvider"]
