"""What the doors of webhooks share: an endpoint as its keepers see it, and where its pages are."""

from firsthand.services.webhooks.handlers import deliveries, endpoints
from firsthand.services.webhooks.http.shapes import EndpointOut
from firsthand.services.webhooks.model import Endpoint
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.service import Context


async def endpoint_out(context: Context, endpoint: Endpoint) -> EndpointOut:
    opened = await endpoints.opened(context, endpoint)
    return EndpointOut.of(opened, await deliveries.health_of(context, endpoint))


def root_of(institution: InstitutionId) -> str:
    """Where the pages of an institution's endpoints are, or of the deployment's."""
    return "/webhooks/deployment/endpoints" if institution == DEPLOYMENT else "/webhooks/endpoints"


__all__ = ["endpoint_out", "root_of"]
