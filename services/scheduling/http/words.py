"""Times in few words, where many stand beside each other."""

from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton

from firsthand.shared.web.languages import Language


def short_time(words: Language, at: datetime, zone: str) -> str:
    """Weekday and time in another zone, e.g. `Tue 18:00`: there it may be another day."""
    weekday = format_date(at.astimezone(ZoneInfo(zone)).date(), "EEE", locale=words.locale)
    return f"{weekday} {words.time(at, zone)}"


def short_when(words: Language, at: datetime, zone: str) -> str:
    """Weekday, day and time, e.g. `Tue, Mar 3, 18:00`, each joined as the language does."""
    day = format_skeleton("MMMEd", at, tzinfo=ZoneInfo(zone), locale=words.locale)
    return f"{day} · {words.time(at, zone)}"


__all__ = ["short_time", "short_when"]
