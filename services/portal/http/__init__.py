"""The doors of the portal."""

from fastapi import APIRouter

from services.portal.http.api import institution_routes, operator_routes, people_routes
from services.portal.http.journeys import journey_routes
from services.portal.http.sessions import session_routes
from services.portal.http.sign_in import sign_in_routes
from shared.service import Context


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    for part in (sign_in_routes, session_routes, operator_routes, institution_routes, people_routes, journey_routes):
        router.include_router(part(context))
    return router
