"""A stretch of a recording that a tutor picked for those who learn from it: a clip, or without an end a chapter."""

from typing import ClassVar, Final

from pydantic import AwareDatetime

from firsthand.services.archive.model.edits import Milliseconds
from firsthand.services.archive.model.refusals import not_clipped
from firsthand.shared.store import Document, Index
from firsthand.shared.vault import Sealed

MOST_CLIPS: Final = 100


class Clip(Document):
    """One clip of one version. Whoever may watch the recording sees it."""

    kind: ClassVar[str] = "clip"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id", "file", "start"),)

    contact_id: str
    file: str  # of the version whose times these are
    start: Milliseconds
    end: Milliseconds | None = None  # None: up to the next one, or to the end
    title: Sealed  # what to look out for, in the tutor's words
    by: str  # person id
    made_at: AwareDatetime

    @property
    def field(self) -> str:
        """Name the sealed field."""
        return f"clip.{self.id}"


def checked(start: int, end: int | None, duration_seconds: float) -> tuple[int, int | None]:
    """Give the stretch, cut off at the end of the recording. Raises Refused."""
    length = round(1000 * duration_seconds)
    end = None if end is None else min(end, length)
    if start >= length or (end is not None and start >= end):
        raise not_clipped("no-stretch")
    return start, end


__all__ = ["MOST_CLIPS", "Clip", "checked"]
