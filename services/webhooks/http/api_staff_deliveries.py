"""Deliveries over the JSON API, for coordinators and machines."""

from typing import Annotated

from fastapi import APIRouter, Query

from firsthand.services.webhooks.handlers import deliveries
from firsthand.services.webhooks.http.shapes import DeliveriesOut, DeliveryOut, Shown, WholeDeliveryOut
from firsthand.services.webhooks.model.endpoint import types_of
from firsthand.services.webhooks.repository import Search
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Instant, Line
from firsthand.shared.web.access import ContextDep, Keeper

router = APIRouter(prefix="/endpoints/{endpoint_id}/deliveries", tags=["deliveries"])


@router.get("")
async def list_deliveries(
    context: ContextDep,
    endpoint_id: Id,
    staff: Keeper,
    state: Shown | None = None,
    contact_id: Id | None = None,
    event_id: Id | None = None,
    event_type: Annotated[Line, Query(max_length=100, description="`consent.granted` or `consent.*`")] = "",
    since: Annotated[Instant | None, Query(description="when the delivery was made")] = None,
    until: Annotated[Instant | None, Query(description="not this moment itself")] = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> DeliveriesOut:
    """Search what was delivered, or is to be, the latest first. Those of one event or contact come on one page."""
    types = types_of(event_type, staff.institution) if event_type else ()
    page = await deliveries.list_deliveries(
        context,
        staff.institution,
        endpoint_id,
        Search(event_id or contact_id or "", state, types, since, until),
        after=after,
        limit=limit,
    )
    return DeliveriesOut(items=[DeliveryOut.of(one) for one in page.items], next=page.next)


@router.get("/{delivery_id}")
async def get_delivery(context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Keeper) -> WholeDeliveryOut:
    _, found = await deliveries.see_delivery(context, staff.institution, endpoint_id, delivery_id)
    return WholeDeliveryOut.of(found)


@router.post("/{delivery_id}/resend", status_code=202)
async def resend(context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Keeper) -> DeliveryOut:
    """Send it once more, now, with the same `webhook-id`."""
    return DeliveryOut.of(await deliveries.resend(context, staff, endpoint_id, delivery_id))
