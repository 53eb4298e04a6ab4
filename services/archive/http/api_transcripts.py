"""What is said in a recording, written down, in the JSON API and as captions: for staff, and for its family."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.handlers.searching import Results, search
from firsthand.services.archive.handlers.transcripts import (
    approve_transcript,
    bring_transcript,
    change_line,
    read_by_family,
    read_by_viewer,
    remove_transcript,
    silence_line,
    transcripts_of,
)
from firsthand.services.archive.http.doors import ContactTutor, context_of, told, viewer_of
from firsthand.services.archive.http.shapes import SearchOut
from firsthand.services.archive.http.transcripts import (
    LanguagePath,
    LineIn,
    Seen,
    TranscriptOut,
    TranscriptsOut,
    WrittenOut,
    captions_of,
)
from firsthand.services.archive.model.captions import MOST_BYTES, Form
from firsthand.shared.identifiers import Id, InstitutionId
from firsthand.shared.inputs import Count, Cursor, Line
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import FamilySession, Student
from firsthand.shared.web.security import Streamed

A_PAGE: Final = 6  # recordings, with three lines each: what fits on a screen

router = APIRouter()


@router.get("/api/v1/recordings/{contact_id}/transcripts")
async def transcripts(request: Request, contact_id: Id, staff: ContactTutor) -> TranscriptsOut:
    """Which written versions there are. Their lines are read where the recording is watched."""
    return await _all(request, staff.institution, contact_id)


@router.put("/api/v1/recordings/{contact_id}/transcripts/{language}")
async def bring(
    request: Request, contact_id: Id, language: LanguagePath, staff: ContactTutor, chunks: Streamed,
    translated: Annotated[bool, Query()] = False,
) -> TranscriptOut:  # fmt: skip
    """Bring captions, WebVTT or SubRip, as the body. They wait for the family, whatever it approved before."""
    content = bytearray()
    async for piece in chunks:
        content += piece
        if len(content) > MOST_BYTES:
            break
    with told():
        brought = await bring_transcript(
            context_of(request), staff.institution, contact_id, language, bytes(content), translated=translated,
            by=staff.person_id,
        )  # fmt: skip
    return TranscriptOut.of(brought)


@router.delete("/api/v1/recordings/{contact_id}/transcripts/{language}", status_code=204)
async def remove(request: Request, contact_id: Id, language: LanguagePath, staff: ContactTutor) -> None:
    """Remove a written version, also one that is shown."""
    with told():
        await remove_transcript(context_of(request), staff.institution, contact_id, language)


@router.get("/api/v1/watch/{contact_id}/transcripts/{language}")
async def read(request: Request, contact_id: Id, language: LanguagePath, staff: Student) -> WrittenOut:
    """The lines that the family approved, for who may watch now."""
    with told():
        found = await read_by_viewer(context_of(request), staff.institution, contact_id, language, viewer_of(staff))
    return WrittenOut.of(found)


@router.get("/captions/{contact_id}/{language}/{form}", response_class=Response)
async def captions(request: Request, contact_id: Id, language: LanguagePath, form: Form, staff: Student) -> Response:
    """The same as captions, for a player."""
    with told():
        found = await read_by_viewer(context_of(request), staff.institution, contact_id, language, viewer_of(staff))
    return captions_of(found, form)


@router.get("/api/v1/search")
async def find(request: Request, staff: Student, q: Line, after: Cursor | None = None) -> SearchOut:
    """Where it is said, in what may be watched and read now: all the words, in any order and spelling."""
    with told():
        return await SearchOut.of(context_of(request), await results_of(request, staff, q, after))


async def results_of(request: Request, staff: Staff, text: str, after: str | None) -> Results:
    """Raises CannotTell, NoSuchPlace."""
    return await search(context_of(request), staff.institution, viewer_of(staff), text, after=after, limit=A_PAGE)


@router.get("/api/v1/family/transcripts")
async def family_transcripts(request: Request, family: FamilySession) -> TranscriptsOut:
    """Which written versions of its recording wait for the family, or are shown."""
    return await _all(request, family.institution, family.contact_id)


@router.get("/api/v1/family/transcripts/{language}")
async def family_read(request: Request, language: LanguagePath, family: FamilySession) -> WrittenOut:
    with told():
        found = await read_by_family(context_of(request), family.institution, family.contact_id, language)
    return WrittenOut.of(found)


@router.get("/family/captions/{language}/{form}", response_class=Response)
async def family_captions(request: Request, language: LanguagePath, form: Form, family: FamilySession) -> Response:
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
async def family_remove(request: Request, language: LanguagePath, family: FamilySession) -> None:
    """Remove a written version; nobody reads it any more."""
    with told():
        await remove_transcript(context_of(request), family.institution, family.contact_id, language)


async def _all(request: Request, institution: InstitutionId, contact_id: str) -> TranscriptsOut:
    context = context_of(request)
    found = await gate_of(context).standing(institution, contact_id)
    with told():
        if found is None:
            raise NotOpen
    return TranscriptsOut(transcripts=[TranscriptOut.of(one) for one in await transcripts_of(context, found)])
