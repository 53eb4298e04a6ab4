"""What happens when a journey's time has come, by the time that surely is: all of it ends something for good, but that
a reminder may be sent, which only moves the contact in the tutor's list.
"""

from firsthand.services.consent.handlers.erasure import begin_if_due, forget_certificate, request_erasure
from firsthand.services.consent.model import Journey
from firsthand.services.consent.repository import Journeys
from firsthand.shared.events.consent import ConsentWithdrawnV1, InvitationExpiredV1
from firsthand.shared.service import Context

SYSTEM = "system"


async def on_due(context: Context, journey: Journey) -> None:
    match journey.current_stage():
        case "prepared" | "sent" | "answered" | "linked":
            await _end_in_silence(context, journey)
        case "granted" | "paused":
            await _end_consent(context, journey)
        case "closed" | "expired" | "declined" | "withdrawn":
            await _erase_if_due(context, journey)
        case "erased":
            await forget_certificate(context, journey)
        case "erasing":  # due only by a save of an older version of these rules
            await Journeys(context, journey.institution).save(journey)


async def settle(context: Context, journey: Journey) -> None:
    """Give a journey of an older release the fields by which lists find it."""
    journey.settle(context.clock.now())


async def _end_in_silence(context: Context, journey: Journey) -> None:
    """Nobody answered in time; or it is only that a reminder may be sent from now on."""
    now, ends_at = context.trusted.sure(), journey.invitation.ends_at
    if ends_at is not None and now < ends_at:
        await Journeys(context, journey.institution).save(journey)
        return
    journey.silence(now)
    await Journeys(context, journey.institution).save(journey, InvitationExpiredV1, actor=SYSTEM)


async def _erase_if_due(context: Context, journey: Journey) -> None:
    """Begin the deletion; or the clock, which was not believed when the family asked, proved right: its day counts."""
    if journey.consent.deletion_due(context.trusted.sure()):
        await request_erasure(context, journey, actor=SYSTEM)
    else:
        journey.consent.erase_by = None
        await Journeys(context, journey.institution).save(journey)


async def _end_consent(context: Context, journey: Journey) -> None:
    """The time for which it was given is over."""
    now = context.trusted.sure()
    journey.expire(now)
    saved = await Journeys(context, journey.institution).save_act(
        journey,
        ConsentWithdrawnV1,
        actor=SYSTEM,
        act="withdrawn",
        at=now,
        scopes=[],
        language=journey.consent.language,
        text_version=journey.consent.text_version,
        erase="now",
    )
    await begin_if_due(context, saved, actor=SYSTEM)
