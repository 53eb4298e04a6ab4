"""The events that the portal hears."""

from collections.abc import Mapping
from typing import Final

from services.portal.handlers.journeys import enter_event
from shared.copies import keep_case
from shared.events.discovery import CaseChangedV1
from shared.events.envelope import AnyEvent
from shared.events.scheduling import CalendarChangedV1
from shared.service import Context, Handler
from shared.topology import durables_of

# Everything that happens to a contact.
CONTACT_EVENTS: Final[tuple[type[AnyEvent], ...]] = tuple(
    event
    for durable in durables_of("portal")
    for event in durable.events
    if event not in (CaseChangedV1, CalendarChangedV1)  # a case's, and a tutor's
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
