"""The doors of webhooks: JSON API and pages, for coordinators and operators; and the one through which consumers
answer.
"""

from fastapi import APIRouter

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
    router.include_router(part.router)
# The endpoints of an institution, and the deployment's own: the same doors, and another keeper (`access.Keeper`).
for part in (api_staff_endpoints, api_staff_deliveries):
    router.include_router(part.router, prefix="/api/v1")
    router.include_router(part.router, prefix="/api/v1/deployment")
for part in (pages_staff_endpoints, pages_staff_deliveries):
    router.include_router(part.router)
    router.include_router(part.router, prefix="/deployment")

__all__ = ["router"]
