"""Journeys as evidence: a row for each, and numbers for each year. Nothing that names anybody. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from firsthand.services.portal.model.journey import Journey
from firsthand.shared.events.discovery import CaseState

# What happened, by the column that shows when it did for the first time.
_HAPPENED: Final[Mapping[str, str]] = {
    "cleared": "contact.discovered",
    "asked": "invitation.sent",
    "answered": "invitation.answered",
    "link": "invitation.linked",
    "agreed": "consent.granted",
    "declined": "consent.declined",
    "met": "meeting.finished",
    "recorded": "recording.archived",
    "released": "recording.published",
    "withdrawn": "consent.withdrawn",
    "deleted": "erasure.completed",
}
COLUMNS: Final = ("reference", "contact_id", "case", "title", "language", "stage", *_HAPPENED)
FIGURES: Final = ("year", *_HAPPENED)
_COLUMN_OF: Final = {f"firsthand.{name}.v1": column for column, name in _HAPPENED.items()}
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # with these a spreadsheet takes a text for something to compute


def times_of(journey: Journey) -> dict[str, datetime]:
    """When each of it happened for the first time, by column."""
    found: dict[str, datetime] = {}
    for entry in journey.timeline:  # the earliest first
        if column := _COLUMN_OF.get(entry.type):
            found.setdefault(column, entry.time)
    return found


def row_of(journey: Journey, case: CaseState | None) -> list[str]:
    """One journey, by `COLUMNS`; times in UTC, as ISO 8601."""
    times = times_of(journey)
    texts = [
        journey.reference,
        journey.id,
        case.prefix if case else journey.case_id,
        case.title if case else "",
        journey.language,
        journey.stage,
    ]
    return [*map(_as_text, texts), *(times[name].isoformat() if name in times else "" for name in _HAPPENED)]


def figures_of(journeys: Iterable[Journey], zone: str) -> Counter[tuple[int, str]]:
    """How often each of it happened in a year of the institution's clock: journeys, not acts."""
    here = ZoneInfo(zone)
    return Counter(
        (at.astimezone(here).year, column) for journey in journeys for column, at in times_of(journey).items()
    )


def figure_rows(figures: Mapping[tuple[int, str], int]) -> list[list[str]]:
    """A row for each year, by `FIGURES`, the last year first."""
    years = sorted({year for year, _ in figures}, reverse=True)
    return [[str(year), *(str(figures.get((year, column), 0)) for column in _HAPPENED)] for year in years]


def _as_text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
