"""The calendar file of a meeting: RFC 5545, with the family's zone written out; never a word of the condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from icalendar import (
    Calendar,
    Event,
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCalAddress,
    vText,
)

# PUBLISH: a file to keep. REQUEST and CANCEL (RFC 5546) come by mail and replace what came before under the same UID.
Method = Literal["PUBLISH", "REQUEST", "CANCEL"]

# How much of the zone's changes is written out around the meeting.
_AROUND = timedelta(days=370)


@dataclass(frozen=True)
class CalendarEntry:
    """What the file says. `uid` stays the same for all changes of a meeting, `sequence` rises with each."""

    uid: str
    sequence: int
    starts_at: datetime
    ends_at: datetime
    zone: str
    stamped_at: datetime
    summary: str
    description: str
    join_url: str
    organizer: str  # a mail address of the institution
    organizer_name: str
    attendee: str = ""  # the family's own address, only in mail to it


def calendar_file(entry: CalendarEntry, method: Method) -> bytes:
    """Write the file, in UTF-8 with CRLF. DTSTART and DTEND are local times of the zone (TZID), with its VTIMEZONE."""
    zone = ZoneInfo(entry.zone)
    event = Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", entry.stamped_at)
    event.add("dtstart", entry.starts_at.astimezone(zone))
    event.add("dtend", entry.ends_at.astimezone(zone))
    event.add("summary", entry.summary)
    event.add("description", entry.description)
    event.add("class", "PRIVATE")
    event.add("status", "CANCELLED" if method == "CANCEL" else "CONFIRMED")
    if entry.join_url:
        event.add("url", entry.join_url)
        event.add("location", entry.join_url)
    organizer = vCalAddress(f"mailto:{entry.organizer}")
    organizer.params["CN"] = vText(entry.organizer_name)
    event["organizer"] = organizer
    if entry.attendee and method != "PUBLISH":
        attendee = vCalAddress(f"mailto:{entry.attendee}")
        attendee.params["PARTSTAT"] = vText("ACCEPTED")
        attendee.params["RSVP"] = vText("FALSE")
        event.add("attendee", attendee, encode=False)

    calendar = Calendar()
    calendar.add("prodid", "-//Firsthand//Meetings//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    if entry.zone != "UTC":
        calendar.add_component(_written_out(zone, entry.starts_at - _AROUND, entry.ends_at + _AROUND))
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _written_out(zone: ZoneInfo, first: datetime, last: datetime) -> Timezone:
    """The zone's VTIMEZONE between two instants.

    An onset is the local time by the offset before it (RFC 5545, 3.6.5): 02:00 where the clocks go from 2 to 3. The
    library's own writer says 03:00, with which meetings in the hour after the change would stand an hour off.
    """
    timezone = Timezone()
    timezone.add("tzid", zone.key)
    before = first
    for onset in (first, *_changes(zone, first, last)):
        offset_before = before.astimezone(zone).utcoffset()
        local = onset.astimezone(zone)
        observance = TimezoneDaylight() if local.dst() else TimezoneStandard()
        assert offset_before is not None
        observance.add("dtstart", (onset.astimezone(UTC) + offset_before).replace(tzinfo=None))
        observance.add("tzoffsetfrom", offset_before)
        observance.add("tzoffsetto", local.utcoffset())
        observance.add("tzname", local.tzname())
        timezone.add_component(observance)
        before = onset
    return timezone


def _changes(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The instants, to the minute, at which the zone's offset changes."""
    one, day = first.replace(second=0, microsecond=0), timedelta(days=1)
    while one < last:
        other = one + day
        if one.astimezone(zone).utcoffset() != other.astimezone(zone).utcoffset():
            low, high = one, other
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) // timedelta(minutes=2) * timedelta(minutes=1)
                same = middle.astimezone(zone).utcoffset() == one.astimezone(zone).utcoffset()
                low, high = (middle, high) if same else (low, middle)
            yield high
        one = other


__all__ = ["CalendarEntry", "Method", "calendar_file"]
