"""The view log: who watched what, and for how long."""

from datetime import date
from typing import ClassVar

from pydantic import AwareDatetime

from firsthand.shared.store import Document, Index


class Viewing(Document):
    """One viewer's watching of one recording on one day (UTC)."""

    kind: ClassVar[str] = "viewing"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id", "student", "last_at"),)

    contact_id: str
    viewer_id: str  # person id
    student: bool
    day: date
    first_at: AwareDatetime
    last_at: AwareDatetime
    seconds: float = 0  # of the recording, as sent
