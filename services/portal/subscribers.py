"""The events that the portal hears."""

from collections.abc import Mapping
from typing import Final

from shared.copies import keep_case
from shared.events.discovery import CaseChangedV1
from shared.events.envelope import AnyEvent
from shared.service import Context, Handler


async def follow(context: Context, event: AnyEvent) -> None:
    """Enter what happened to a contact into its journey."""
    if isinstance(event, CaseChangedV1):
        await keep_case(context, event)


HANDLERS: Final[Mapping[str, Handler]] = {
    "follow_discovery": follow,
    "follow_consent": follow,
    "follow_scheduling": follow,
    "follow_archive": follow,
}
