"""What a family is written about its meeting, and when it is reminded."""

from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.shared.vault import Sealed

LetterKind = Literal["confirmed", "changed", "cancelled", "choose-anew", "reminder-day", "reminder-hour"]
# What says that the planned time is given up.
DROPPED: Final[frozenset[LetterKind]] = frozenset({"cancelled", "choose-anew"})
_REMINDERS: Final[tuple[tuple[LetterKind, timedelta], ...]] = (
    ("reminder-day", timedelta(hours=24)),
    ("reminder-hour", timedelta(hours=1)),
)


class Letter(BaseModel):
    """A mail to the family that is still to be sent. The key makes sending it twice send it once."""

    model_config = ConfigDict(frozen=True)

    kind: LetterKind
    key: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    sequence: int  # of the calendar file that goes with it (RFC 5545)
    at: AwareDatetime  # when what it tells of was decided


# What a family waits to be told: its recording can be watched, its text be read, times can be chosen again; or what
# staff did. A time that staff sets was agreed with the family before.
NoticeKind = Literal["recording", "text", "times"]
TellingOf = Literal[NoticeKind, "cancelled", "choose-anew"]


class Notice(BaseModel):
    """A mail to the family that is about no time, still to be sent."""

    model_config = ConfigDict(frozen=True)

    kind: NoticeKind
    key: str


class Telling(BaseModel):
    """How the family is told of something: by mail, or by somebody of staff, who then says so."""

    model_config = ConfigDict(frozen=True)

    of: TellingOf
    how: Literal["by-email", "by-hand", "told"]


class Farewell(BaseModel):
    """A mail to an address that the family gave up: it takes the entry out of that address's calendar."""

    model_config = ConfigDict(frozen=True)

    key: str
    address: Sealed
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    sequence: int
    at: AwareDatetime


class Reminder(BaseModel):
    """When to remind of the planned meeting."""

    model_config = ConfigDict(frozen=True)

    kind: LetterKind
    at: AwareDatetime


def is_reminder(kind: LetterKind) -> bool:
    return any(kind == one for one, _ in _REMINDERS)


def reminders_before(starts_at: datetime, now: datetime) -> list[Reminder]:
    """The reminders of a meeting that are still to come, the earliest first."""
    return [Reminder(kind=kind, at=starts_at - before) for kind, before in _REMINDERS if starts_at - before > now]


__all__ = [
    "DROPPED",
    "Farewell",
    "Letter",
    "LetterKind",
    "Notice",
    "NoticeKind",
    "Reminder",
    "Telling",
    "TellingOf",
    "is_reminder",
    "reminders_before",
]
