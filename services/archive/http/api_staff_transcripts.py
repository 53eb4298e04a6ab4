"""What is said in a recording, written down: brought by its tutors, read and searched by who may watch it."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from firsthand.services.archive.handlers.searching import Results, search
from firsthand.services.archive.handlers.transcripts import (
    bring_transcript,
    read_by_viewer,
    remove_transcript,
)
from firsthand.services.archive.http.doors import ContactTutor, context_of, told, viewer_of
from firsthand.services.archive.http.shapes import SearchOut
from firsthand.services.archive.http.transcripts import (
    LanguagePath,
    TranscriptOut,
    TranscriptsOut,
    WrittenOut,
    captions_of,
    listed,
)
from firsthand.services.archive.model.captions import MOST_BYTES, Form
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Line
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import Student
from firsthand.shared.web.security import Streamed

A_PAGE: Final = 6  # recordings, with three lines each: what fits on a screen

router = APIRouter()


@router.get("/api/v1/recordings/{contact_id}/transcripts")
async def transcripts(request: Request, contact_id: Id, staff: ContactTutor) -> TranscriptsOut:
    """Which written versions there are. Their lines are read where the recording is watched."""
    with told():
        return await listed(context_of(request), staff.institution, contact_id)


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
        await remove_transcript(context_of(request), staff.institution, contact_id, language, by=staff.person_id)


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
