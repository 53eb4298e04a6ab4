"""The doors of the portal."""

from fastapi import APIRouter

from services.portal.http.api_staff import institution_routes, operator_routes, people_routes
from services.portal.http.api_staff_journeys import journey_routes
from services.portal.http.pages_public_session import session_routes
from services.portal.http.pages_public_sign_in import sign_in_routes
from services.portal.http.pages_staff_institution import institution_page_routes, mail_routes
from services.portal.http.pages_staff_journeys import journey_page_routes, today_routes
from services.portal.http.pages_staff_people import cohort_page_routes, people_page_routes, token_page_routes
from shared.service import Context

_PARTS = (
    sign_in_routes,
    session_routes,
    operator_routes,
    institution_routes,
    people_routes,
    journey_routes,
    today_routes,
    journey_page_routes,
    people_page_routes,
    token_page_routes,
    cohort_page_routes,
    institution_page_routes,
    mail_routes,
)


def routes(context: Context) -> APIRouter:
    router = APIRouter()
    for part in _PARTS:
        router.routes.extend(part(context).routes)
    return router
