"""Types for what comes from outside: each is bounded, and cleaned of what nobody can see.

Every field that a person or a program sends has one of them (tests/contract/test_inputs.py). What was copied along with
a text, such as spaces and direction marks, is removed; what cannot be meant is refused.
"""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, TypeAdapter

from firsthand.shared.texts import normalized

# Nothing of ours lies outside. Ten thousand years ahead, a calendar ends before every zone has come to that instant.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_LONGEST: Final = 20_000  # characters that are cleaned; what is longer, a type of ours refuses as it is
_JOINERS: Final = "\u200c\u200d"  # between letters, as Persian and Indic scripts write them
_MOST: Final = 2**31 - 1  # what every store and program can hold
_LONGEST_NUMBER: Final = 9  # digits that somebody types


def tidy(text: str, *, lines: bool = False) -> str:
    """Remove what cannot be seen, and spaces where there is nothing between them; with `lines`, line breaks stay.

    Controls, direction marks and overrides, and characters without width go. Of joiners, those between letters stay.
    """
    if len(text) > _LONGEST:
        return text
    kept = "".join(_seen(normalized("NFC", text)))
    parts = kept.replace("\r\n", "\n").replace("\r", "\n").split("\n") if lines else [kept]
    return "\n".join(" ".join(part.split()) for part in parts).strip()


def _seen(text: str) -> Iterator[str]:
    for index, one in enumerate(text):
        kind = unicodedata.category(one)
        if one.isspace():
            yield one if one in "\n\r" else " "
        elif one in _JOINERS:
            if 0 < index < len(text) - 1 and text[index - 1].isalpha() and text[index + 1].isalpha():
                yield one
        elif kind not in {"Cc", "Cf", "Cs", "Cn"}:
            yield one


def is_name(text: str) -> bool:
    """Tell whether something can be the name of a person or a thing: it has a letter or a digit."""
    return any(one.isalnum() for one in text)


def _tidied(value: object) -> object:
    return tidy(value) if isinstance(value, str) else value


def _tidied_lines(value: object) -> object:
    return tidy(value, lines=True) if isinstance(value, str) else value


def _within(at: datetime) -> datetime:
    if not EARLIEST <= at < LATEST:
        raise ValueError("a time lies between the years 2000 and 2099")
    return at


def _kept_within(at: datetime) -> datetime:
    return min(max(at, EARLIEST), LATEST)


def _day_within(day: date) -> date:
    if not EARLIEST.date() <= day < LATEST.date():
        raise ValueError("a day lies between the years 2000 and 2099")
    return day


# A moment, with its offset.
Instant = Annotated[AwareDatetime, BeforeValidator(_tidied), AfterValidator(_within)]
# The same of a document or an event: an earlier release let later ones in, and they are read as the latest.
KeptInstant = Annotated[AwareDatetime, AfterValidator(_kept_within)]
CalendarDate = Annotated[date, BeforeValidator(_tidied), AfterValidator(_day_within)]

Tidy: Final = BeforeValidator(_tidied)
# One line, e.g. a label or a name; a type that is shorter adds its own bound: `Annotated[Line, Field(max_length=120)]`.
Line = Annotated[str, Tidy, StringConstraints(max_length=300)]
# Some lines, e.g. a note.
Note = Annotated[str, BeforeValidator(_tidied_lines), StringConstraints(max_length=2000)]
# A word of an address or a form that a page knows or does not: `?done=saved`.
Word = Annotated[str, Tidy, StringConstraints(max_length=100)]
# Where a list goes on, and where a visitor goes on to.
Cursor = Annotated[str, StringConstraints(max_length=4000)]
NextPath = Annotated[str, StringConstraints(max_length=4000)]
# A number that is counted or numbered.
Count = Annotated[int, Field(ge=0, le=_MOST)]

_DATES: Final = TypeAdapter[date](CalendarDate)
_MOMENTS: Final = TypeAdapter[datetime](Instant)


def day_of(text: str) -> date:
    """Read a day (ISO 8601) as a form gives it. Raises ValueError."""
    return _DATES.validate_python(text[:100])


def moment_of(text: str, zone: str) -> datetime:
    """Read a day and a time (ISO 8601) of a zone's clock as a form gives it. Raises ValueError."""
    wall = datetime.fromisoformat(tidy(text[:100])).replace(tzinfo=ZoneInfo(zone))
    return _MOMENTS.validate_python(wall).astimezone(UTC)


def number_of(text: str) -> int | None:
    """Read a whole number as somebody typed it, in the digits of any script; None for anything else."""
    text = tidy(text[:100])
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_NUMBER else None


def length_of(text: str) -> int | None:
    """Read a number of bytes as a header gives it (ASCII digits); None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None  # noqa: PLR2004 - 64 bits


__all__ = [
    "EARLIEST",
    "LATEST",
    "CalendarDate",
    "Count",
    "Cursor",
    "Instant",
    "KeptInstant",
    "Line",
    "NextPath",
    "Note",
    "Tidy",
    "Word",
    "day_of",
    "is_name",
    "length_of",
    "moment_of",
    "number_of",
    "tidy",
]
