"""The receipt: the decisions and the text they refer to, in the four parts of ISO/IEC TS 27560."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import Record
from firsthand.services.consent.model.scopes import ASKED, included_in
from firsthand.shared.events.portal import InstitutionState

_SCHEMA: Final = "ISO/IEC TS 27560:2023"

# Our acts in the terms of the W3C Data Privacy Vocabulary (consent statuses).
_STATUS: Final[Mapping[str, str]] = {
    "granted": "ConsentGiven",
    "declined": "ConsentRefused",
    "changed": "RenewedConsentGiven",
    "paused": "ConsentStatusInvalidForProcessing",
    "resumed": "ConsentStatusValidForProcessing",
    "released": "ConsentGiven",
    "withdrawn": "ConsentWithdrawn",
    "undone": "RenewedConsentGiven",
}


def receipt_of(
    journey: Journey,
    records: Sequence[Record],
    names: Mapping[str, str],
    institution: InstitutionState | None,
    issued_at: datetime,
) -> dict[str, Any]:
    """Make the receipt. `names` are the opened personal parts of the records' statement: `name`, `other_agrees`."""
    shown = [record for record in records if record.text is not None]
    return {
        "header": {
            "schema_version": _SCHEMA,
            "record_id": journey.last_record,
            "pii_principal_id": journey.id,
            "reference": journey.contact.reference,
            "issued_at": issued_at.isoformat(),
        },
        "processing": _processing(journey, shown[-1] if shown else None),
        "parties": _parties(journey, records, names, institution),
        "events": [_event(record) for record in records],
    }


def _processing(journey: Journey, shown: Record | None) -> dict[str, Any]:
    text, consent = shown.text if shown else None, journey.consent
    return {
        "privacy_notice": {
            "text_version": consent.text_version,
            "language": consent.language,
            "text": text.model_dump(mode="json") if text else None,
        },
        "purposes": [
            {
                "purpose": scope,
                "question": text.scopes[scope].question if text else "",
                "consequence": text.scopes[scope].consequence if text else "",
                "allowed": scope in consent.allowed or included_in(scope, consent.allowed) is not None,
                "in_force": scope in consent.in_force or included_in(scope, consent.in_force) is not None,
                "included_in": included_in(scope, consent.allowed),
                "lawful_basis": "consent",
            }
            for scope in (text.scopes if text else consent.allowed)
            if scope in ASKED or scope in consent.allowed  # nobody was asked for the others
        ],
        "retention": {
            "text": text.retention if text else "",
            "until": consent.expires_at.isoformat() if consent.expires_at else None,
        },
        "recipients": text.audience if text else "",
        "withdrawal_method": "/consent/family",
        "released_recording": {"sha256": consent.release_of} if consent.release_of else None,
    }


def _parties(
    journey: Journey, records: Sequence[Record], names: Mapping[str, str], institution: InstitutionState | None
) -> list[dict[str, Any]]:
    statement = next((record.statement for record in records if record.statement), None)
    controller = {
        "role": "controller",
        "name": institution.name if institution else journey.institution,
        "country": institution.country if institution else "",
        "website": institution.website if institution else "",
        "contact": (institution.verify_address or institution.account) if institution else "",
    }
    if statement is None:
        return [controller]
    principal = {
        "role": "signer",
        "signs_as": statement.signer,
        "name": names.get("name", ""),
        "about_child": statement.about_child,
        "child_assent": statement.child_assent,
        "decides_alone": statement.decides_alone,
        "other_who_agrees": names.get("other_agrees"),
    }
    return [controller, principal]


def _event(record: Record) -> dict[str, Any]:
    return {
        "event_id": record.id,
        "event_time": record.at.isoformat(),
        "event_type": record.act,
        "event_state": _STATUS[record.act],
        "entity": "family" if record.actor == "family" else "system" if record.actor == "system" else "staff",
        "told_at": record.told_at.isoformat() if record.told_at else None,
        "scopes": record.scopes,
        "text_version": record.text_version,
        "recording_sha256": record.sha256 or None,
    }
