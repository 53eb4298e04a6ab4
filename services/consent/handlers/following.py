"""Keep what the family's page shows of the meeting, the recording, and the systems that were told. Nothing personal."""

from firsthand.services.consent.model import Consumer, Meeting, Recording
from firsthand.services.consent.repository import Journeys
from firsthand.shared.events.archive import RecordingState
from firsthand.shared.events.envelope import Event
from firsthand.shared.events.scheduling import MeetingState
from firsthand.shared.events.webhooks import ObligationsState
from firsthand.shared.service import Context


async def follow_meeting(context: Context, event: Event[MeetingState]) -> None:
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.subject)
    # A meeting follows from a consent, so an unknown one belongs to data of a time after ours (a restore).
    if journey is None or journey.current_stage() == "erased" or not journey.take(event):
        return
    told = event.data
    journey.meeting = Meeting(
        state=told.state, starts_at=told.starts_at, recording=told.recording, cancelled_by=told.cancelled_by
    )
    await journeys.save(journey)


async def follow_recording(context: Context, event: Event[RecordingState]) -> None:
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.subject)
    if journey is None:
        return
    told = event.data
    if told.state == "erased":  # all that is told then is that copies elsewhere were destroyed: for the certificate
        if told.copies == "destroyed" and journey.copies_destroyed_at is None:
            journey.copies_destroyed_at = event.time
            await journeys.save(journey)
        return
    if journey.current_stage() == "erased" or not journey.take(event):
        return
    journey.recording = Recording(
        state=told.state,
        media=told.media,
        sha256=told.sha256,
        duration_seconds=told.duration_seconds,
        held_at=told.held_at,
        refused_because=told.refused_because,
        expires_at=told.expires_at,
    )
    await journeys.save(journey)


async def follow_obligations(context: Context, event: Event[ObligationsState]) -> None:
    """Keep which systems were asked and what they answered, also after the erasure: the certificate lists it."""
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.subject)
    if journey is None or not journey.take(event):
        return
    journey.consumers = [
        Consumer(
            name=one.consumer,
            because=one.because,
            asked_at=one.asked_at,
            answer=one.answer,
            answered_at=one.answered_at,
            lifted_at=one.lifted_at,
        )
        for one in event.data.obligations
    ]
    await journeys.save(journey)
