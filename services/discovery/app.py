"""Compose discovery: cases, leads, and the people behind contacts."""

from typing import Final

from services.discovery.handlers.people import restore_erasure
from services.discovery.http import router
from services.discovery.repository import DOCUMENTS
from services.discovery.subscribers import SUBSCRIBERS, TIMERS
from shared.copies import InstitutionCopy
from shared.service import Service

SERVICE: Final = Service(
    name="discovery",
    documents=(*DOCUMENTS, InstitutionCopy),
    handlers=SUBSCRIBERS,
    timers=TIMERS,
    router=router,
    restore_erasure=restore_erasure,
)
