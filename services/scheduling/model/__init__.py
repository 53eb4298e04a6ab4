"""The pure part: documents, their changes and the refusals. No I/O, no clock."""

from services.scheduling.model.availability import Availability, AvailabilityRules, WeeklyHours, availability_id
from services.scheduling.model.calendar import Calendar, Reservation, SlotTaken
from services.scheduling.model.letters import Letter
from services.scheduling.model.meeting import Meeting, NotHeldBecause, Participant, ReachBy
from shared.refused import NotFound, Refused

__all__ = [
    "Availability",
    "AvailabilityRules",
    "Calendar",
    "Letter",
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
