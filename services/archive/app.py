"""Archive: what it keeps, handles, shows and runs."""

from services.archive.bucket import ask_bucket, watch_bucket
from services.archive.gate import watch_consent
from services.archive.handlers.following import end_when_due, restore_erasure
from services.archive.handlers.uploads import look_after_upload
from services.archive.handlers.viewings import keep_view_log
from services.archive.http import router
from services.archive.model import Recording, Upload, Viewing
from services.archive.settings import ArchiveSettings
from services.archive.subscribers import SUBSCRIBERS
from shared.copies import CaseCopy, InstitutionCopy
from shared.service import Service, Timer

SERVICE = Service(
    name="archive",
    documents=(Recording, Upload, Viewing, CaseCopy, InstitutionCopy),
    handlers=SUBSCRIBERS,
    timers={Recording: Timer(end_when_due, destroys=True), Upload: Timer(look_after_upload, destroys=True)},
    router=router,
    restore_erasure=restore_erasure,
    background=(watch_consent, keep_view_log, watch_bucket, ask_bucket),
    settings=ArchiveSettings,
)
