"""Archive: what it keeps, handles, shows and runs."""

from firsthand.services.archive.bucket import ask_bucket, watch_bucket
from firsthand.services.archive.gate import watch_consent
from firsthand.services.archive.handlers.following import end_when_due, name_audience, restore_erasure
from firsthand.services.archive.handlers.searching import keep_index
from firsthand.services.archive.handlers.uploads import look_after_upload
from firsthand.services.archive.handlers.versions import keep_workshop, work_on
from firsthand.services.archive.handlers.viewings import keep_view_log, name_first
from firsthand.services.archive.http import router
from firsthand.services.archive.menu import MENU
from firsthand.services.archive.model import Clip, Recording, Transcript, Upload, Version, Viewing
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.services.archive.subscribers import SUBSCRIBERS
from firsthand.shared.copies import CaseCopy, InstitutionCopy
from firsthand.shared.service import Renewal, Service, Timer

SERVICE = Service(
    name="archive",
    documents=(Recording, Clip, Transcript, Upload, Version, Viewing, CaseCopy, InstitutionCopy),
    handlers=SUBSCRIBERS,
    timers={
        Recording: Timer(end_when_due, destroys=True),
        Upload: Timer(look_after_upload, destroys=True),
        Version: Timer(work_on, destroys=False),
    },
    router=router,
    menu=MENU,
    restore_erasure=restore_erasure,
    renewals={Recording: Renewal("case_id", name_audience), Viewing: Renewal("first", name_first)},
    background=(watch_consent, keep_view_log, keep_workshop, keep_index, watch_bucket, ask_bucket),
    settings=ArchiveSettings,
)
