"""The doors of discovery: its JSON interface and its pages. Both call the same use cases."""

from fastapi import APIRouter

from services.discovery.http.api_staff import api
from services.discovery.http.pages_staff_cases import case_pages
from services.discovery.http.pages_staff_leads import lead_pages
from shared.service import Context


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    router.routes.extend(api(context).routes)
    router.routes.extend(case_pages(context).routes)
    router.routes.extend(lead_pages(context).routes)
    return router


__all__ = ["routes"]
