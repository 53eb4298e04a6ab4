"""The doors of scheduling: JSON API and pages, for staff and for families."""

from fastapi import APIRouter

from firsthand.services.scheduling.http import (
    api_family,
    api_staff,
    pages_family,
    pages_staff_availability,
    pages_staff_meetings,
)

router = APIRouter()
for part in (api_staff, api_family, pages_family, pages_staff_meetings, pages_staff_availability):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
