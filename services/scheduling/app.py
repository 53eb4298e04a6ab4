"""What scheduling is made of."""

from typing import Final

from firsthand.services.scheduling.handlers.due import on_due, settle, watch_mail
from firsthand.services.scheduling.handlers.following import restore_erasure
from firsthand.services.scheduling.http import router
from firsthand.services.scheduling.menu import MENU
from firsthand.services.scheduling.model import Availability, Calendar, Meeting
from firsthand.services.scheduling.subscribers import SUBSCRIBERS
from firsthand.shared.copies import CaseCopy, InstitutionCopy
from firsthand.shared.service import Renewal, Service, Timer

SERVICE: Final = Service(
    name="scheduling",
    documents=(InstitutionCopy, CaseCopy, Availability, Calendar, Meeting),
    handlers=SUBSCRIBERS,
    timers={Meeting: Timer(on_due, destroys=False)},  # it sets times free and sends letters
    background=(watch_mail,),
    router=router,
    menu=MENU,
    restore_erasure=restore_erasure,
    renewals={Meeting: Renewal("case_id", settle)},
)
