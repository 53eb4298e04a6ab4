"""The doors of archive: JSON API, media and pages."""

from fastapi import APIRouter

from firsthand.services.archive.http import (
    api_family,
    api_staff,
    api_staff_uploads,
    api_transcripts,
    media,
    pages_family,
    pages_staff,
    pages_words,
)

router = APIRouter()
for part in (api_staff, api_staff_uploads, media, api_transcripts, api_family, pages_family, pages_staff, pages_words):
    router.routes.extend(part.router.routes)

__all__ = ["router"]
