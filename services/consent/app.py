"""Consent: texts, invitations, personal links, what families allow, and its end."""

from firsthand.services.consent.handlers.erasure import restore_erasure
from firsthand.services.consent.handlers.links import forget_lock
from firsthand.services.consent.handlers.timers import on_due, settle
from firsthand.services.consent.http import router
from firsthand.services.consent.menu import MENU
from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import LINK_KEPT, Link, PageLock, Record
from firsthand.services.consent.model.texts import Text
from firsthand.services.consent.pulse import pulse
from firsthand.services.consent.subscribers import SUBSCRIBERS
from firsthand.shared.copies import CaseCopy, InstitutionCopy
from firsthand.shared.service import Renewal, Service, Timer

SERVICE = Service(
    name="consent",
    documents=(Journey, Record, Link, PageLock, Text, InstitutionCopy, CaseCopy),
    handlers=SUBSCRIBERS,
    timers={
        Journey: Timer(on_due, destroys=True),
        PageLock: Timer(forget_lock, destroys=True, longest=LINK_KEPT),
    },
    router=router,
    menu=MENU,
    restore_erasure=restore_erasure,
    background=(pulse,),
    renewals={Journey: Renewal("step", settle)},
)
