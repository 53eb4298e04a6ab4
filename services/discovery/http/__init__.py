"""The doors of discovery: its JSON interface and its pages."""

from fastapi import APIRouter

from services.discovery.http.api import api
from shared.service import Context


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    router.include_router(api(context))
    return router


__all__ = ["routes"]
