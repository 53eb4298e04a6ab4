"""The mails to a family, in its language: neutral subject, both local times, calendar file; never the condition."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from firsthand.services.scheduling.model import Letter, Meeting
from firsthand.services.scheduling.model.calendar_file import CalendarEntry, Method, calendar_file
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.words import PAGES
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.mail import Attachment
from firsthand.shared.places import territory
from firsthand.shared.service import Context
from firsthand.shared.texts import N_
from firsthand.shared.web.languages import Language

_SUBJECTS = {
    "confirmed": N_("Your video call is booked: %(when)s"),
    "changed": N_("New time for your video call: %(when)s"),
    "cancelled": N_("Your video call is cancelled: %(when)s"),
    "choose-anew": N_("Please choose another time for your video call"),
    "reminder-day": N_("Reminder of your video call: %(when)s"),
    "reminder-hour": N_("Your video call starts soon: %(when)s"),
}
_OPENINGS = {
    "confirmed": N_("Your video call with students of %(institution)s is booked."),
    "changed": N_("Your video call with students of %(institution)s has a new time."),
    "cancelled": N_("Your video call with students of %(institution)s is cancelled. This was the time:"),
    "choose-anew": N_(
        "We are sorry. We have to move your video call with students of %(institution)s. Please open your personal "
        "link and choose another time. This time is cancelled:"
    ),
    "reminder-day": N_("This is a reminder of your video call with students of %(institution)s."),
    "reminder-hour": N_("Your video call with students of %(institution)s starts soon."),
}
_DROPPED = frozenset({"cancelled", "choose-anew"})


@dataclass(frozen=True)
class Mail:
    """A mail for the mailer."""

    subject: str
    text: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True)
class Particulars:
    """What a letter needs to know beside the meeting itself."""

    zone: str  # the family's
    tutor_zone: str
    address: str
    note: str
    join_url: str
    institution: InstitutionState | None


def compose(context: Context, meeting: Meeting, letter: Letter, known: Particulars) -> Mail:
    """Write one letter."""
    words = PAGES.in_language(meeting.language, territory(known.zone))
    dropped = letter.kind in _DROPPED
    method: Method = "CANCEL" if dropped else "REQUEST"
    slot = Slot(letter.starts_at, letter.ends_at)
    entry = entry_of(
        context,
        meeting,
        slot,
        zone=known.zone,
        join_url=known.join_url,
        institution=known.institution,
        language=meeting.language,
        attendee=known.address,
        sequence=letter.sequence,
        stamped_at=letter.at,
    )
    when = words.when(letter.starts_at, known.zone)
    name = known.institution.name if known.institution else words.gettext("the institution")
    lines = [
        words.gettext(_OPENINGS[letter.kind], institution=name),
        words.gettext("%(when)s, %(place)s", when=when, place=words.place(known.zone))
        + f"\n{_tutors_time(words, slot, known)}",
        *(_how_to_join(words, slot, known) if not dropped else []),
        *([known.note] if known.note and dropped else []),
        words.gettext(
            "To change the time or cancel, open your personal link. You do not need to give a reason. Please do not "
            "reply to this email."
        ),
        *_who_we_are(words, known.institution),
    ]
    mime = f"text/calendar; method={method}; charset=utf-8"
    return Mail(
        subject=words.gettext(_SUBJECTS[letter.kind], when=when),
        text="\n\n".join(lines) + "\n",
        attachments=(("meeting.ics", mime, calendar_file(entry, method)),),
    )


def entry_of(
    context: Context,
    meeting: Meeting,
    slot: Slot,
    *,
    zone: str,
    join_url: str,
    institution: InstitutionState | None,
    language: str,
    attendee: str = "",
    sequence: int | None = None,
    stamped_at: datetime | None = None,
) -> CalendarEntry:
    """What the calendar file of a meeting says, in a language. UID: the contact's id at our own address."""
    words = PAGES.in_language(language)
    name = institution.name if institution else words.gettext("the institution")
    return CalendarEntry(
        uid=f"{meeting.id}@{urlsplit(context.settings.address).hostname}",
        sequence=max(meeting.file_sequence, 0) if sequence is None else sequence,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        zone=zone,
        stamped_at=stamped_at or meeting.changed_at or context.clock.now(),
        summary=words.gettext("Video call with students of %(institution)s", institution=name),
        description=words.gettext("To change the time or cancel, open your personal link."),
        join_url=join_url,
        organizer=parseaddr(context.settings.mail_from)[1],
        organizer_name=name,
        attendee=attendee,
    )


def _tutors_time(words: Language, slot: Slot, known: Particulars) -> str:
    at = words.when(slot.starts_at, known.tutor_zone)
    return words.gettext("Students' local time: %(when)s, %(place)s", when=at, place=words.place(known.tutor_zone))


def _how_to_join(words: Language, slot: Slot, known: Particulars) -> list[str]:
    length = words.duration(slot.ends_at - slot.starts_at)
    lines = [words.gettext("It takes at most %(length)s.", length=length)]
    if known.join_url:
        lines.append(words.gettext("To join, open this link at that time:") + "\n" + known.join_url)
    else:
        lines.append(words.gettext("You will find the link to join on your page before the call."))
    return lines


def _who_we_are(words: Language, institution: InstitutionState | None) -> list[str]:
    if institution is None:
        return []
    check = institution.verify_address or institution.website
    return [institution.name, *([words.gettext("Check who we are:") + "\n" + check] if check else [])]


__all__ = ["Mail", "Particulars", "compose", "entry_of"]
