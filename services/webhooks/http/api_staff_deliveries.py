"""Deliveries over the JSON API, for coordinators and machines."""

from typing import Annotated

from fastapi import APIRouter, Query

from firsthand.services.webhooks.handlers import deliveries
from firsthand.services.webhooks.http.shapes import DeliveriesOut, DeliveryOut, Shown, WholeDeliveryOut
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.web.access import ContextDep, Coordinator

router = APIRouter(prefix="/api/v1/endpoints/{endpoint_id}/deliveries", tags=["deliveries"])


@router.get("")
async def list_deliveries(
    context: ContextDep,
    endpoint_id: Id,
    staff: Coordinator,
    state: Shown | None = None,
    contact_id: Id | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> DeliveriesOut:
    """List what was delivered, or is to be, the latest first: all, those in one state, or those of one contact."""
    page = await deliveries.list_deliveries(
        context,
        staff.institution,
        endpoint_id,
        state=state,
        contact_id=contact_id or "",
        after=after,
        limit=limit,
    )
    return DeliveriesOut(items=[DeliveryOut.of(one) for one in page.items], next=page.next)


@router.get("/{delivery_id}")
async def get_delivery(context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Coordinator) -> WholeDeliveryOut:
    _, found = await deliveries.see_delivery(context, staff.institution, endpoint_id, delivery_id)
    return WholeDeliveryOut.of(found)


@router.post("/{delivery_id}/resend", status_code=202)
async def resend(context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Coordinator) -> DeliveryOut:
    """Send it once more, now, with the same `webhook-id`."""
    return DeliveryOut.of(await deliveries.resend(context, staff, endpoint_id, delivery_id))
