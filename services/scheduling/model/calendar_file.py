"""The calendar file of a meeting (RFC 5545); never a word of the condition.

Times are in UTC, and every calendar shows them on its owner's clock: a meeting is an instant that was agreed, and no
clock of a zone can say which of the two 1:30 it is when the clocks go back.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import quote

from icalendar import Calendar, Event, vCalAddress, vText
from pydantic import BaseModel, ConfigDict

# PUBLISH: a file to keep. REQUEST and CANCEL (RFC 5546) come by mail and replace what came before under the same UID.
Method = Literal["PUBLISH", "REQUEST", "CANCEL"]

_IN_MAILTO: Final = "@!$&'*+-./=^_`{|}~"  # what an address in a mailto: keeps as it is (RFC 6068)


class EntryIdentity(BaseModel):
    """By what a calendar knows the entry again. It stays the same through all changes of a meeting, and so do they
    whatever becomes of our addresses: a program takes a change or cancellation only from the organizer it knows.
    """

    model_config = ConfigDict(frozen=True)

    uid: str
    organizer: str  # a mail address of the institution


def uid_of(contact_id: str, institution: str) -> str:
    """The UID of a meeting: made of ids that never change, at a name that is nobody's address."""
    return f"{contact_id}.{institution}@meetings.firsthand.invalid"


@dataclass(frozen=True)
class CalendarEntry:
    """What the file says. `sequence` rises with each change."""

    identity: EntryIdentity
    sequence: int
    starts_at: datetime
    ends_at: datetime
    stamped_at: datetime
    summary: str
    description: str
    join_url: str
    organizer_name: str
    attendee: str = ""  # the family's own address, only in mail to it


def calendar_file(entry: CalendarEntry, method: Method) -> bytes:
    """Write the file, in UTF-8 with CRLF."""
    event = Event()
    event.add("uid", entry.identity.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", entry.stamped_at)
    event.add("dtstart", entry.starts_at.astimezone(UTC))
    event.add("dtend", entry.ends_at.astimezone(UTC))
    event.add("summary", entry.summary)
    event.add("description", entry.description)
    event.add("class", "PRIVATE")
    event.add("status", "CANCELLED" if method == "CANCEL" else "CONFIRMED")
    if entry.join_url and method != "CANCEL":
        event.add("url", entry.join_url)
        event.add("location", entry.join_url)
    organizer = vCalAddress(_mailto(entry.identity.organizer))
    organizer.params["CN"] = vText(entry.organizer_name)
    event["organizer"] = organizer
    if entry.attendee and method != "PUBLISH":
        attendee = vCalAddress(_mailto(entry.attendee))
        # The family chose the time, so there is nothing left to answer: no button that seems to cancel, and does not.
        attendee.params["ROLE"] = vText("REQ-PARTICIPANT")
        attendee.params["PARTSTAT"] = vText("ACCEPTED")
        attendee.params["RSVP"] = vText("FALSE")
        event.add("attendee", attendee, encode=False)

    calendar = Calendar()
    calendar.add("prodid", "-//Firsthand//Meetings//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _mailto(address: str) -> str:
    return f"mailto:{quote(address, safe=_IN_MAILTO)}"


__all__ = ["CalendarEntry", "EntryIdentity", "Method", "calendar_file", "uid_of"]
