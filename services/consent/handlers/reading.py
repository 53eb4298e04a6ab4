"""Reading only: what pages and programs are shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firsthand.services.consent.handlers.policies import Ground, ground_of
from firsthand.services.consent.model import Journey, in_plain_order
from firsthand.services.consent.model.consent import Consent
from firsthand.services.consent.model.receipt import receipt_of
from firsthand.services.consent.model.records import Record
from firsthand.services.consent.model.texts import TextBody
from firsthand.services.consent.repository import Journeys, Records
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case
from firsthand.shared.topology import ERASURE_ANSWERS
from firsthand.shared.vault import KeyErased


@dataclass(frozen=True)
class FamilyView:
    """All that a family's page needs."""

    journey: Journey
    ground: Ground


async def family_view(
    context: Context, institution: InstitutionId, contact_id: str, language: str | None = None
) -> FamilyView:
    """Raises NotFound."""
    journey = await Journeys(context, institution).demand(contact_id)
    wanted = (language, journey.contact.language) if language else (journey.contact.language,)
    return FamilyView(journey, await ground_of(context, institution, journey.case_id, *wanted))


def can(context: Context, view: FamilyView) -> dict[str, bool]:
    """What the family can do now."""
    journey, now = view.journey, context.clock.now()
    consent, stage = journey.consent, journey.current_stage()
    live = consent.state in {"granted", "paused"}
    return {
        "decide": stage == "linked" and not view.ground.permission.refusals(now),
        "decline": stage in {"sent", "answered", "linked"},
        "change": live,
        "pause": consent.state == "granted",
        "resume": consent.state == "paused",
        "release": _can_release(consent, journey),
        "withdraw": stage not in {"erasing", "erased"},
        "undo": consent.can_undo(context.trusted.sure()),  # for as long as nothing deletes it
    }


def _can_release(consent: Consent, journey: Journey) -> bool:
    recording = journey.recording
    there = recording is not None and recording.state in {"held", "released"} and bool(recording.sha256)
    return consent.state == "granted" and there and not consent.released(recording)


async def records_of(context: Context, journey: Journey) -> list[Record]:
    return await Records(context, journey.institution).of(journey)


@dataclass(frozen=True)
class Signed:
    """The text that a family's choices refer to, word for word as it was shown."""

    language: str
    body: TextBody


async def signed_text(context: Context, journey: Journey) -> Signed | None:
    """None before a decision, and after the erasure."""
    shown = [record for record in await records_of(context, journey) if record.text is not None]
    last = shown[-1] if shown else None
    return Signed(last.language, last.text) if last and last.text else None


async def receipt(context: Context, view: FamilyView) -> dict[str, Any]:
    records = await records_of(context, view.journey)
    return receipt_of(
        view.journey, records, await names_of(context, records), view.ground.institution, context.clock.now()
    )


async def names_of(context: Context, records: list[Record]) -> dict[str, str]:
    """The signer's name, and who else agrees, opened to be shown; empty once erased."""
    signed = next((record for record in records if record.statement), None)
    if signed is None or signed.statement is None:
        return {}
    sealed = {"name": signed.statement.name}
    if signed.statement.other_agrees:
        sealed["other_agrees"] = signed.statement.other_agrees
    try:
        return await context.vault.open_many(signed.institution, signed.contact_id, sealed)
    except KeyErased:
        return {}


def certificate(journey: Journey) -> dict[str, Any]:
    """What each service erased, kept and cannot reach, as it said itself; complete once all have said it."""
    consent, receipt_kept = journey.consent, journey.receipt
    return {
        "contact_id": journey.id,
        "reference": journey.contact.reference,
        "erasure_id": consent.erasure_id,
        "complete": consent.state == "erased",
        "waiting_for": [] if consent.state == "erased" else journey.still_to_answer(ERASURE_ANSWERS),
        "completed_at": receipt_kept.erased_at.isoformat() if receipt_kept else None,
        "services": [
            {"service": service, **answer.model_dump(mode="json")}
            for service, answer in in_plain_order(journey.answers)
        ],
        "copies": {
            "state": journey.copies,
            "destroyed_at": journey.copies_destroyed_at.isoformat() if journey.copies_destroyed_at else None,
        }
        if journey.copies
        else None,
        "consumers": [consumer.model_dump(mode="json") for consumer in journey.consumers],
        "receipt": receipt_kept.model_dump(mode="json") if receipt_kept else None,
    }


@use_case
async def keep_answers(
    context: Context, institution: InstitutionId, contact_id: str, given: Mapping[str, str]
) -> dict[str, Any]:
    """Keep answers that a family gave between two pages, sealed; returns all that it has given so far."""
    journeys = Journeys(context, institution)
    journey = await journeys.demand(contact_id)
    draft = {**await draft_of(context, journey), **given}
    if journey.current_stage() != "linked":
        return draft
    journey.draft = await context.vault.seal(institution, contact_id, "draft", json.dumps(draft, ensure_ascii=False))
    await journeys.save(journey)
    return draft


async def draft_of(context: Context, journey: Journey) -> dict[str, Any]:
    if journey.draft is None:
        return {}
    opened: dict[str, Any] = json.loads(
        await context.vault.open(journey.institution, journey.id, "draft", journey.draft)
    )
    return opened
