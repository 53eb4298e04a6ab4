"""The doors of webhooks: JSON API and pages, for coordinators; and the one through which consumers answer."""

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
for part in (
    api_public_answers,
    api_staff_endpoints,
    api_staff_deliveries,
    api_staff_obligations,
    pages_staff_endpoints,
    pages_staff_deliveries,
    pages_staff_obligations,
):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
