"""The doors of archive: JSON API, media and pages."""

from fastapi import APIRouter

from services.archive.http import family, media, pages, recordings, uploads
from shared.service import Context


def routes(_context: Context) -> APIRouter:
    router = APIRouter()
    for part in (recordings, uploads, media, family, pages):
        router.routes.extend(part.router.routes)
    return router


__all__ = ["routes"]
