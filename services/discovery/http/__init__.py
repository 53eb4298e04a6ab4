"""The doors of discovery: JSON API and pages. Both call the same use cases."""

from fastapi import APIRouter

from firsthand.services.discovery.http import (
    api_staff,
    pages_staff_cases,
    pages_staff_leads,
)

router = APIRouter()
for part in (api_staff, pages_staff_cases, pages_staff_leads):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
