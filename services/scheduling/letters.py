"""The mails to a family, in its language: neutral subject, both local times, calendar file; never the condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Final, Literal
from urllib.parse import urlsplit

from firsthand.services.scheduling.model import Letter, Meeting
from firsthand.services.scheduling.model.calendar_file import CalendarEntry, EntryIdentity, calendar_file, uid_of
from firsthand.services.scheduling.model.letters import DROPPED, Farewell, NoticeKind, TellingOf
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.words import PAGES
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.mail import CalendarPart
from firsthand.shared.mail_address import MailAddress, NotMailAddress, mail_address
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

_NOTICE_SUBJECTS: Final[Mapping[NoticeKind, str]] = {
    "recording": N_("Your recording is ready to watch"),
    "text": N_("A text is ready for you to read"),
    "times": N_("You can choose a time for your video call again"),
}
_NOTICES: Final[Mapping[NoticeKind, str]] = {
    "recording": N_(
        "The recording of your video call with students of %(institution)s is ready. Only you can watch it. Students "
        "can watch it only if you say yes a second time. Please open your personal link to watch it and decide."
    ),
    "text": N_(
        "Somebody wrote down what is said in the recording of your video call with students of %(institution)s. Only "
        "you can read it until you say yes. Please open your personal link to read it, to change it or to delete it."
    ),
    "times": N_(
        "There are new times for your video call with students of %(institution)s. Please open your personal link to "
        "choose one, if you like."
    ),
}
_TELLINGS: Final[Mapping[TellingOf, str]] = {
    "recording": _NOTICES["recording"],
    "text": _NOTICES["text"],
    "times": _NOTICES["times"],
    "cancelled": N_(
        "We are sorry. We have to cancel your video call with students of %(institution)s. Your personal link shows "
        "why, and new times if there are any."
    ),
    "choose-anew": N_(
        "We are sorry. We have to move your video call with students of %(institution)s. Please open your personal "
        "link and choose another time."
    ),
}


@dataclass(frozen=True)
class Mail:
    """A mail for the mailer."""

    subject: str
    text: str
    sender: str  # the name that its reader knows us by
    reply_to: MailAddress | None
    calendar: CalendarPart | None = None


@dataclass(frozen=True)
class Particulars:
    """What a letter needs to know beside the meeting itself."""

    identity: EntryIdentity
    zone: str  # the family's
    tutor_zone: str
    address: str
    note: str
    join_url: str
    institution: InstitutionState | None


def compose(meeting: Meeting, letter: Letter, known: Particulars) -> Mail:
    """Write one letter."""
    words = PAGES.in_language(meeting.language, territory(known.zone))
    dropped = letter.kind in DROPPED
    slot = Slot(letter.starts_at, letter.ends_at)
    when = words.when(letter.starts_at, known.zone)
    lines = [
        words.gettext(_OPENINGS[letter.kind], institution=_name(words, known.institution)),
        words.gettext("%(when)s, %(place)s", when=when, place=words.place(known.zone))
        + f"\n{_tutors_time(words, slot, known)}",
        *(_how_to_join(words, slot, known) if not dropped else []),
        *([known.note] if known.note and dropped else []),
        words.gettext(
            "To change the time or cancel, open your personal link, or reply to this email. You do not need to give a "
            "reason."
        )
        if reply_address(known.institution)
        else words.gettext(
            "To change the time or cancel, open your personal link. You do not need to give a reason. Please do not "
            "reply to this email."
        ),
        *_who_we_are(words, known.institution),
    ]
    return Mail(
        subject=words.gettext(_SUBJECTS[letter.kind], when=when),
        text="\n\n".join(lines) + "\n",
        sender=_name(words, known.institution),
        reply_to=reply_address(known.institution),
        calendar=_calendar_part(meeting, letter, known, known.address, dropped=dropped),
    )


def compose_notice(meeting: Meeting, kind: NoticeKind, known: Particulars) -> Mail:
    """Tell that something waits on the family's page."""
    words = PAGES.in_language(meeting.language, territory(known.zone))
    name = _name(words, known.institution)
    lines = [
        words.gettext(_NOTICES[kind], institution=name),
        words.gettext("If you no longer have your link, reply to this email.")
        if reply_address(known.institution)
        else words.gettext("If you no longer have your link, write to us the way we first wrote to you."),
        *_who_we_are(words, known.institution),
    ]
    return Mail(
        subject=words.gettext(_NOTICE_SUBJECTS[kind]),
        text="\n\n".join(lines) + "\n",
        sender=name,
        reply_to=reply_address(known.institution),
    )


