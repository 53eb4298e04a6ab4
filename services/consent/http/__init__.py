"""The doors of consent: JSON API and pages, for staff and for families. All call the same use cases."""

from fastapi import APIRouter

from services.consent.http import (
    api_family,
    api_staff,
    pages_family,
    pages_family_home,
    pages_family_link,
    pages_staff_invitations,
    pages_staff_texts,
)
from shared.service import Context

_PARTS = (
    pages_family_link,
    api_staff,
    api_family,
    pages_family,
    pages_family_home,
    pages_staff_invitations,
    pages_staff_texts,
)


def routes(_context: Context) -> APIRouter:
    router = APIRouter()
    for part in _PARTS:
        router.routes.extend(part.router.routes)
    return router


__all__ = ["routes"]
