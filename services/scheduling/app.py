"""What scheduling is made of."""

from typing import Final

from services.scheduling.handlers.due import on_due
from services.scheduling.handlers.following import restore_erasure
from services.scheduling.http import router
from services.scheduling.model import Availability, Calendar, Meeting
from services.scheduling.subscribers import SUBSCRIBERS
from shared.copies import CaseCopy, InstitutionCopy
from shared.service import Service, Timer

SERVICE: Final = Service(
    name="scheduling",
    documents=(InstitutionCopy, CaseCopy, Availability, Calendar, Meeting),
    handlers=SUBSCRIBERS,
    timers={Meeting: Timer(on_due, destroys=False)},  # it sets times free and sends letters
    router=router,
    restore_erasure=restore_erasure,
)
