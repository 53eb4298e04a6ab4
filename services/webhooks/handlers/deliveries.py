"""Deliveries: list them, look at one, send them again, and forget them in time."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from firsthand.services.webhooks.attempts import Target
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.model import Delivery, Endpoint
from firsthand.services.webhooks.model.delivery import DeliveryState
from firsthand.services.webhooks.repository import Deliveries, Endpoints, Search
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Conflict, Page
from firsthand.shared.texts import N_


@dataclass(frozen=True)
class Health:
    """How an endpoint fares: its deliveries by state."""

    endpoint: Endpoint
    counts: Mapping[DeliveryState, int]


async def health_of(context: Context, endpoint: Endpoint) -> Health:
    return Health(endpoint, await Deliveries(context, endpoint.institution).counts(endpoint.id))


async def list_deliveries(
    context: Context,
    institution: InstitutionId,
    endpoint_id: str,
    search: Search,
    *,
    after: str | None = None,
    limit: int,
) -> Page[Delivery]:
    """An endpoint's deliveries, the latest first; those of one id on one page. Raises NotFound, NoSuchPlace."""
    await Endpoints(context, institution).demand(endpoint_id)
    return await Deliveries(context, institution).page(endpoint_id, search, after=after, limit=limit)


async def see_delivery(
    context: Context, institution: InstitutionId, endpoint_id: str, delivery_id: str
) -> tuple[Endpoint, Delivery]:
    """Raises NotFound."""
    endpoint = await Endpoints(context, institution).demand(endpoint_id)
    return endpoint, await Deliveries(context, institution).demand(endpoint_id, delivery_id)


async def as_curl(context: Context, endpoint: Endpoint, delivery: Delivery) -> str:
    """Give a command that sends the same from a developer's machine, signed at this moment; the address of their own
    receiver takes the place of the endpoint's, and secrets in its own headers are left out.
    """
    _, headers = (await Target.of(context, endpoint)).request(context, delivery, context.clock.now())
    shown = {name: value for name, value in headers.items() if name.startswith("webhook-") or name == "content-type"}
    parts = ["curl", "http://localhost:8000/webhooks"]
    for name, value in shown.items():
        parts += ["-H", f"{name}: {value}"]
    return shlex.join([*parts, "--data-raw", delivery.body])


async def resend(context: Context, staff: Staff, endpoint_id: str, delivery_id: str) -> Delivery:
    """Send one once more, now. Raises Refused, NotFound."""
    deliveries = Deliveries(context, staff.institution)

    @use_case
    async def again() -> Delivery:
        endpoint, delivery = await see_delivery(context, staff.institution, endpoint_id, delivery_id)
        _refuse_unless_active(endpoint)
        delivery.resend(context.clock.now())
        return await deliveries.save(delivery)

    delivery = await again()
    await dispatch_of(context).wake(staff.institution, endpoint_id)
    return delivery


async def recover(context: Context, staff: Staff, endpoint_id: str, since: datetime) -> int:
    """Send again what failed since then; returns how many. Raises Refused, NotFound."""
    _refuse_unless_active(await Endpoints(context, staff.institution).demand(endpoint_id))
    deliveries, count = Deliveries(context, staff.institution), 0
    found = [one async for one in deliveries.failed_since(endpoint_id, since)]
    for one in found:
        try:
            one.resend(context.clock.now())
            await deliveries.save(one)
            count += 1
        except (Refused, Conflict):  # tried often enough, or somebody is at it
            continue
    await dispatch_of(context).wake(staff.institution, endpoint_id)
    return count


async def forget_in_time(context: Context, delivery: Delivery) -> None:
    """The timer of deliveries: their time is over."""
    await Deliveries(context, delivery.institution).forget(delivery)


def _refuse_unless_active(endpoint: Endpoint) -> None:
    if endpoint.state != "active":
        raise Refused("not-active", N_("Resume it first, then send it again."), title=N_("This endpoint is not active"))


__all__ = [
    "Health",
    "as_curl",
    "forget_in_time",
    "health_of",
    "list_deliveries",
    "recover",
    "resend",
    "see_delivery",
]
