"""Discovery's pages: templates in `services/discovery/pages`, catalogues in `services/discovery/locale`."""

from pathlib import Path
from typing import Final

from firsthand.shared.copies import institution_of
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.pages import Pages

pages: Final = Pages("discovery", Path(__file__).parents[1])


async def zone_of(context: Context, staff: Staff) -> str:
    """The institution's time zone (IANA name); UTC until the portal has published it."""
    policy = await institution_of(context, staff.institution)
    return policy.zone if policy else "UTC"


__all__ = ["pages", "zone_of"]
