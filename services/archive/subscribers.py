"""The events that archive listens to, each with its use case."""

from typing import Final

from firsthand.services.archive.handlers import following
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.service import Subscribers

SUBSCRIBERS: Final = Subscribers("archive")

SUBSCRIBERS.subscriber("keep_institution")(keep_institution)
SUBSCRIBERS.subscriber("keep_case")(keep_case)
SUBSCRIBERS.subscriber("follow_consent")(following.follow_consent)
SUBSCRIBERS.subscriber("await_recording")(following.await_recording)
