"""What consumers owe for a contact whose family took something back: they answer, or are reminded."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from firsthand.services.webhooks.model import Obligation, Recipients
from firsthand.services.webhooks.repository import AllRecipients, known
from firsthand.shared.events.webhooks import ObligationAnsweredV1, OwedAnswer
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Page


@dataclass(frozen=True)
class Owing:
    """What is owed for one contact, by endpoint id."""

    contact_id: str
    reference: str
    since: datetime | None
    obligations: Mapping[str, Obligation]

    @classmethod
    def of(cls, recipients: Recipients) -> "Owing":
        reference = recipients.contact.reference if recipients.contact else ""
        return cls(recipients.id, reference, recipients.owed_since, recipients.obligations)


async def answer_by_consumer(
    context: Context, slug: str, contact_id: str, endpoint_id: str, token: str, *, answer: OwedAnswer, reference: str
) -> Obligation:
    """Take a consumer's own answer; the address that it was given is its right. Raises NotFound, Refused."""
    right = context.vault.mark("webhook answer", slug, contact_id, endpoint_id)
    if not hmac.compare_digest(right.encode(), token.encode()):
        raise NotFound
    institution = await known(context, slug)
    return await _answer(context, institution, contact_id, endpoint_id, answer=answer, reference=reference, by="")


async def answer_for_consumer(
    context: Context, staff: Staff, contact_id: str, endpoint_id: str, *, answer: OwedAnswer, reference: str
) -> Obligation:
    """A coordinator answers for a consumer that told them another way. Raises NotFound, Refused."""
    by = staff.person_id
    return await _answer(context, staff.institution, contact_id, endpoint_id, answer=answer, reference=reference, by=by)


async def list_owing(
    context: Context, institution: InstitutionId, *, after: str | None, limit: int
) -> Page[Recipients]:
    """The contacts for whom an answer is owed, the longest since first. Raises NoSuchPlace."""
    return await AllRecipients(context, institution).owing(after=after, limit=limit)


async def see_owing(context: Context, institution: InstitutionId, contact_id: str) -> Owing:
    """What was asked for one contact, answered or not. Raises NotFound."""
    found = await AllRecipients(context, institution).get(contact_id)
    if found is None or not found.obligations:
        raise NotFound
    return Owing.of(found)


@use_case
async def _answer(
    context: Context,
    institution: InstitutionId,
    contact_id: str,
    endpoint_id: str,
    *,
    answer: OwedAnswer,
    reference: str,
    by: str,
) -> Obligation:
    everyone = AllRecipients(context, institution)
    recipients = await everyone.get(contact_id)
    if recipients is None or endpoint_id not in recipients.obligations:
        raise NotFound
    now = context.clock.now()
    if recipients.answer(endpoint_id, answer, reference=reference, by=by, at=now):
        told = ObligationAnsweredV1.of(recipients, recipients.told(), at=now, actor=by or "system")
        recipients = await everyone.put(recipients, told)
    return recipients.obligations[endpoint_id]


__all__ = ["Owing", "answer_by_consumer", "answer_for_consumer", "list_owing", "see_owing"]
