"""Erasure: asked of every service, answered by each, completed by our own, and proved by a certificate."""

from firsthand.services.consent.model import ErasureAnswer, Journey
from firsthand.services.consent.repository import Journeys, Links, Records
from firsthand.shared.events.consent import ErasureCompletedV1, ErasureRequestedV1
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import AnyEvent, Event
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.service import Context
from firsthand.shared.store import Conflict
from firsthand.shared.topology import ERASURE_ANSWERS


async def begin_if_due(context: Context, journey: Journey, *, actor: str) -> Journey:
    """Begin a deletion whose time has come, in the same breath; if this is too late or cut off, the timer does it."""
    if journey.consent.erasure_id is not None or not journey.consent.deletion_due(context.trusted.sure()):
        return journey
    try:
        return await request_erasure(context, journey, actor=actor)
    except Conflict:
        return await Journeys(context, journey.institution).demand(journey.id)


async def request_erasure(context: Context, journey: Journey, *, actor: str) -> Journey:
    journey.request_erasure(context.trusted.sure(), new_id())
    return await Journeys(context, journey.institution).save(journey, ErasureRequestedV1, actor=actor)


async def note_erased(context: Context, event: Event[ErasedState]) -> None:
    """Note a service's answer; the last one completes the erasure."""
    journeys = Journeys(context, event.institution)
    journey = await journeys.get(event.data.contact_id)
    if journey is None:
        return  # we asked for it, so we knew it: this data was restored from a time before
    journey.take(event)
    if journey.erasure_answered(context.clock.now(), event.data):
        journey = await journeys.save(journey)
    # Also when it was noted before: a crash may have come between the last answer and the completion.
    if journey.current_stage() == "erasing" and not journey.still_to_answer(ERASURE_ANSWERS):
        await complete_erasure(context, journey, cause=event)


async def complete_erasure(context: Context, journey: Journey, *, cause: AnyEvent | None) -> None:
    """Erase our own, and say so only when it is true. Every step may be done twice."""
    journeys = Journeys(context, journey.institution)
    own = _own_answer(context, journey)
    if journey.token or journey.draft or journey.birth_year:  # another replica may be at it too: no save in vain
        journey.token = journey.draft = journey.birth_year = None
        journey = await journeys.save(journey)
    await _erase_own(context, journey.institution, journey.id)
    journey.erase(context.clock.now(), mark=context.vault.mark("receipt", journey.institution, journey.id), own=own)
    await journeys.save(journey, ErasureCompletedV1, cause=cause)


async def restore_erasure(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Data came back from a backup, but the ledger says that this contact was erased: erase it again, telling nobody,
    since every service does the same by its own ledger.
    """
    journeys = Journeys(context, institution)
    journey = await journeys.get(contact_id)
    if journey is None or journey.consent.state == "erased":
        return  # records go before the journey is said to be erased, and never come before it
    if journey.current_stage() == "erasing" and not journey.still_to_answer(ERASURE_ANSWERS):
        # No restore: this process died between destroying the key and saying so.
        await complete_erasure(context, journey, cause=None)
        return
    own = _own_answer(context, journey)
    await _erase_own(context, institution, contact_id)
    journey.erase(context.clock.now(), mark=context.vault.mark("receipt", institution, contact_id), own=own)
    await journeys.save(journey)
    await context.store.compact()


async def forget_certificate(context: Context, journey: Journey) -> None:
    """The stated time is over: the certificate, its link and the minimal receipt go too."""
    link_id = journey.link_id
    journey.forget_certificate(context.clock.now())
    await Journeys(context, journey.institution).save(journey)
    if link_id:
        await Links(context, journey.institution).remove(link_id)


async def _erase_own(context: Context, institution: InstitutionId, contact_id: str) -> None:
    await Records(context, institution).erase(contact_id)
    await context.vault.erase(institution, contact_id)
    await context.mail.erase(institution, contact_id)
    await context.store.compact()


def _own_answer(context: Context, journey: Journey) -> ErasureAnswer:
    erased = ["link-token", "draft-answers"]
    if journey.records:
        erased = ["signer-name", "decisions", *erased]
    return ErasureAnswer(
        at=context.clock.now(),
        erased=erased,
        kept=["minimal-receipt", "link-mark"] if journey.link_id else ["minimal-receipt"],
        out_of_reach=["platform-messages"] if journey.invitation.sent_at else [],
    )
