"""A tutor's calendar: the reservations of its horizon in one document, so that a booking is one versioned write."""

from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.services.scheduling.model.slots import Slot
from firsthand.shared.events.scheduling import CalendarState, ReservationState
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document
from firsthand.shared.texts import N_

# What ended this long ago leaves the calendar with its next save.
_KEPT_AFTER_THE_END = timedelta(days=1)


class SlotTaken(Refused):
    """Somebody else has this time."""

    def __init__(self) -> None:
        super().__init__("slot-taken", N_("Someone has just taken this time. Choose another one."))


class Reservation(BaseModel):
    """One stretch of the tutor's time, for one contact."""

    model_config = ConfigDict(frozen=True)

    contact_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    # The version of the contact's meeting that was read when this was reserved: a cancellation saved later voids it.
    knew: int = 0

    @property
    def slot(self) -> Slot:
        return Slot(self.starts_at, self.ends_at)


class Calendar(Document):
    """What is reserved of a tutor's time; id = the tutor's person id. A contact has one reservation at most."""

    kind: ClassVar[str] = "calendar"

    reservations: list[Reservation] = []

    def of(self, contact_id: str) -> Reservation | None:
        return next((one for one in self.reservations if one.contact_id == contact_id), None)

    def taken(self, *, but: str = "") -> list[Slot]:
        """What is reserved, leaving out the contact `but`, who may move."""
        return [one.slot for one in self.reservations if one.contact_id != but]

    def reserve(self, contact_id: str, slot: Slot, *, knew: int, buffer: timedelta, now: datetime) -> None:
        """Reserve a time, in place of the contact's former one. Raises SlotTaken."""
        if any(slot.meets(other, buffer) for other in self.taken(but=contact_id)):
            raise SlotTaken
        mine = Reservation(contact_id=contact_id, starts_at=slot.starts_at, ends_at=slot.ends_at, knew=knew)
        kept = [one for one in self.reservations if one.contact_id != contact_id]
        self.reservations = sorted([*_current(kept, now), mine], key=lambda one: one.starts_at)

    def free(self, contact_id: str, *, voids: int | None, now: datetime) -> bool:
        """Set the contact's time free if it was reserved before the meeting's version `voids` (None: whenever).

        False if there was none.
        """
        kept = [
            one
            for one in self.reservations
            if one.contact_id != contact_id or (voids is not None and one.knew >= voids)
        ]
        changed = len(kept) != len(self.reservations)
        if changed:
            self.reservations = _current(kept, now)
        return changed

    def state(self) -> CalendarState:
        return CalendarState(
            tutor_id=self.id,
            reservations=[ReservationState.model_validate(one.model_dump()) for one in self.reservations],
        )


def _current(reservations: list[Reservation], now: datetime) -> list[Reservation]:
    """Leave out what is over by `now`, the time that surely is: what is left out can be booked by another."""
    return [one for one in reservations if one.ends_at + _KEPT_AFTER_THE_END > now]
