"""Times in few words, where many stand beside each other."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton

from firsthand.services.scheduling.model.slots import DAY_BEGINS, DAY_ENDS, is_night
from firsthand.shared.web.languages import Language

_MORNING: Final = 5  # o'clock


def short_time(words: Language, at: datetime, zone: str) -> str:
    """Weekday and time in another zone, e.g. `Tue 18:00`: there it may be another day."""
    weekday = format_date(at.astimezone(ZoneInfo(zone)).date(), "EEE", locale=words.locale)
    return f"{weekday} {words.time(at, zone)}"


def short_when(words: Language, at: datetime, zone: str) -> str:
    """Weekday, day and time, e.g. `Tue, Mar 3, 18:00`, each joined as the language does."""
    day = format_skeleton("MMMEd", at, tzinfo=ZoneInfo(zone), locale=words.locale)
    return f"{day} · {words.time(at, zone)}"


def part_of_night(words: Language, at: datetime, zone: str) -> str:
    """Mark a time that is asked about twice; empty for one by day."""
    local = ZoneInfo(zone)
    if not is_night(at, local):
        return ""
    hour = at.astimezone(local).hour
    if _MORNING <= hour < DAY_BEGINS.hour:
        return words.gettext("early morning")
    return words.gettext("late evening") if hour >= DAY_ENDS.hour else words.gettext("at night")


__all__ = ["part_of_night", "short_time", "short_when"]
