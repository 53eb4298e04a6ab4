"""What the doors of webhooks share: an endpoint as its institution's coordinators see it."""

from firsthand.services.webhooks.handlers import deliveries, endpoints
from firsthand.services.webhooks.http.shapes import EndpointOut
from firsthand.services.webhooks.model import Endpoint
from firsthand.shared.service import Context


async def endpoint_out(context: Context, endpoint: Endpoint) -> EndpointOut:
    opened = await endpoints.opened(context, endpoint)
    return EndpointOut.of(opened, await deliveries.health_of(context, endpoint))


__all__ = ["endpoint_out"]
