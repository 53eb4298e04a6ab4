"""The events that scheduling is given, by durable."""

from collections.abc import Mapping
from typing import Final

from services.scheduling.handlers import following
from shared.copies import keep_case, keep_institution
from shared.events.consent import ConsentState, ErasureRequestedV1
from shared.events.envelope import Event
from shared.service import Context, Handler


async def follow_consent(context: Context, event: Event[ConsentState]) -> None:
    if isinstance(event, ErasureRequestedV1):
        await following.erase(context, event)
    else:
        await following.follow_consent(context, event)


HANDLERS: Final[Mapping[str, Handler]] = {
    "keep_institution": keep_institution,
    "keep_case": keep_case,
    "follow_consent": follow_consent,
    "make_meeting": following.make_meeting,
}
