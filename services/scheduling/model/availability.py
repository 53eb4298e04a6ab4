"""When a tutor can be met for a case."""

import re
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from firsthand.services.scheduling.model.slots import END_OF_DAY, Hours, Rules
from firsthand.shared.inputs import Tidy
from firsthand.shared.store import Document

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")

# An address of a meeting room; empty while there is none.
_LONGEST_URL = 1000


def minutes(clock: str) -> int:
    """Read `HH:MM` as minutes after midnight; `24:00` is the end of the day. Raises ValueError."""
    if clock == "24:00":
        return END_OF_DAY
    if not (match := _CLOCK.fullmatch(clock)):
        raise ValueError("a time is written as HH:MM, from 00:00 to 24:00")
    return int(match[1]) * 60 + int(match[2])


class WeeklyHours(BaseModel):
    """Hours of one weekday on the tutor's own clock."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    weekday: Annotated[int, Field(ge=0, le=6, description="0 Monday to 6 Sunday")]
    from_: Annotated[str, Tidy, Field(alias="from", max_length=100, description="HH:MM")]
    to: Annotated[str, Tidy, Field(max_length=100, description="HH:MM, at the latest 24:00")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if minutes(self.from_) >= minutes(self.to):
            raise ValueError("hours end after they begin; what goes past midnight is two entries")
        return self

    @property
    def hours(self) -> Hours:
        return Hours(self.weekday, minutes(self.from_), minutes(self.to))


class AvailabilityRules(BaseModel):
    """What a tutor says about when they can be met. Lengths in the unit that the name says."""

    zone: Annotated[str, Tidy, Field(max_length=100, description="IANA time zone of the hours, e.g. `Asia/Qatar`")]
    # Virtual visits with patients all ran over 30 minutes and most over an hour: an hour and a quarter.
    duration_minutes: Annotated[int, Field(ge=30, le=180)] = 75
    buffer_minutes: Annotated[int, Field(ge=0, le=240, description="kept free between two meetings")] = 15
    notice_hours: Annotated[int, Field(ge=0, le=336, description="the earliest start is this long from now")] = 24
    horizon_days: Annotated[int, Field(ge=1, le=180, description="times are offered this far ahead")] = 42
    weekly: Annotated[list[WeeklyHours], Field(max_length=70)] = []
    blocked: Annotated[list[date], Field(max_length=366, description="days off, on the tutor's calendar")] = []
    join_url: Annotated[
        str, Tidy, Field(max_length=_LONGEST_URL, description="the meeting room; empty while unknown")
    ] = ""

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError("this is no IANA time zone, e.g. Asia/Qatar")
        return zone

    @field_validator("join_url")
    @classmethod
    def _joinable(cls, url: str) -> str:
        url = url.strip()
        if not url:
            return url
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or not url.isprintable() or " " in url:
            raise ValueError("the meeting room's address begins with https://")
        return url

    @field_validator("blocked")
    @classmethod
    def _each_once(cls, days: list[date]) -> list[date]:
        return sorted(set(days))

    @field_validator("weekly")
    @classmethod
    def _apart(cls, weekly: list[WeeklyHours]) -> list[WeeklyHours]:
        weekly = sorted(weekly, key=lambda entry: (entry.weekday, minutes(entry.from_)))
        for one, following in pairwise(weekly):
            if one.weekday == following.weekday and minutes(following.from_) < minutes(one.to):
                raise ValueError("two entries of the same weekday overlap")
        return weekly

    @property
    def duration(self) -> timedelta:
        return timedelta(minutes=self.duration_minutes)

    @property
    def buffer(self) -> timedelta:
        return timedelta(minutes=self.buffer_minutes)

    def rules(self) -> Rules:
        return Rules(
            zone=ZoneInfo(self.zone),
            duration=self.duration,
            buffer=self.buffer,
            notice=timedelta(hours=self.notice_hours),
            horizon=timedelta(days=self.horizon_days),
            weekly=tuple(entry.hours for entry in self.weekly),
            blocked=frozenset(self.blocked),
        )


def availability_id(case_id: str, tutor_id: str) -> str:
    return f"{case_id}.{tutor_id}"


class Availability(Document):
    """A tutor's availability for a case; id = `<case id>.<tutor id>`."""

    kind: ClassVar[str] = "availability"

    case_id: str
    tutor_id: str
    rules: AvailabilityRules
