"""The doors of discovery: its JSON interface and its pages. Both call the same use cases."""

from fastapi import APIRouter

from services.discovery.http.api import api
from services.discovery.http.case_pages import case_pages
from services.discovery.http.lead_pages import lead_pages
from shared.service import Context


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    router.include_router(api(context))
    router.include_router(case_pages(context))
    router.include_router(lead_pages(context))
    return router


__all__ = ["routes"]
