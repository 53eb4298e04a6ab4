"""The pages of what is said in recordings: searching it, and bringing it."""

from collections.abc import Awaitable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.archive.gate import CannotTell
from firsthand.services.archive.handlers.transcripts import (
    bring_transcript,
    remove_transcript,
)
from firsthand.services.archive.http.api_staff_transcripts import results_of
from firsthand.services.archive.http.doors import ContactTutor, context_of, told
from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.http.pages_staff import shown_to_team
from firsthand.services.archive.http.shapes import CardOut
from firsthand.services.archive.http.transcripts import LanguageCode
from firsthand.services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE
from firsthand.services.archive.model.captions import MOST_BYTES
from firsthand.services.archive.model.edits import clock_of
from firsthand.services.archive.model.refusals import not_written
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Line
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import Student
from firsthand.shared.web.languages import NAMES
from firsthand.shared.web.multipart import SentForm
from firsthand.shared.web.security import Streamed

_OPTIONS: Final = tuple(NAMES)

router = APIRouter(include_in_schema=False)


@router.get("/search")
async def search_page(request: Request, staff: Student, q: Line = "", after: Cursor | None = None) -> Response:
    context = context_of(request)
    found, results = [], None
    if q:
        try:
            results = await results_of(request, staff, q, after)
        except CannotTell:
            return pages.render(
                request, "closed.html", status=503, title=CANNOT_TELL_TITLE, text=CANNOT_TELL, again=request.url.path
            )
        found = [(await CardOut.of(context, one.recording), one) for one in results.found]
    return pages.render(
        request, "search.html", q=q, found=found, results=results, after=after, clock=clock_of,
    )  # fmt: skip


@router.post("/recordings/{contact_id}/words")
async def bring(request: Request, contact_id: Id, staff: ContactTutor, chunks: Streamed) -> Response:
    form = SentForm(request.headers.get("content-type", ""), chunks, "captions")
    content = await form.whole(MOST_BYTES)
    language = form.fields.get("language", "")
    if language not in _OPTIONS:
        return await shown_to_team(request, staff, contact_id, refused=not_written("no-language"))
    bringing = bring_transcript(
        context_of(request), staff.institution, contact_id, language, content,
        translated=form.fields.get("translated") == "yes", by=staff.person_id,
    )  # fmt: skip
    return await _by_team(request, staff, contact_id, bringing)


@router.post("/recordings/{contact_id}/words/remove")
async def remove(
    request: Request, contact_id: Id, staff: ContactTutor, language: Annotated[LanguageCode, Form()]
) -> Response:
    removing = remove_transcript(context_of(request), staff.institution, contact_id, language, by=staff.person_id)
    return await _by_team(request, staff, contact_id, removing)


async def _by_team(request: Request, staff: Staff, contact_id: str, act: Awaitable[Any]) -> Response:
    try:
        with told():
            await act
    except Refused as refused:
        return await shown_to_team(request, staff, contact_id, refused=refused)
    return RedirectResponse(f"/archive/recordings/{contact_id}#words", 303)
