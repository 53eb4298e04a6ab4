"""Follow events: each becomes a delivery for every endpoint that hears it, or owes an answer for it; an erasure takes
what was kept.
"""

import asyncio
from datetime import timedelta
from typing import Final

from firsthand.services.webhooks.handlers.endpoints import forget_endpoint
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.model import Delivery, Endpoint
from firsthand.services.webhooks.model.delivery import HAPPENS, URGENT
from firsthand.services.webhooks.repository import AllRecipients, Deliveries, Endpoints
from firsthand.services.webhooks.settings import webhook_settings
from firsthand.shared.bus.errors import Transient
from firsthand.shared.events.consent import ConsentDeclinedV1, ConsentWithdrawnV1, ErasureRequestedV1
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.webhooks import (
    EndpointTestedV1,
    ObligationAnsweredV1,
    ObligationOpenedV1,
    WebhooksErasedV1,
)
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.topology import OPERATIONAL

_OPERATIONAL: Final = frozenset(event.event_type() for event in OPERATIONAL)


async def fan_out(context: Context, event: AnyEvent) -> None:
    """Keep a delivery for each endpoint that hears an event or owes an answer for it, then wake their lanes.

    An event that comes again makes no second delivery, and whoever added an endpoint since hears it now.
    """
    if isinstance(event, ErasureRequestedV1):
        await forget(context, event.institution, event.subject, but=event.id)
    everyone = await Endpoints(context, event.institution).listed()
    if event.institution != DEPLOYMENT and event.type in _OPERATIONAL:
        everyone = [*everyone, *await Endpoints(context, DEPLOYMENT).listed()]
    case_id = await case_of(context, event) if everyone else ""
    hearing = [one for one in everyone if _hears(one, event, case_id)]
    asking = await _note_recipients(context, event, hearing, everyone)
    to = {one.id for one in hearing} | set(asking)
    receiving = [one for one in everyone if one.id in to]
    made = [delivery_of(context, event, one, asks=one.id in asking) for one in receiving]
    await asyncio.gather(*(Deliveries(context, one.institution).add(one) for one in made))
    if isinstance(event, ErasureRequestedV1):
        await tell_erased(context, event)
    elif isinstance(event, ConsentDeclinedV1 | ConsentWithdrawnV1):
        await Deliveries(context, event.institution).forget_past_of(event.subject)
    dispatch = dispatch_of(context)
    for one in receiving:
        if one.state == "active":
            await dispatch.wake(one.institution, one.id, urgent=event.urgent or one.id in asking)


async def tell_erased(context: Context, event: ErasureRequestedV1) -> None:
    """Say that all that was kept of a contact is gone. Repeating it does no harm."""
    everyone = AllRecipients(context, event.institution)
    erasure_id = event.data.consent.erasure_id or ""
    recipients = await everyone.get_or_begin(event.subject)
    if recipients.erasure_id == erasure_id:
        return
    recipients.erasure_id, recipients.contact = erasure_id, event.data.contact
    recipients.take(event)
    told = WebhooksErasedV1.of(
        recipients,
        ErasedState(
            contact_id=event.subject,
            erasure_id=erasure_id,
            service="webhooks",
            erased=["deliveries"],
            kept=["obligations"] if recipients.obligations else [],
            out_of_reach=["delivered-events"] if recipients.endpoints else [],
        ),
        at=context.clock.now(),
        actor="system",
        cause=event,
    )
    await everyone.put(recipients, told)


async def restore_erasure(context: Context, institution: InstitutionId, owner: str) -> None:
    """Erase again what a backup restored: of a contact, or of an endpoint that was removed."""
    endpoints = Endpoints(context, institution)
    if (endpoint := await endpoints.get(owner)) is not None:
        if endpoint.listed:
            endpoint.remove()
            await endpoints.save(endpoint)
            await forget_endpoint(context, institution, owner)
    elif await Deliveries(context, institution).left(owner):
        await forget(context, institution, owner)


async def forget(context: Context, institution: InstitutionId, contact_id: str, *, but: str = "") -> None:
    """Raises Transient while an attempt of the contact's is being noted."""
    deliveries = Deliveries(context, institution)
    await deliveries.erase(contact_id, but=but)
    if await deliveries.left(contact_id, but=but):
        raise Transient
    await context.vault.erase(institution, contact_id)  # nothing is sealed for it here: the ledger's entry for backups
    await context.store.compact()


def _hears(endpoint: Endpoint, event: AnyEvent, case_id: str) -> bool:
    if isinstance(event, EndpointTestedV1):
        return event.subject == endpoint.id and endpoint.state == "active"
    return endpoint.hears(event.type, case_id, event.time)


async def case_of(context: Context, event: AnyEvent) -> str:
    """The case that an event is about; empty where it is about none, or nobody knows it."""
    if contact := getattr(event.data, "contact", None):
        return str(contact.case_id)
    if case_id := getattr(event.data, "case_id", ""):
        return str(case_id)
    known = await AllRecipients(context, event.institution).get(event.subject)
    return known.case_id if known else ""


async def _note_recipients(
    context: Context, event: AnyEvent, hearing: list[Endpoint], everyone: list[Endpoint]
) -> list[str]:
    """Note who is sent anything of a contact, before it is sent. Returns the ids of those that owe an answer for it."""
    if not hasattr(event.data, "contact") or event.service == "webhooks":
        return []
    known = AllRecipients(context, event.institution)
    recipients = await (known.get_or_begin(event.subject) if everyone else known.get(event.subject))
    if recipients is None or (recipients.erasure_id and not recipients.endpoints and not hearing):
        return []  # nobody is told anything here, nor was
    before = recipients.model_copy()
    asking = recipients.follow(event, hearing, everyone)
    if recipients == before:
        return asking
    told = None
    if recipients.obligations != before.obligations:
        opened = any(one.event_id == event.id for one in recipients.obligations.values())
        kind = ObligationOpenedV1 if opened else ObligationAnsweredV1
        told = kind.of(recipients, recipients.told(), at=context.clock.now(), actor="system", cause=event)
    await known.put(recipients, told)
    return asking


def delivery_of(
    context: Context, event: AnyEvent, endpoint: Endpoint, *, asks: bool = False, rank: int | None = None
) -> Delivery:
    """Make the delivery of an event. `rank`: by default what the event itself has."""
    now = context.clock.now()
    return Delivery(
        id=Delivery.id_of(event.id, endpoint.id),
        institution=endpoint.institution,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_type=event.type,
        contact_id=event.subject,
        occurred_at=event.time,
        made_at=now,
        body=event.wire().decode(),
        rank=rank if rank is not None else URGENT if asks or event.urgent else HAPPENS,
        asks=asks,
        next_at=now,
        due_at=now + timedelta(days=webhook_settings().keep_days),
    )


__all__ = ["case_of", "delivery_of", "fan_out", "forget", "restore_erasure"]
