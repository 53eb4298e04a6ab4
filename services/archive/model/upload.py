"""A recording on its way in."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from firsthand.shared.store import Document, Index

UploadStage = Literal["receiving", "checking", "done", "refused"]


class Upload(Document):
    """A recording on its way in. How much of it is safe, the sealed file itself says."""

    kind: ClassVar[str] = "upload"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id"), Index.on("by", "stage"))

    contact_id: str
    length: int  # bytes of the plain content; -1 while a form sends it without saying
    stage: UploadStage = "receiving"
    refused_because: str = ""  # the code of the refusal
    by: str  # person id
    begun_at: AwareDatetime
    expires_at: AwareDatetime

    @property
    def file(self) -> str:
        return self.id
