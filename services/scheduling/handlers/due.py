"""What is due of a meeting: voided times are set free, reminders become letters, letters are sent."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from firsthand.services.scheduling.handlers.calendars import free_time
from firsthand.services.scheduling.handlers.personal import Personal, open_former, open_personal
from firsthand.services.scheduling.handlers.rooms import join_url, provider_of
from firsthand.services.scheduling.letters import (
    Mail,
    Particulars,
    compose,
    compose_farewell,
    compose_notice,
    identity_of,
)
from firsthand.services.scheduling.model import Meeting
from firsthand.services.scheduling.model.calendar_file import EntryIdentity
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.copies import institution_of
from firsthand.shared.mail import MailRefused, MailUnavailable
from firsthand.shared.mail_watch import Waiting, keep_watch
from firsthand.shared.service import Context, use_case

# Whoever sends a meeting's letters says so in the document: for so long no other replica begins to send them too. A
# mail server may take 20 seconds for each of the one or two; a killed sender's letters wait until it is over.
_SENDING: Final = timedelta(minutes=2)
_CLOCK_IN_DOUBT: Final = timedelta(minutes=10)  # until reminders are looked at again that a wrong clock would drop


async def on_due(context: Context, meeting: Meeting) -> None:
    """Do what is due and move `due_at` on. Raises Conflict.

    A letter is noted, with the key that makes sending it twice send it once, before it is sent.
    """
    scheduling = Scheduling(context, meeting.institution)
    now = context.clock.now()
    if meeting.to_free:
        await _set_free(context, meeting)
        meeting.note_freed()
    taken = meeting.take_reminders(now, context.trusted.sure())
    meeting.forget_stale(context.trusted.sure())
    meeting.entry = await known_by(context, meeting)
    if meeting.waiting_keys:
        claim(meeting, now)
        meeting = await scheduling.put_meeting(meeting)
        await write_at_once(context, meeting)
    else:
        meeting.plan_ahead(now)
        if not taken:
            meeting.due_at = now + _CLOCK_IN_DOUBT
        await scheduling.put_meeting(meeting)


def claim(meeting: Meeting, now: datetime) -> None:
    """Say, with the save that follows, that the letters that wait are being sent here."""
    if meeting.waiting_keys:
        meeting.due_at = now + _SENDING


async def known_by(context: Context, meeting: Meeting) -> EntryIdentity | None:
    """By what calendars know the meeting, to be kept in it; None while no file was sent and none is to be."""
    if meeting.entry or meeting.file_sequence < 0:
        return meeting.entry
    return identity_of(context, meeting, await institution_of(context, meeting.institution))


async def watch_mail(context: Context) -> None:
    """Look after mail to families, and say when it cannot be sent; runs in the background."""
    await keep_watch(context, partial(waiting_mail, context))


async def _set_free(context: Context, meeting: Meeting) -> None:
    institution, tutor_id, contact_id, voids = meeting.institution, meeting.tutor_id, meeting.id, meeting.voids
    await free_time(context, institution, tutor_id, contact_id, voids=voids)
    if meeting.room and meeting.state in {"offered", "cancelled"}:
        await provider_of(context).cancel(institution, meeting.room)


async def write_at_once(context: Context, meeting: Meeting) -> None:
    """Send the letters that wait and were claimed, and note how it went; the timer tries again what cannot be sent."""
    if not meeting.waiting_keys:
        return
    scheduling = Scheduling(context, meeting.institution)
    outcome = await _hand_over(context, meeting)

    @use_case
    async def note() -> None:
        current, now = await scheduling.known_meeting(meeting.id), context.clock.now()
        if current.state == "erased":
            # The erasure came between opening the address and sending: nothing of it may stay.
            await context.mail.erase(meeting.institution, meeting.id)
            return
        current.note_sent(outcome.gone, delivered=outcome.sent and not context.mail.keeps)
        caused = current.note_refused(outcome.refused, outcome.refused_because)
        current.plan_ahead(now)
        current.note_waiting(meeting.waiting_keys - outcome.gone, outcome.failed_with, now)
        told = caused.of(current, current.as_state(), at=now, actor="system") if caused else None
        await scheduling.put_meeting(current, told)

    await note()


@dataclass
class _Outcome:
    """What became of a meeting's letters, by their keys; those in neither set wait, for `failed_with`."""

    gone: set[str] = field(default_factory=set)
    sent: bool = False
    refused: set[str] = field(default_factory=set)
    refused_because: str = ""
    failed_with: str = ""


async def _hand_over(context: Context, meeting: Meeting) -> _Outcome:
    """Hand the letters to the mailer. An address that was given up never holds up the one that holds."""
    outcome = _Outcome()
    personal = await open_personal(context, meeting)
    known = await _particulars(context, meeting, personal)
    mails = [(letter.key, personal.address, compose(meeting, letter, known)) for letter in meeting.letters]
    for farewell in meeting.farewells:
        former = await open_former(context, meeting, farewell.address)
        mails.append((farewell.key, former, compose_farewell(meeting, farewell, known, former)))
    mails += [(notice.key, personal.address, compose_notice(meeting, notice.kind, known)) for notice in meeting.notices]
    farewells = {farewell.key for farewell in meeting.farewells}
    for key, address, mail in mails:
        try:
            if address:
                await _post(context, meeting, key, address, mail)
                outcome.sent = True
        except MailRefused as refused:
            if key not in farewells:
                context.log.warning("a family's address takes no mail", extra={"contact": meeting.id})
                outcome.refused.add(key)
                outcome.refused_because = refused.because
                continue
        except MailUnavailable as error:
            context.log.warning("mail to a family waits: %s", error, extra={"contact": meeting.id})
            outcome.failed_with = str(error)
            continue
        outcome.gone.add(key)
    return outcome


async def _particulars(context: Context, meeting: Meeting, personal: Personal) -> Particulars:
    availability = await Scheduling(context, meeting.institution).availability(
        meeting.contact.case_id, meeting.tutor_id
    )
    institution = await institution_of(context, meeting.institution)
    return Particulars(
        identity=identity_of(context, meeting, institution),
        zone=personal.zone or "UTC",
        tutor_zone=availability.rules.zone if availability else "UTC",
        address=personal.address,
        note=personal.note,
        join_url=await join_url(context, meeting),
        institution=institution,
    )


async def _post(context: Context, meeting: Meeting, key: str, address: str, mail: Mail) -> None:
    """Raises MailRefused, MailUnavailable."""
    await context.mail.send(
        meeting.institution,
        meeting.id,
        key,
        to=address,
        subject=mail.subject,
        text=mail.text,
        sender=mail.sender,
        reply_to=mail.reply_to,
        calendar=mail.calendar,
    )


async def waiting_mail(context: Context) -> Waiting:
    """How many families wait for mail that could not be sent, and since when the first of them does."""
    count, since = 0, None
    for institution in await context.store.institutions(Meeting):
        found = await Scheduling(context, institution).mail_waits()
        count += found.count
        since = min(filter(None, (since, found.since)), default=None)
    return Waiting(count, since)


async def settle(context: Context, meeting: Meeting) -> None:
    """Give a meeting of an older release the field by which lists find it; and a planned one, before our address may
    change, that by which calendars know it.
    """
    meeting.name_case()
    if meeting.state == "scheduled":
        meeting.entry = await known_by(context, meeting)


__all__ = ["claim", "known_by", "on_due", "settle", "waiting_mail", "watch_mail", "write_at_once"]
