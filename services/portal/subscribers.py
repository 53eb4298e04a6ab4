"""The events that the portal hears."""

from collections.abc import Mapping
from typing import Final

from services.portal.handlers.journeys import enter_event
from shared.copies import keep_case
from shared.events.discovery import CaseChangedV1
from shared.events.envelope import AnyEvent
from shared.service import Context, Handler
from shared.topology import listenings_of

# Everything that happens to a contact: what the open pages hear as well.
CONTACT_EVENTS: Final[tuple[type[AnyEvent], ...]] = next(
    listening.events for listening in listenings_of("portal") if listening.name == "show_live"
)


async def follow(context: Context, event: AnyEvent) -> None:
    """Enter what happened to a contact into its journey."""
    if isinstance(event, CaseChangedV1):
        await keep_case(context, event)
    elif isinstance(event, CONTACT_EVENTS):
        await enter_event(context, event)


HANDLERS: Final[Mapping[str, Handler]] = {
    "follow_discovery": follow,
    "follow_consent": follow,
    "follow_scheduling": follow,
    "follow_archive": follow,
}
