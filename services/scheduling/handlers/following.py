"""Follow events: changes of the consent, reservations in the calendar, an erasure."""

from datetime import datetime, timedelta
from typing import Final

from firsthand.services.scheduling.handlers.calendars import free_time
from firsthand.services.scheduling.handlers.due import claim, write_at_once
from firsthand.services.scheduling.handlers.rooms import room_for
from firsthand.services.scheduling.letters import identity_of
from firsthand.services.scheduling.model import Meeting, Reservation
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.copies import institution_of
from firsthand.shared.events.archive import RecordingArchivedV1, RecordingChangedV1
from firsthand.shared.events.consent import ConsentState, ErasureRequestedV1
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import AnyEvent, Event
from firsthand.shared.events.scheduling import CalendarChangedV1, SchedulingErasedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context

_NEWS: Final = timedelta(days=7)


async def follow_consent(context: Context, event: Event[ConsentState]) -> None:
    """Offer times once a meeting is allowed; cancel the planned one once it is not. Raises Conflict, AlreadyExists."""
    scheduling = Scheduling(context, event.institution)
    meeting = await scheduling.meeting(event.subject) or _unknown(event)
    if not meeting.take(event):
        return
    if (
        meeting.state in {"none", "cancelled"} and not meeting.to_free
    ):  # nothing stands in a calendar: a new tutor may take over
        meeting.contact, meeting.tutor_id = event.data.contact, event.data.contact.tutor_id
    now = context.clock.now()
    caused = meeting.obey(event.data.consent, now)
    await scheduling.put_meeting(meeting, _record(caused, meeting, event, now, "system") if caused else None)


async def make_meeting(context: Context, event: CalendarChangedV1) -> None:
    """Plan the meeting for a time that the calendar holds, or set the time free if the meeting is no longer allowed.

    The event's correlation names the contact whose time it is about. Raises Conflict.
    """
    contact_id = event.correlationid
    scheduling = Scheduling(context, event.institution)
    meeting = await scheduling.meeting(contact_id)
    told = next((one for one in event.data.reservations if one.contact_id == contact_id), None)
    calendar = await scheduling.calendar(event.subject)
    reservation = calendar.of(contact_id)
    if calendar.version < event.sequence and told:  # restored from before: the event knows better
        reservation = Reservation(**told.model_dump(), knew=meeting.version if meeting else 0)
    if reservation is None or told is None or told.starts_at != reservation.starts_at:
        return  # set free, or moved again: a later event says so
    if meeting is None or not meeting.honours(reservation, event.subject):
        voids = reservation.knew + 1
        await free_time(context, event.institution, event.subject, contact_id, voids=voids)
        return
    if not meeting.take(event):
        return
    now = context.clock.now()
    room = await room_for(context, meeting, reservation)
    meeting.entry = identity_of(context, meeting, await institution_of(context, event.institution))
    caused = meeting.hold(reservation, room, now)
    claim(meeting, now)
    meeting = await scheduling.put_meeting(
        meeting, _record(caused, meeting, event, now, event.actor) if caused else None
    )
    await write_at_once(context, meeting)


async def follow_recording(context: Context, event: RecordingArchivedV1 | RecordingChangedV1) -> None:
    """Tell the family that it can watch its recording, or read its text, or have staff tell it. Raises Conflict."""
    now = context.clock.now()
    scheduling = Scheduling(context, event.institution)
    meeting = await scheduling.meeting(event.subject)
    # What was archived long ago, before anybody was told of it, is no news.
    if meeting is None or event.time < now - _NEWS:
        return
    latest, waits = meeting.take(event), event.data.transcript == "proposed"
    caused: type[AnyEvent] | None = None
    if isinstance(event, RecordingArchivedV1):  # also one that comes late: a version is told by itself
        caused = meeting.tell_of_recording(event.data.sha256)
        meeting.text_waits = waits if latest else meeting.text_waits  # beside it, on the same page
    elif latest:
        caused = meeting.tell_of_text(waits=waits)
    if not latest and caused is None:
        return
    meeting.plan_ahead(now)
    claim(meeting, now)
    meeting = await scheduling.put_meeting(meeting, _record(caused, meeting, event, now, "system") if caused else None)
    await write_at_once(context, meeting)


async def erase(context: Context, event: ErasureRequestedV1) -> None:
    """Erase everything personal of a contact, and say so only once it is true. Asked twice, answers once."""
    scheduling = Scheduling(context, event.institution)
    meeting = await scheduling.meeting(event.subject) or _unknown(event)
    if event.sequence <= meeting.applied.get(event.origin, 0):
        return
    meeting = await _leave_nothing(context, meeting)
    meeting.take(event)
    answer = SchedulingErasedV1.of(
        meeting,
        at=context.clock.now(),
        actor="system",
        cause=event,
        data=ErasedState(
            contact_id=event.subject,
            erasure_id=event.data.consent.erasure_id or event.id,
            service="scheduling",
            erased=meeting.erased,
            out_of_reach=["delivered-mail"] if meeting.mail_delivered else [],
        ),
    )
    await scheduling.put_meeting(meeting, answer)


async def restore_erasure(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Erase again what a restore of data brought back. The erasure was announced when it happened."""
    meeting = await Scheduling(context, institution).meeting(contact_id)
    await context.mail.erase(institution, contact_id)
    if meeting is not None and meeting.state != "erased":
        await _leave_nothing(context, meeting)


async def _leave_nothing(context: Context, meeting: Meeting) -> Meeting:
    """Wipe, then remove mail, destroy the key, and leave no trace of the former content in the database's files."""
    institution, contact_id, tutor_id = meeting.institution, meeting.id, meeting.tutor_id
    await free_time(context, institution, tutor_id, contact_id, voids=None)
    meeting.wipe(mails=False)
    meeting = await Scheduling(context, institution).put_meeting(meeting)
    mails = await context.mail.erase(institution, contact_id)
    meeting.wipe(mails=mails > 0)
    await context.vault.erase(institution, contact_id)
    await context.store.compact()
    return meeting


def _unknown(event: Event[ConsentState]) -> Meeting:
    """The meeting of a contact that is heard of for the first time, be it only to be left alone."""
    contact = event.data.contact
    return Meeting(
        id=event.subject,
        institution=event.institution,
        contact=contact,
        tutor_id=contact.tutor_id,
        language=contact.language,
    )


def _record(caused: type[AnyEvent], meeting: Meeting, event: AnyEvent, now: datetime, actor: str) -> AnyEvent:
    return caused.of(
        meeting,
        meeting.as_state(),
        at=now,
        actor=actor,
        cause=event,
    )


__all__ = ["erase", "follow_consent", "follow_recording", "make_meeting", "restore_erasure"]
