"""The events that scheduling is given, by durable."""

from typing import Final

from firsthand.services.scheduling.handlers import following
from firsthand.shared.copies import keep_case, keep_institution
from firsthand.shared.events.consent import ConsentState, ErasureRequestedV1
from firsthand.shared.events.envelope import Event
from firsthand.shared.service import Context, Subscribers

SUBSCRIBERS: Final = Subscribers("scheduling")

SUBSCRIBERS.subscriber("keep_institution")(keep_institution)
SUBSCRIBERS.subscriber("keep_case")(keep_case)
SUBSCRIBERS.subscriber("make_meeting")(following.make_meeting)
SUBSCRIBERS.subscriber("follow_recording")(following.follow_recording)


@SUBSCRIBERS.subscriber("follow_consent")
async def follow_consent(context: Context, event: Event[ConsentState]) -> None:
    if isinstance(event, ErasureRequestedV1):
        await following.erase(context, event)
    else:
        await following.follow_consent(context, event)
