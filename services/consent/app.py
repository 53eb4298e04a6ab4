"""Consent: texts, invitations, personal links, what families allow, and its end."""

from fastapi import APIRouter

from services.consent.handlers.erasure import restore_erasure
from services.consent.handlers.timers import on_due
from services.consent.http import (
    api_family,
    api_staff,
    links,
    pages_family,
    pages_home,
    pages_invitations,
    pages_texts,
)
from services.consent.model import Journey
from services.consent.model.records import Link, Record
from services.consent.model.texts import Text
from services.consent.pulse import pulse
from services.consent.subscribers import HANDLERS
from shared.copies import CaseCopy, InstitutionCopy
from shared.service import Context, Service


def routes(_context: Context) -> APIRouter:
    router = APIRouter()
    for part in (links, api_staff, api_family, pages_family, pages_home, pages_invitations, pages_texts):
        router.routes.extend(part.router.routes)
    return router


SERVICE = Service(
    name="consent",
    documents=(Journey, Record, Link, Text, InstitutionCopy, CaseCopy),
    handlers=HANDLERS,
    timers={Journey: on_due},
    routes=routes,
    restore_erasure=restore_erasure,
    background=(pulse,),
)
