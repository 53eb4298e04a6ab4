"""The doors of the portal: JSON API and pages."""

from fastapi import APIRouter

from firsthand.services.portal.http import (
    api_operator,
    api_staff_institution,
    api_staff_journeys,
    api_staff_people,
    api_staff_today,
    pages_public_session,
    pages_public_sign_in,
    pages_staff_institution,
    pages_staff_journeys,
    pages_staff_people,
)

router = APIRouter()
for part in (
    pages_public_sign_in,
    pages_public_session,
    api_operator,
    api_staff_institution,
    api_staff_people,
    api_staff_journeys,
    api_staff_today,
    pages_staff_journeys,
    pages_staff_people,
    pages_staff_institution,
):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
