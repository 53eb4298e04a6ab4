"""What is said in a recording, written down in one language: as it is shown, and as it waits for the family."""

from datetime import datetime
from typing import ClassVar, Final

from pydantic import AwareDatetime

from firsthand.services.archive.model.refusals import not_written
from firsthand.shared.store import Document, Index
from firsthand.shared.vault import Sealed

MOST_LANGUAGES: Final = 12


class Transcript(Document):
    """The words of one version of a recording in one language; id = version and language.

    Nobody but the family reads what it has not approved: `proposed` is for its eyes, `shown` for those who may watch.
    """

    kind: ClassVar[str] = "transcript"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id", "file"), Index.on("is_shown", "changed_at"))
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("is_shown",),)

    contact_id: str
    file: str  # of the version whose times these are
    language: str
    translated: bool  # it is not what was spoken
    proposed: Sealed | None = None
    shown: Sealed | None = None
    words: Sealed | None = None  # of what is shown, each once, as they are searched for
    lines: int
    is_shown: bool = False
    shown_to: str = ""  # whom the recording is shown to, as its document names them
    approved_at: AwareDatetime | None = None
    brought_at: AwareDatetime
    brought_by: str  # person id
    changed_at: AwareDatetime

    @staticmethod
    def id_of(file: str, language: str) -> str:
        return f"{file}-{language}"

    def field(self, name: str) -> str:
        """Name a sealed field, so that one transcript's words open in no other place."""
        return f"{self.id}.{name}"

    def propose(self, sealed: Sealed, lines: int, at: datetime) -> None:
        """Keep what waits for the family, in place of what waited before. What is shown stays."""
        self.proposed, self.changed_at = sealed, at
        if not self.is_shown:
            self.lines = lines

    def approve(self, seen: int, lines: int, shown: Sealed, words: Sealed, at: datetime) -> None:
        """Show what the family saw, which is the document's version `seen`. Raises Refused."""
        if self.proposed is None or self.version != seen:
            raise not_written("changed")
        self.show(shown, lines, words, at)
        self.proposed, self.approved_at = None, at

    def show(self, sealed: Sealed, lines: int, words: Sealed, at: datetime) -> None:
        """Show these words, which are the family's own."""
        self.shown, self.words, self.lines, self.is_shown, self.changed_at = sealed, words, lines, True, at


__all__ = ["MOST_LANGUAGES", "Transcript"]
