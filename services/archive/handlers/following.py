"""The use cases that follow events and time: await, obey the consent, end, erase.

What they store about a recording's end goes by the time that surely is. The gate, which only refuses for now, goes by
the machine's clock.
"""

from firsthand.services.archive.handlers.searching import WordIndex
from firsthand.services.archive.handlers.versions import keep_only_what_is_shown
from firsthand.services.archive.model import Recording, RecordingEvent
from firsthand.services.archive.model.version import is_original
from firsthand.services.archive.repository import Clips, Recordings, Transcripts, Uploads, Versions, Viewings, shelf_of
from firsthand.shared.bus.errors import Transient
from firsthand.shared.events.archive import ArchiveErasedV1
from firsthand.shared.events.consent import ConsentState, ErasureRequestedV1
from firsthand.shared.events.discovery import STAFF_COPIES, ErasedState
from firsthand.shared.events.envelope import Event
from firsthand.shared.events.scheduling import MeetingFinishedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import MediaBusy
from firsthand.shared.service import Context

ERASED = ["media", "uploads", "transcripts", "clips", "key", "view-log"]
KEPT = ["recording-tombstone"]  # that there was one, so that nothing of it comes back


async def await_recording(context: Context, event: MeetingFinishedV1) -> None:
    """A meeting was held: a recording is to come, or none."""
    now = context.clock.now()
    recordings = Recordings(context, event.institution)
    recording = await recordings.get_or_begin(event.data.contact, now)
    if recording.take(event):
        recording.expect(expected=event.data.recording == "expected")
        await recordings.save(recording, recording.settle(context.trusted.sure()), at=now, cause=event)


async def follow_consent(context: Context, event: Event[ConsentState]) -> None:
    """Apply what the family allows now: open, narrow, close, or reopen."""
    if isinstance(event, ErasureRequestedV1):
        return await erase(context, event)
    now = context.clock.now()
    recordings = Recordings(context, event.institution)
    recording = await recordings.get_or_begin(event.data.contact, now)
    if recording.take(event):
        had_words = "transcript" in recording.allowed
        recording.obey(event.data.consent, event.sequence)
        told = recording.settle(context.trusted.sure())
        if recording.done_with:  # before the save, which is tried again until all of it is true
            await keep_only_what_is_shown(context, recording)
        if had_words:
            await _limit_words(context, recording)
        if recording.forbids_words:
            recording.words = None
        await recordings.save(recording, told, at=now, cause=event)
    return None


async def _limit_words(context: Context, recording: Recording) -> None:
    """Remove what is written down where the family allows it no more, and have search know whom the rest is for."""
    transcripts = Transcripts(context, recording.institution)
    if recording.forbids_words:
        await transcripts.forget(recording.id)
    else:
        await transcripts.name_audience(recording, context.clock.now())


async def erase(context: Context, event: ErasureRequestedV1) -> None:
    """Erase everything held of a contact, and say so only when it is true. Repeating it does no harm."""
    now = context.clock.now()
    consent = event.data.consent
    recordings = Recordings(context, event.institution)
    recording = await recordings.get_or_begin(event.data.contact, now)
    if recording.state == "erased" and recording.erasure_id == consent.erasure_id:
        return
    if not recording.leaves:  # close first: from here on nobody plays it, brings media or notes a viewing
        recording.obey(consent, event.sequence)
        told = recording.settle(context.trusted.sure())
        recording = await recordings.save(recording, told, at=now, cause=event)
    await _destroy(context, event.institution, event.subject)
    recording.take(event)
    recording.erase(consent.erasure_id or "", now)
    await recordings.put_with(recording, _erased(recording, event))


async def restore_erasure(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Erase again what a backup restored of a contact whose key is gone."""
    if is_original(contact_id):  # nobody can open it any more, wherever it comes from
        return
    recordings = Recordings(context, institution)
    recording = await recordings.get(contact_id)
    if recording is None or recording.state == "erased":  # so at most files came back
        await shelf_of(context, institution, contact_id).clear_folder()  # the bucket: `erase_what_came_late`
        return
    await _destroy(context, institution, contact_id)
    recording.erase(recording.erasure_id, context.clock.now())
    await recordings.put_with(recording, None)


async def end_when_due(context: Context, recording: Recording) -> None:
    """The time for which it was allowed, or for which the institution keeps recordings, is over."""
    told: RecordingEvent | None = recording.settle(context.trusted.sure())
    if "transcript" in recording.allowed:
        await _limit_words(context, recording)
    await Recordings(context, recording.institution).save(recording, told, at=context.clock.now())


async def name_audience(_context: Context, recording: Recording) -> None:
    """Give a recording of an older release the fields by which lists find it."""
    recording.name_audience()


async def _destroy(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Destroy the key, then what it sealed, then every trace in the database's file."""
    await context.vault.erase(institution, contact_id)
    uploads = Uploads(context, institution)
    while found := await uploads.of(contact_id):
        for upload in found:
            await uploads.forget(upload)
    await Versions(context, institution).forget(contact_id)
    await Transcripts(context, institution).forget(contact_id)
    await Clips(context, institution).forget(contact_id)
    await context.own(WordIndex).forget(institution, contact_id)
    try:
        await shelf_of(context, institution, contact_id).clear()
    except MediaBusy:  # whoever holds it sees within a second that it is no longer wanted
        raise Transient from None
    await Viewings(context, institution).forget(contact_id)
    await context.store.compact()


def _erased(recording: Recording, event: ErasureRequestedV1) -> ArchiveErasedV1:
    return ArchiveErasedV1.of(
        recording,
        at=recording.erased_at or event.time,
        actor="system",
        cause=event,
        data=ErasedState(
            contact_id=recording.id,
            erasure_id=recording.erasure_id,
            service="archive",
            erased=[*ERASED, *([STAFF_COPIES] if recording.copies == "destroyed" else [])],
            kept=KEPT,
            out_of_reach=[STAFF_COPIES] if recording.copies == "to-destroy" else [],
        ),
    )
