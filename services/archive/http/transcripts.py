"""What the doors of written versions have in common."""

from typing import Annotated, Literal

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.handlers.transcripts import Written, transcripts_of
from firsthand.services.archive.model import Cue, Transcript
from firsthand.services.archive.model.captions import Form, written
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import Count, Note, Tidy
from firsthand.shared.service import Context

_TYPES: dict[Form, str] = {"vtt": "text/vtt", "srt": "application/x-subrip"}

# BCP 47, as far as anybody writes it.
LanguageCode = Annotated[str, Tidy, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
LanguagePath = Annotated[str, Path(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]


class TranscriptOut(BaseModel):
    """A written version: whether it waits for the family, and whether those who may watch read one."""

    language: str
    translated: bool
    lines: int
    waits: bool
    shown: bool
    brought_at: AwareDatetime
    approved_at: AwareDatetime | None

    @classmethod
    def of(cls, one: Transcript) -> "TranscriptOut":
        return cls(
            language=one.language, translated=one.translated, lines=one.lines, waits=one.proposed is not None,
            shown=one.is_shown, brought_at=one.brought_at, approved_at=one.approved_at,
        )  # fmt: skip


class TranscriptsOut(BaseModel):
    transcripts: list[TranscriptOut]


class WrittenOut(BaseModel):
    """The lines of a written version. `seen` names them as they are here, for what is done with them."""

    language: str
    translated: bool
    waits: bool
    seen: int
    lines: list[Cue]

    @classmethod
    def of(cls, one: Written) -> "WrittenOut":
        transcript = one.transcript
        return cls(
            language=transcript.language, translated=transcript.translated, waits=one.waits, seen=transcript.version,
            lines=one.cues,
        )  # fmt: skip


class Seen(BaseModel):
    """Which state of a written version somebody has before the eyes."""

    seen: Count


class LineIn(BaseModel):
    """A line as it is to be; without a text it is taken out."""

    seen: Count
    text: Note
    act: Literal["change", "silence"] = "change"


def captions_of(one: Written, form: Form) -> Response:
    """Answer with the lines as a file that a player reads, and a browser does not keep."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": "inline"}
    return Response(written(one.cues, form), media_type=_TYPES[form], headers=headers)


async def listed(context: Context, institution: InstitutionId, contact_id: str) -> TranscriptsOut:
    """Which written versions there are. Raises NotOpen."""
    found = await gate_of(context).standing(institution, contact_id)
    if found is None:
        raise NotOpen
    return TranscriptsOut(transcripts=[TranscriptOut.of(one) for one in await transcripts_of(context, found)])


__all__ = [
    "LanguageCode",
    "LanguagePath",
    "LineIn",
    "Seen",
    "TranscriptOut",
    "TranscriptsOut",
    "WrittenOut",
    "captions_of",
    "listed",
]
