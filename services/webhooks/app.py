"""What webhooks is made of."""

from typing import Final

from firsthand.services.webhooks.handlers.conditions import keep_watching
from firsthand.services.webhooks.handlers.deliveries import forget_in_time
from firsthand.services.webhooks.handlers.following import restore_erasure
from firsthand.services.webhooks.handlers.notices import remind, tell_disabled, watch_mail
from firsthand.services.webhooks.handlers.replays import keep_reading, read_replay
from firsthand.services.webhooks.http import router
from firsthand.services.webhooks.lanes import keep_delivering, look_at_lane
from firsthand.services.webhooks.menu import MENU
from firsthand.services.webhooks.metrics import keep_counting
from firsthand.services.webhooks.model import Condition, Delivery, Endpoint, Lane, Recipients, Replay
from firsthand.services.webhooks.settings import WebhookSettings
from firsthand.services.webhooks.subscribers import SUBSCRIBERS
from firsthand.shared.copies import CaseCopy, InstitutionCopy
from firsthand.shared.service import Service, Timer

SERVICE: Final = Service(
    name="webhooks",
    documents=(InstitutionCopy, CaseCopy, Endpoint, Delivery, Lane, Recipients, Replay, Condition),
    handlers=SUBSCRIBERS,
    timers={
        Lane: Timer(look_at_lane, destroys=False),
        Endpoint: Timer(tell_disabled, destroys=False),
        Recipients: Timer(remind, destroys=False),
        Replay: Timer(read_replay, destroys=False),
        Delivery: Timer(forget_in_time, destroys=True),
    },
    background=(keep_delivering, keep_reading, keep_counting, keep_watching, watch_mail),
    router=router,
    menu=MENU,
    restore_erasure=restore_erasure,
    settings=WebhookSettings,
)
