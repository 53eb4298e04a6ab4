"""Follow events: each becomes a delivery for every endpoint that hears it; an erasure takes what was kept."""

import asyncio
from datetime import timedelta

from firsthand.services.webhooks.handlers.endpoints import forget_endpoint
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.model import Delivery, Endpoint
from firsthand.services.webhooks.repository import AllRecipients, Deliveries, Endpoints
from firsthand.services.webhooks.settings import WebhookSettings
from firsthand.shared.bus.errors import Transient
from firsthand.shared.events.consent import ErasureRequestedV1
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.webhooks import EndpointTestedV1, WebhooksErasedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context


async def fan_out(context: Context, event: AnyEvent) -> None:
    """Keep a delivery for each endpoint that hears an event, then wake their lanes.

    An event that comes again makes no second delivery, and whoever added an endpoint since hears it now.
    """
    if isinstance(event, ErasureRequestedV1):
        await erase(context, event)
    endpoints = await Endpoints(context, event.institution).listed()
    if not endpoints:
        return
    case_id = await _case_of(context, event)
    hearing = [one for one in endpoints if _hears(one, event, case_id)]
    if not hearing:
        return
    await _note_recipients(context, event, hearing, case_id)
    deliveries = Deliveries(context, event.institution)
    await asyncio.gather(*(deliveries.add(_delivery(context, event, one)) for one in hearing))
    dispatch = dispatch_of(context)
    for one in hearing:
        if one.state == "active":
            await dispatch.wake(event.institution, one.id)


async def erase(context: Context, event: ErasureRequestedV1) -> None:
    """Forget all that was sent of a contact, and say so once it is true. Repeating it does no harm."""
    erasure_id = event.data.consent.erasure_id or ""
    everyone = AllRecipients(context, event.institution)
    recipients = await everyone.get_or_begin(event.subject)
    if recipients.erasure_id == erasure_id:
        return
    await _forget(context, event.institution, event.subject, but=event.id)
    recipients.erasure_id = erasure_id
    now = context.clock.now()
    told = WebhooksErasedV1.of(
        recipients,
        ErasedState(
            contact_id=event.subject,
            erasure_id=erasure_id,
            service="webhooks",
            erased=["deliveries"],
            out_of_reach=["delivered-events"] if recipients.endpoints else [],
        ),
        at=now,
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
        return
    await _forget(context, institution, owner)


async def _forget(context: Context, institution: InstitutionId, contact_id: str, *, but: str = "") -> None:
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


async def _case_of(context: Context, event: AnyEvent) -> str:
    """The case that an event is about; empty where it is about none, or nobody knows it."""
    if contact := getattr(event.data, "contact", None):
        return str(contact.case_id)
    if case_id := getattr(event.data, "case_id", ""):
        return str(case_id)
    known = await AllRecipients(context, event.institution).get(event.subject)
    return known.case_id if known else ""


async def _note_recipients(context: Context, event: AnyEvent, hearing: list[Endpoint], case_id: str) -> None:
    """Note who was sent anything of a contact, before it is sent."""
    if getattr(event.data, "contact", None) is None:
        return
    everyone = AllRecipients(context, event.institution)
    recipients = await everyone.get_or_begin(event.subject)
    new = {one.id: event.time for one in hearing if one.id not in recipients.endpoints}
    if new:
        recipients.case_id = case_id
        recipients.endpoints = {**recipients.endpoints, **new}
        await everyone.put(recipients)


def _delivery(context: Context, event: AnyEvent, endpoint: Endpoint) -> Delivery:
    now = context.clock.now()
    return Delivery(
        id=Delivery.id_of(event.id, endpoint.id),
        institution=event.institution,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_type=event.type,
        contact_id=event.subject,
        occurred_at=event.time,
        made_at=now,
        body=event.wire().decode(),
        next_at=now,
        due_at=now + timedelta(days=WebhookSettings().keep_days),
    )


__all__ = ["erase", "fan_out", "restore_erasure"]
