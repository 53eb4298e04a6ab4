"""The doors of webhooks: JSON API and pages, for coordinators and operators; and the one through which consumers
answer.
"""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from firsthand.services.webhooks.http import (
    api_public_answers,
    api_staff_deliveries,
    api_staff_endpoints,
    api_staff_obligations,
    pages_staff_deliveries,
    pages_staff_endpoints,
    pages_staff_obligations,
)

router = APIRouter()
for part in (api_public_answers, api_staff_obligations, pages_staff_obligations):
    router.routes.extend(part.router.routes)
# The endpoints of an institution, and the deployment's own: the same doors, and another keeper (`access.Keeper`).
for part, prefixes in (
    (api_staff_endpoints, ("/api/v1", "/api/v1/deployment")),
    (api_staff_deliveries, ("/api/v1", "/api/v1/deployment")),
    (pages_staff_endpoints, ("", "/deployment")),
    (pages_staff_deliveries, ("", "/deployment")),
):
    for prefix in prefixes:
        for route in part.router.routes:
            assert isinstance(route, APIRoute)
            router.add_api_route(
                prefix + route.path,
                route.endpoint,
                methods=sorted(route.methods or ()),
                status_code=route.status_code,
                tags=route.tags,
                include_in_schema=route.include_in_schema,
            )

__all__ = ["router"]
