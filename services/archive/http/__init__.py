"""The doors of archive: JSON API, media and pages."""

from fastapi import APIRouter

from firsthand.services.archive.http import (
    api_family,
    api_family_transcripts,
    api_staff,
    api_staff_transcripts,
    api_staff_uploads,
    media,
    pages_family,
    pages_family_transcripts,
    pages_staff,
    pages_staff_transcripts,
)

router = APIRouter()
for part in (
    api_staff, api_staff_uploads, api_staff_transcripts, media, api_family, api_family_transcripts,
    pages_family, pages_family_transcripts, pages_staff, pages_staff_transcripts,
):  # fmt: skip
    router.routes.extend(part.router.routes)

__all__ = ["router"]
