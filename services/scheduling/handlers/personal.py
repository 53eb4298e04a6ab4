"""The family's own words and whereabouts: sealed to be kept, opened only to be shown or written to."""

from dataclasses import dataclass

from firsthand.services.scheduling.model import Meeting
from firsthand.shared.service import Context
from firsthand.shared.vault import KeyErased, Sealed


@dataclass(frozen=True)
class Personal:
    """What was sealed, opened; empty where there is none."""

    zone: str = ""
    address: str = ""
    note: str = ""


async def open_personal(context: Context, meeting: Meeting) -> Personal:
    """Open the sealed fields of a meeting; empty once the key is erased."""
    fields: dict[str, Sealed | None] = {"zone": meeting.zone, "address": meeting.address, "note": meeting.note}
    sealed = {field: text for field, text in fields.items() if text is not None}
    if not sealed:
        return Personal()
    try:
        return Personal(**await context.vault.open_many(meeting.institution, meeting.id, sealed))
    except KeyErased:
        return Personal()


async def open_former(context: Context, meeting: Meeting, address: Sealed) -> str:
    """Open an address that the family gave up; empty once the key is erased."""
    try:
        return await context.vault.open(meeting.institution, meeting.id, "address", address)
    except KeyErased:
        return ""


async def seal(context: Context, meeting: Meeting, field: str, text: str) -> Sealed | None:
    """Seal one field of a meeting; None if it is empty or the meeting was erased."""
    if not text or meeting.state == "erased":
        return None
    return await context.vault.seal(meeting.institution, meeting.id, field, text)


__all__ = ["Personal", "open_former", "open_personal", "seal"]
