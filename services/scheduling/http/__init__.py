"""The doors: the JSON API, the family's pages and the staff's."""

from fastapi import APIRouter

from services.scheduling.http.api_staff import api_routes
from services.scheduling.http.pages_family import family_routes
from services.scheduling.http.pages_staff_availability import availability_routes
from services.scheduling.http.pages_staff_meetings import staff_routes
from shared.service import Context


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    router.routes.extend(api_routes(context).routes)
    router.routes.extend(family_routes(context).routes)
    router.routes.extend(staff_routes(context).routes)
    router.routes.extend(availability_routes(context).routes)
    return router


__all__ = ["routes"]
