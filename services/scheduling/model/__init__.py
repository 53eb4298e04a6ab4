"""The pure part: documents, their changes and the refusals. No I/O, no clock."""

from firsthand.services.scheduling.model.availability import (
    Availability,
    AvailabilityRules,
    WeeklyHours,
    availability_id,
)
from firsthand.services.scheduling.model.calendar import Calendar, Reservation, SlotTaken
from firsthand.services.scheduling.model.letters import Letter
from firsthand.services.scheduling.model.meeting import MailTrouble, Meeting, NotHeldBecause, Participant, ReachBy
from firsthand.shared.refused import NotFound, Refused

__all__ = [
    "Availability",
    "AvailabilityRules",
    "Calendar",
    "Letter",
    "MailTrouble",
    "Meeting",
    "NotFound",
    "NotHeldBecause",
    "Participant",
    "ReachBy",
    "Refused",
    "Reservation",
    "SlotTaken",
    "WeeklyHours",
    "availability_id",
]
