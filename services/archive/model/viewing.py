"""The view log: who watched what, and for how long."""

from datetime import date
from typing import ClassVar

from pydantic import AwareDatetime

from firsthand.shared.store import Document, Index


class Viewing(Document):
    """One viewer's watching of one recording on one day (UTC)."""

    kind: ClassVar[str] = "viewing"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("contact_id", "student", "last_at"),
        Index.on("contact_id", "viewer_id", "last_at"),
        Index.on("first", "contact_id", "student"),
    )

    contact_id: str
    viewer_id: str  # person id
    student: bool
    day: date
    first_at: AwareDatetime
    last_at: AwareDatetime
    seconds: float = 0  # of the recording, as sent
    first: bool | None = None  # on no earlier day did this viewer watch it; None in what an older release stored
    place: float = 0  # seconds from the beginning, where the viewer was last
