"""What is said in a family's recording, written down: its reading, its changes and its yes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from firsthand.services.archive.handlers.transcripts import (
    approve_transcript,
    change_line,
    read_by_family,
    remove_transcript,
    silence_line,
)
from firsthand.services.archive.http.doors import context_of, told
from firsthand.services.archive.http.transcripts import (
    LanguagePath,
    LineIn,
    Seen,
    TranscriptsOut,
    WrittenOut,
    captions_of,
    listed,
)
from firsthand.services.archive.model.captions import Form
from firsthand.shared.inputs import Count
from firsthand.shared.web.access import FamilySession

router = APIRouter()


@router.get("/api/v1/family/transcripts")
async def transcripts(request: Request, family: FamilySession) -> TranscriptsOut:
    """Which written versions of its recording wait for the family, or are shown."""
    with told():
        return await listed(context_of(request), family.institution, family.contact_id)


@router.get("/api/v1/family/transcripts/{language}")
async def read(request: Request, language: LanguagePath, family: FamilySession) -> WrittenOut:
    with told():
        found = await read_by_family(context_of(request), family.institution, family.contact_id, language)
    return WrittenOut.of(found)


@router.get("/family/captions/{language}/{form}", response_class=Response)
async def captions(request: Request, language: LanguagePath, form: Form, family: FamilySession) -> Response:
    """The same as captions, for the family's player."""
    with told():
        found = await read_by_family(context_of(request), family.institution, family.contact_id, language)
    return captions_of(found, form)


@router.post("/api/v1/family/transcripts/{language}/approve", status_code=204)
async def approve(request: Request, language: LanguagePath, family: FamilySession, given: Seen) -> None:
    """Let those who may watch read what the family has read itself."""
    with told():
        await approve_transcript(context_of(request), family.institution, family.contact_id, language, given.seen)


@router.put("/api/v1/family/transcripts/{language}/lines/{number}", status_code=204)
async def line(request: Request, language: LanguagePath, number: Count, family: FamilySession, given: LineIn) -> None:
    """Write a line anew, take it out, or put its stretch of the recording on the list of what is to be silenced."""
    of = (context_of(request), family.institution, family.contact_id, language, number, given.seen)
    with told():
        await (silence_line(*of) if given.act == "silence" else change_line(*of, given.text))


@router.delete("/api/v1/family/transcripts/{language}", status_code=204)
async def remove(request: Request, language: LanguagePath, family: FamilySession) -> None:
    """Remove a written version; nobody reads it any more."""
    with told():
        await remove_transcript(context_of(request), family.institution, family.contact_id, language, by="family")
