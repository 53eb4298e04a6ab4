"""What is due of a meeting: voided times are set free, reminders become letters, letters are sent."""

from datetime import datetime, timedelta
from typing import Final

from firsthand.services.scheduling.handlers.calendars import free_time
from firsthand.services.scheduling.handlers.personal import open_personal
from firsthand.services.scheduling.handlers.rooms import join_url, provider_of
from firsthand.services.scheduling.letters import Particulars, compose
from firsthand.services.scheduling.model import Meeting
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.bus.errors import Transient
from firsthand.shared.copies import institution_of
from firsthand.shared.mail import MailRefused
from firsthand.shared.service import Context, use_case

# Whoever sends a meeting's letters says so in the document: for so long no other replica begins to send them too. A
# mail server may take 20 seconds for each of the one or two; a killed sender's letters wait until it is over.
_SENDING: Final = timedelta(minutes=2)
_CLOCK_IN_DOUBT: Final = timedelta(minutes=10)  # until reminders are looked at again that a wrong clock would drop


async def on_due(context: Context, meeting: Meeting) -> None:
    """Do what is due and move `due_at` on. Raises Conflict; MailUnavailable: the timer tries again later.

    A letter is noted, with the key that makes sending it twice send it once, before it is sent.
    """
    scheduling = Scheduling(context, meeting.institution)
    now = context.clock.now()
    if meeting.to_free:
        await _set_free(context, meeting)
        meeting.note_freed()
    taken = meeting.take_reminders(now, context.trusted.sure())
    if meeting.letters:
        claim(meeting, now)
        meeting = await scheduling.put_meeting(meeting)
        await _send(context, meeting)
    else:
        meeting.plan_ahead(now)
        if not taken:
            meeting.due_at = now + _CLOCK_IN_DOUBT
        await scheduling.put_meeting(meeting)


def claim(meeting: Meeting, now: datetime) -> None:
    """Say, with the save that follows, that the letters that wait are being sent here."""
    if meeting.letters:
        meeting.due_at = now + _SENDING


async def write_at_once(context: Context, meeting: Meeting) -> None:
    """Send the letters that wait and were claimed; where mail does not work now, the timer goes on trying."""
    try:
        await _send(context, meeting)
    except Transient:
        context.log.warning("mail to a family waits", extra={"contact": meeting.id})


async def _set_free(context: Context, meeting: Meeting) -> None:
    institution, tutor_id, contact_id, voids = meeting.institution, meeting.tutor_id, meeting.id, meeting.voids
    await free_time(context, institution, tutor_id, contact_id, voids=voids)
    if meeting.room and meeting.state in {"offered", "cancelled"}:
        await provider_of(context).cancel(institution, meeting.room)


async def _send(context: Context, meeting: Meeting) -> None:
    """Send a meeting's letters and note that they are gone. Raises MailUnavailable: then the claim is given up."""
    if not meeting.letters:
        return
    scheduling = Scheduling(context, meeting.institution)

    @use_case
    async def note(keys: set[str], *, delivered: bool, refused: bool) -> None:
        current = await scheduling.known_meeting(meeting.id)
        if current.state == "erased":
            # The erasure came between opening the address and sending: nothing of it may stay.
            await context.mail.erase(meeting.institution, meeting.id)
            return
        current.note_sent(keys, delivered=delivered, refused=refused)
        current.plan_ahead(context.clock.now())
        await scheduling.put_meeting(current)

    try:
        sent, refused = await _hand_over(context, meeting)
    except Transient:
        await note(set(), delivered=False, refused=False)
        raise
    keys = {letter.key for letter in meeting.letters}
    await note(keys, delivered=sent and not context.mail.keeps, refused=refused)


async def _hand_over(context: Context, meeting: Meeting) -> tuple[bool, bool]:
    """Hand the letters to the mailer: whether any was taken, and whether the address was refused for good."""
    personal = await open_personal(context, meeting)
    if not personal.address:
        return False, False
    availability = await Scheduling(context, meeting.institution).availability(
        meeting.contact.case_id, meeting.tutor_id
    )
    known = Particulars(
        zone=personal.zone,
        tutor_zone=availability.rules.zone if availability else "UTC",
        address=personal.address,
        note=personal.note,
        join_url=await join_url(context, meeting),
        institution=await institution_of(context, meeting.institution),
    )
    sent = False
    for letter in meeting.letters:
        mail = compose(context, meeting, letter, known)
        try:
            await context.mail.send(
                meeting.institution,
                meeting.id,
                letter.key,
                to=personal.address,
                subject=mail.subject,
                text=mail.text,
                attachments=mail.attachments,
            )
        except MailRefused:
            context.log.warning("a family's address takes no mail", extra={"contact": meeting.id})
            return sent, True
        sent = True
    return sent, False


__all__ = ["claim", "on_due", "write_at_once"]
