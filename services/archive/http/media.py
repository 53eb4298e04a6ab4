"""The recording itself, in ranges. Students by the audience that is allowed now, the family by its own session."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.handlers.viewings import ViewLog
from firsthand.services.archive.http.doors import context_of, family_viewer, told, viewer_of
from firsthand.services.archive.http.licence import note_of
from firsthand.services.archive.http.playing import NotSatisfiable, PlayResponse, Showing, etag_of, span_of
from firsthand.services.archive.model import Recording, Viewer
from firsthand.services.archive.repository import shelf_of
from firsthand.shared.copies import institution_of
from firsthand.shared.identifiers import Id
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family, Staff
from firsthand.shared.web.access import FamilySession, Student

router = APIRouter()

_BYTES: Final = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
MEDIA: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "the whole recording; its type is in Content-Type", **_BYTES},
    206: {"description": "the range that was asked for", **_BYTES},
    416: {"description": "the range lies outside of the recording"},
}


@router.head("/media/{contact_id}", include_in_schema=False)
@router.get("/media/{contact_id}", response_class=Response, responses=MEDIA)
async def media(
    request: Request, contact_id: Id, staff: Student, download: Annotated[bool, Query()] = False
) -> Response:
    return await _play(request, staff, contact_id, viewer_of(staff), download=download)


@router.head("/family/media", include_in_schema=False)
@router.get("/family/media", response_class=Response, responses=MEDIA)
async def family_media(request: Request, family: FamilySession, download: Annotated[bool, Query()] = False) -> Response:
    """The family's own recording, also before its release, until it is erased."""
    return await _play(request, family, family.contact_id, family_viewer(family), download=download)


async def _play(
    request: Request, session: Staff | Family, contact_id: str, viewer: Viewer, *, download: bool
) -> Response:
    context, institution = context_of(request), session.institution
    gate = gate_of(context)
    with told():
        recording = await gate.admit(institution, contact_id, viewer, download=download)
        shown = recording.media
        if shown is None:
            raise NotOpen
        note = await _note(context, recording, viewer) if download and not viewer.family else b""
        size = shown.bytes + len(note)
        try:
            headers = request.headers
            span = span_of(size, headers.get("range"), headers.get("if-range"), etag_of(shown, note))
        except NotSatisfiable:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        key = await context.vault.media_key(institution, contact_id)
        reader = await shelf_of(context, institution, contact_id).reader(shown.file, key)

    async def seen(sent: int) -> None:
        if not viewer.family:
            seconds = sent / shown.bytes * shown.duration_seconds
            await context.own(ViewLog).note(institution, contact_id, viewer, seconds)

    showing = Showing(gate, recording, viewer, shown, download, partial(context.verifier.is_void, session))
    return PlayResponse(showing, reader, span, seen=seen, note=note)


async def _note(context: Context, recording: Recording, viewer: Viewer) -> bytes:
    institution = await institution_of(context, recording.institution)
    name = institution.name if institution else recording.institution
    return note_of(recording, viewer, name, context.clock.now().date())
