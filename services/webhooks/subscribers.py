"""The events that webhooks is given, by durable."""

from typing import Final

from firsthand.services.webhooks.handlers.following import fan_out
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.service import Subscribers

SUBSCRIBERS: Final = Subscribers("webhooks")

SUBSCRIBERS.subscriber("keep_institution")(keep_institution)
SUBSCRIBERS.subscriber("keep_case")(keep_case)
SUBSCRIBERS.subscriber("fan_out")(fan_out)
