"""The events that the portal hears."""

from typing import Final

from firsthand.services.portal.handlers.journeys import enter_event
from firsthand.shared.copies import keep_case
from firsthand.shared.events.discovery import CaseChangedV1
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.service import Context, Subscribers
from firsthand.shared.topology import listenings_of

# Everything that happens to a contact: what the open pages hear as well.
CONTACT_EVENTS: Final[tuple[type[AnyEvent], ...]] = next(
    listening.events for listening in listenings_of("portal") if listening.name == "show_live"
)


SUBSCRIBERS: Final = Subscribers("portal")


@SUBSCRIBERS.subscriber("follow_discovery")
@SUBSCRIBERS.subscriber("follow_consent")
@SUBSCRIBERS.subscriber("follow_scheduling")
@SUBSCRIBERS.subscriber("follow_telling")
@SUBSCRIBERS.subscriber("follow_archive")
async def follow(context: Context, event: AnyEvent) -> None:
    """Enter what happened to a contact into its journey."""
    if isinstance(event, CaseChangedV1):
        await keep_case(context, event)
    elif isinstance(event, CONTACT_EVENTS):
        await enter_event(context, event)