def words_to_tell(meeting: Meeting, zone: str, institution: InstitutionState | None) -> str:
    """What somebody of staff may write to the family, in its language, where it wants no mail."""
    telling = meeting.telling
    if telling is None:
        return ""
    words = PAGES.in_language(meeting.language, territory(zone or "UTC"))
    return words.gettext(_TELLINGS[telling.of], institution=_name(words, institution))


def compose_farewell(meeting: Meeting, farewell: Farewell, known: Particulars, address: str) -> Mail:
    """Write to an address that the family gave up. It may always have been a stranger's, so it says little."""
    words = PAGES.in_language(meeting.language, territory(known.zone))
    name = _name(words, known.institution)
    lines = [
        words.gettext(
            "We no longer send emails about a video call with students of %(institution)s to this address, as we were "
            "asked. We have removed the call from this address's calendar. The call itself is not cancelled.",
            institution=name,
        ),
        words.gettext("If you do not know about this call, you do not need to do anything."),
        *_who_we_are(words, known.institution),
    ]
    return Mail(
        subject=words.gettext("No more emails about a video call to this address"),
        text="\n\n".join(lines) + "\n",
        sender=name,
        reply_to=reply_address(known.institution),
        calendar=_calendar_part(meeting, farewell, known, address, dropped=True),
    )


def _calendar_part(
    meeting: Meeting, letter: Letter | Farewell, known: Particulars, address: str, *, dropped: bool
) -> CalendarPart:
    entry = entry_of(
        Slot(letter.starts_at, letter.ends_at),
        identity=known.identity,
        join_url=known.join_url,
        institution=known.institution,
        language=meeting.language,
        attendee=_attendee(address),
        sequence=letter.sequence,
        stamped_at=letter.at,
    )
    method: Literal["REQUEST", "CANCEL"] = "CANCEL" if dropped else "REQUEST"
    return CalendarPart(method, calendar_file(entry, method))


def entry_of(
    slot: Slot,
    *,
    identity: EntryIdentity,
    join_url: str,
    institution: InstitutionState | None,
    language: str,
    sequence: int,
    stamped_at: datetime,
    attendee: str = "",
) -> CalendarEntry:
    """What the calendar file of a meeting says, in a language."""
    words = PAGES.in_language(language)
    name = _name(words, institution)
    return CalendarEntry(
        identity=identity,
        sequence=max(sequence, 0),
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        stamped_at=stamped_at,
        summary=words.gettext("Video call with students of %(institution)s", institution=name),
        description=words.gettext("To change the time or cancel, open your personal link."),
        join_url=join_url,
        organizer_name=name,
        attendee=attendee,
    )


def identity_of(context: Context, meeting: Meeting, institution: InstitutionState | None) -> EntryIdentity:
    """By what calendars know a meeting: what its first file said, for as long as there are changes to it.

    A file that an older release sent has the UID and the organizer that it made of our addresses.
    """
    if meeting.entry:
        return meeting.entry
    own = parseaddr(context.settings.mail_from)[1]
    if meeting.file_sequence >= 0:
        return EntryIdentity(uid=f"{meeting.id}@{urlsplit(context.settings.address).hostname}", organizer=own)
    uid = uid_of(meeting.id, meeting.institution)
    return EntryIdentity(uid=uid, organizer=reply_address(institution) or own)


def reply_address(institution: InstitutionState | None) -> MailAddress | None:
    """Where somebody of the institution reads what a family answers, if there is such an address."""
    try:
        return mail_address(institution.reply_address) if institution and institution.reply_address else None
    except NotMailAddress:
        return None


def _attendee(address: str) -> str:
    try:
        return mail_address(address)
    except NotMailAddress:  # an older release kept it; the mailer refuses it in a moment
        return ""


def _name(words: Language, institution: InstitutionState | None) -> str:
    return institution.name if institution else words.gettext("the institution")


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


__all__ = ["Mail", "Particulars", "compose", "compose_farewell", "entry_of", "identity_of", "reply_address"]
