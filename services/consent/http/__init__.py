"""The doors of consent: JSON API and pages, for staff and for families. All call the same use cases."""

from fastapi import APIRouter

from firsthand.services.consent.http import (
    api_family,
    api_staff,
    pages_family,
    pages_family_home,
    pages_family_link,
    pages_staff_invitations,
    pages_staff_texts,
)

router = APIRouter()
for part in (
    pages_family_link,
    api_staff,
    api_family,
    pages_family,
    pages_family_home,
    pages_staff_invitations,
    pages_staff_texts,
):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
