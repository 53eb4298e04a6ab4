"""Consent: texts, invitations, personal links, what families allow, and its end."""

from services.consent.handlers.erasure import restore_erasure
from services.consent.handlers.timers import on_due
from services.consent.http import router
from services.consent.model import Journey
from services.consent.model.records import Link, Record
from services.consent.model.texts import Text
from services.consent.pulse import pulse
from services.consent.subscribers import SUBSCRIBERS
from shared.copies import CaseCopy, InstitutionCopy
from shared.service import Service, Timer

SERVICE = Service(
    name="consent",
    documents=(Journey, Record, Link, Text, InstitutionCopy, CaseCopy),
    handlers=SUBSCRIBERS,
    timers={Journey: Timer(on_due, destroys=True)},
    router=router,
    restore_erasure=restore_erasure,
    background=(pulse,),
)
