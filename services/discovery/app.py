"""Compose discovery: cases, leads, and the people behind contacts."""

from typing import Final

from firsthand.services.discovery.handlers.people import restore_erasure
from firsthand.services.discovery.handlers.renaming import name_again
from firsthand.services.discovery.http import router
from firsthand.services.discovery.menu import MENU
from firsthand.services.discovery.repository import DOCUMENTS
from firsthand.services.discovery.subscribers import SUBSCRIBERS, TIMERS
from firsthand.shared.copies import InstitutionCopy
from firsthand.shared.service import Service

SERVICE: Final = Service(
    name="discovery",
    documents=(*DOCUMENTS, InstitutionCopy),
    handlers=SUBSCRIBERS,
    timers=TIMERS,
    router=router,
    background=(name_again,),
    menu=MENU,
    restore_erasure=restore_erasure,
)
