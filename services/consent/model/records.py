"""Records: the text shown and the decision, one document per act, never changed. Each names the previous one. Pure."""

from datetime import timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel

from firsthand.services.consent.model.consent import Signer
from firsthand.services.consent.model.texts import TextBody
from firsthand.shared.events.contact import Language, Scope
from firsthand.shared.store import Document, Index
from firsthand.shared.vault import Sealed

Act = Literal["granted", "declined", "changed", "paused", "resumed", "released", "withdrawn", "undone"]
Assent = Literal["agrees", "too-young", "objects"]


class Statement(BaseModel):
    """The signer and the person they decide for, as stated by the signer. Names are sealed."""

    signer: Signer
    name: Sealed
    about_child: bool = False
    child_assent: Assent | None = None
    decides_alone: bool = True
    other_agrees: Sealed | None = None  # who else must agree, and does, as the signer states


class Record(Document):
    """One act of a family, or of staff for it."""

    kind: ClassVar[str] = "record"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id"),)

    contact_id: str
    number: int
    previous: str | None
    act: Act
    at: AwareDatetime
    actor: str
    scopes: list[Scope]  # what was allowed after it
    language: Language
    text_version: str
    text: TextBody | None = None  # everything that was shown, where something was decided upon a text
    statement: Statement | None = None
    sha256: str = ""  # of the recording that was released
    erase: Literal["now", "in-7-days"] | None = None
    until: AwareDatetime | None = None  # the end that the family chose
    told_at: AwareDatetime | None = None  # when it reached staff, and how
    how_told: Sealed | None = None


LINK_KEPT: Final = timedelta(hours=12)  # for so long a device may renew its session without the link at hand


class PageLock(Document):
    """A device's session that was locked; id = the session's. It names nobody. Its timer removes it when the device has
    forgotten the link anyway.
    """

    kind: ClassVar[str] = "page_lock"


class Link(Document):
    """A personal link; id = SHA-256 of its token. It opens only while the journey names it."""

    kind: ClassVar[str] = "link"

    contact_id: str
    made_at: AwareDatetime
