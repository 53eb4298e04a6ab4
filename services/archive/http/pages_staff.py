"""The pages of students, tutors and coordinators: the list, one recording, the player."""

from collections.abc import Awaitable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response

from firsthand.services.archive.gate import CannotTell, NotOpen, gate_of
from firsthand.services.archive.handlers.clips import clips_of, make_clip, remove_clip
from firsthand.services.archive.handlers.copies import attest_copies_destroyed
from firsthand.services.archive.handlers.transcripts import read_by_viewer, transcripts_of
from firsthand.services.archive.handlers.uploads import receive_whole
from firsthand.services.archive.handlers.versions import choose_tracks, go_back, make_edited
from firsthand.services.archive.handlers.viewings import ViewLog
from firsthand.services.archive.handlers.wishes import asked_of, note_change_made
from firsthand.services.archive.http import editing
from firsthand.services.archive.http.api_staff import is_team, listed
from firsthand.services.archive.http.doors import ContactTutor, context_of, told, viewer_of
from firsthand.services.archive.http.editing import Typed, TypedEdit
from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.http.shapes import CardOut
from firsthand.services.archive.http.words import (
    AUDIENCES,
    CANNOT_TELL,
    CANNOT_TELL_TITLE,
    LEFT_OUT,
    NOT_OPEN,
    NOT_OPEN_TITLE,
    widest,
)
from firsthand.services.archive.model import Recording, Version
from firsthand.services.archive.model.edits import clock_of, place_of
from firsthand.services.archive.model.refusals import not_all_copies, refused_before
from firsthand.services.archive.model.version import VersionStage
from firsthand.services.archive.repository import Versions, Viewings
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.shared.acting import responsible_for
from firsthand.shared.copies import case_of, institution_of
from firsthand.shared.events.contact import SHOWN_TO
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Count, Cursor, Line, Word
from firsthand.shared.refused import Refused
from firsthand.shared.renewals import is_complete
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import Student
from firsthand.shared.web.multipart import SentForm
from firsthand.shared.web.problems import Problem, status_of
from firsthand.shared.web.security import Streamed

_A_PAGE = 25
Seconds = Annotated[float, Query(ge=0, le=24 * 3600)]

_TO_DO_MEANWHILE: Final[Mapping[VersionStage, str]] = {
    "choosing": N_("Choose what to keep of the file"),
    "waiting": N_("Wait: the recording is being prepared"),
    "working": N_("Wait: the recording is being prepared"),
}


class TypedClip(BaseModel):
    """A clip as a tutor typed it; kept when it is refused."""

    start: Word = ""
    end: Word = ""
    title: Line = ""


TypedClipForm = Annotated[TypedClip, Form()]

router = APIRouter(include_in_schema=False)


@router.get("/recordings")
async def recordings(
    request: Request, staff: Student, show: Literal["watch"] | None = None, after: Cursor | None = None
) -> Response:
    context, works = context_of(request), is_team(staff) and show is None
    try:
        found = await listed(context, staff, after, works=works, limit=_A_PAGE)
    except CannotTell:
        return pages.render(
            request, "closed.html", status=503, title=CANNOT_TELL_TITLE, text=CANNOT_TELL, again=request.url.path
        )
    address = request.url.path + (f"?show={show}" if show else "")
    page: dict[str, Any] = {
        "total": found.total,
        "next_url": f"{address}{'&' if show else '?'}after={found.next}" if found.next else "",
        "first_url": address if after else "",
        "is_team": is_team(staff),
    }
    page["complete"] = is_complete(context, Recording, staff.institution)
    if works:
        rows = [await _row(context, one) for one in found.recordings]
        return pages.render(request, "recordings_team.html", rows=rows, **page)
    cards = [await CardOut.of(context, one) for one in found.recordings]
    return pages.render(request, "recordings.html", cards=cards, **page)


@router.get("/recordings/{contact_id}")
async def recording(request: Request, contact_id: Id, staff: ContactTutor, done: Word = "") -> Response:
    return await shown_to_team(request, staff, contact_id, done=done)


@router.post("/recordings/{contact_id}/upload")
async def upload(request: Request, contact_id: Id, staff: ContactTutor, chunks: Streamed) -> Response:
    """Take a recording in from a plain form, where no script can send it in pieces."""
    content = SentForm(request.headers.get("content-type", ""), chunks, "recording").file()
    try:
        with told():
            await receive_whole(context_of(request), staff.institution, contact_id, chunks=content, by=staff.person_id)
    except Refused as refused:
        return await shown_to_team(request, staff, contact_id, refused=refused)
    except (ClientDisconnect, TimeoutError):
        raise Problem(408, N_("The upload was interrupted"), N_("Continue where it stopped.")) from None
    return RedirectResponse(f"/archive/recordings/{contact_id}?done=taken-in", 303)


@router.post("/recordings/{contact_id}/tracks")
async def tracks(
    request: Request, contact_id: Id, staff: ContactTutor, picture: Annotated[Word, Form()] = "",
    sound: Annotated[Word, Form()] = "",
) -> Response:  # fmt: skip
    """Choose which tracks of a file with several are taken."""
    chosen = [int(index) if index.isascii() and index.isdigit() else None for index in (picture, sound)]
    try:
        with told():
            await choose_tracks(context_of(request), staff.institution, contact_id, *chosen)
    except Refused as refused:
        return await shown_to_team(request, staff, contact_id, refused=refused)
    return RedirectResponse(f"/archive/recordings/{contact_id}", 303)


@router.post("/recordings/{contact_id}/edits")
async def add_edit(request: Request, contact_id: Id, staff: ContactTutor, typed: TypedEdit) -> Response:
    adding = editing.add(context_of(request), staff.institution, contact_id, typed)
    return await _changed(request, staff, contact_id, adding, typed=typed)


@router.post("/recordings/{contact_id}/edits/remove")
async def remove_edit(
    request: Request, contact_id: Id, staff: ContactTutor, number: Annotated[Count, Form()]
) -> Response:
    context = context_of(request)
    found = await gate_of(context).standing(staff.institution, contact_id)
    if found is None:
        raise NotOpen
    return await _changed(
        request, staff, contact_id, editing.remove(context, staff.institution, contact_id, found, number)
    )


@router.post("/recordings/{contact_id}/wishes/{wish_id}/done")
async def wish_done(request: Request, contact_id: Id, wish_id: Id, staff: ContactTutor) -> Response:
    making = note_change_made(context_of(request), staff.institution, contact_id, wish_id, staff.person_id)
    return await _changed(request, staff, contact_id, making)


@router.post("/recordings/{contact_id}/copies")
async def copies(
    request: Request,
    contact_id: Id,
    staff: ContactTutor,
    devices: Annotated[Literal["yes", ""], Form()] = "",
    provider: Annotated[Literal["yes", ""], Form()] = "",
    elsewhere: Annotated[Literal["yes", ""], Form()] = "",
) -> Response:
    async def attest() -> None:
        if not (devices and provider and elsewhere):
            raise not_all_copies()
        await attest_copies_destroyed(context_of(request), staff.institution, contact_id, staff.person_id)

    return await _changed(request, staff, contact_id, attest())


@router.post("/recordings/{contact_id}/versions")
async def make_version(request: Request, contact_id: Id, staff: ContactTutor) -> Response:
    return await _changed(request, staff, contact_id, make_edited(context_of(request), staff.institution, contact_id))


@router.post("/recordings/{contact_id}/versions/back")
async def back(request: Request, contact_id: Id, staff: ContactTutor, file: Annotated[Word, Form()]) -> Response:
    going = go_back(context_of(request), staff.institution, contact_id, file, by=staff.person_id)
    return await _changed(request, staff, contact_id, going)


async def _changed(
    request: Request, staff: Staff, contact_id: str, act: Awaitable[None], *, typed: Typed | None = None
) -> Response:
    try:
        with told():
            await act
    except Refused as refused:
        return await shown_to_team(request, staff, contact_id, refused=refused, typed=typed)
    return RedirectResponse(f"/archive/recordings/{contact_id}", 303)


@router.get("/watch/{contact_id}")
async def watch(
    request: Request, contact_id: Id, staff: Student, language: Word = "", t: Seconds = 0, until: Seconds = 0
) -> Response:
    return await _watched(request, staff, contact_id, language=language, at=t, until=until)


@router.post("/watch/{contact_id}/clips")
async def add_clip(request: Request, contact_id: Id, staff: ContactTutor, typed: TypedClipForm) -> Response:
    of = context_of(request), staff.institution, contact_id, viewer_of(staff)
    try:
        with told():
            await make_clip(*of, place_of(typed.start), place_of(typed.end) if typed.end else None, typed.title)
    except Refused as refused:
        return await _watched(request, staff, contact_id, refused=refused, typed=typed)
    return RedirectResponse(f"/archive/watch/{contact_id}#clips", 303)


@router.post("/watch/{contact_id}/clips/{clip_id}/remove")
async def delete_clip(request: Request, contact_id: Id, clip_id: Id, staff: ContactTutor) -> Response:
    with told():
        await remove_clip(context_of(request), staff.institution, contact_id, viewer_of(staff), clip_id)
    return RedirectResponse(f"/archive/watch/{contact_id}#clips", 303)


async def _watched(
    request: Request, staff: Staff, contact_id: str, *, language: str = "", at: float = 0, until: float = 0,
    refused: Refused | None = None, typed: TypedClip | None = None,
) -> Response:  # fmt: skip
    context = context_of(request)
    try:
        found = await gate_of(context).admit(staff.institution, contact_id, viewer_of(staff))
    except CannotTell:
        return pages.render(
            request, "closed.html", status=503, title=CANNOT_TELL_TITLE, text=CANNOT_TELL, again=request.url.path
        )
    except NotOpen:
        return pages.render(request, "closed.html", status=404, title=NOT_OPEN_TITLE, text=NOT_OPEN, again="")
    responsible = await responsible_for(context, staff.institution, found.contact.case_id, found.contact.tutor_id)
    case = await case_of(context, staff.institution, found.contact.case_id)
    return pages.render(
        request,
        "watch.html",
        goals=case.goals if case else [],
        status=status_of(refused) if refused else 200,
        card=await CardOut.of(context, found),
        media=found.media,
        at=at,
        until=until if until > at else 0,
        place=await context.own(ViewLog).place(staff.institution, contact_id, viewer_of(staff)),
        clock=clock_of,
        clips=await clips_of(context, found),
        picks=responsible.include(staff),
        refused=refused,
        typed=typed or TypedClip(),
        **await _said(context, staff, found, language),
        audience=audience_of(request, found),
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
    )


async def _said(context: Context, staff: Staff, recording: Recording, language: str | None) -> dict[str, Any]:
    """What the page on which a recording is watched is given of what is said in it."""
    there = [one for one in await transcripts_of(context, recording) if one.is_shown]
    if not there or not recording.reads_to(viewer_of(staff)):
        return {"transcripts": [], "written": None}
    chosen = next((one for one in there if one.language == language), there[0])
    try:
        written = await read_by_viewer(context, staff.institution, recording.id, chosen.language, viewer_of(staff))
    except (CannotTell, NotOpen):
        return {"transcripts": [], "written": None}
    return {"transcripts": there, "written": written}


def audience_of(request: Request, one: Recording | None) -> list[str]:
    """Who may see it now, in the visitor's words."""
    say = pages.language(request).gettext
    return [say(AUDIENCES[scope]) for scope in widest(set(one.audience) & SHOWN_TO)] if one else []


async def shown_to_team(
    request: Request, staff: Staff, contact_id: str, *, done: Word = "", refused: Refused | None = None,
    typed: Typed | None = None,
) -> Response:  # fmt: skip
    context = context_of(request)
    found = await gate_of(context).standing(staff.institution, contact_id)
    if found is None or found.state == "unexpected":
        raise Problem(404, N_("There is no recording"), N_("There is no recorded meeting with this contact yet."))
    viewings, version = Viewings(context, staff.institution), await Versions(context, staff.institution).of(found)
    policy = await institution_of(context, staff.institution)
    return pages.render(
        request,
        "recording.html",
        status=status_of(refused) if refused else 200,
        one=found,
        row=await _row(context, found),
        audience=audience_of(request, found),
        watched=await viewings.students(found.id),
        watched_last=await viewings.last(found.id),
        zone=policy.zone if policy else "UTC",
        largest=ArchiveSettings().largest_upload,
        version=version,
        editable=editing.is_editable(found) and not (version and version.is_open),
        **editing.shown(found, typed),
        unprepared=await _why_unprepared(context, found),
        left_out=_left_out(request, found),
        plays=await _plays(context, staff, found),
        transcripts=await transcripts_of(context, found),
        asked=await asked_of(context, found),
        may_write=_may_write(context, found),
        done=done,
        refused=refused,
    )


def _may_write(context: Context, found: Recording) -> bool:
    try:
        found.admits_words(context.clock.now())
    except Refused:
        return False
    return True


def _left_out(request: Request, found: Recording) -> list[str]:
    """What of the file is not in what is shown, in the visitor's words."""
    say = pages.language(request).gettext
    return [say(LEFT_OUT[extra]) for extra in found.media.left_out] if found.media else []


async def _why_unprepared(context: Context, found: Recording) -> str:
    """Say why no version could be made of what was brought; empty if none was refused."""
    version = await Versions(context, found.institution).of(found)
    refused = version is not None and version.stage in ("refused", "waiting") and version.refused_because
    return refused_before(refused).text if refused else ""


async def _plays(context: Context, staff: Staff, found: Recording) -> bool:
    try:
        await gate_of(context).admit(staff.institution, found.id, viewer_of(staff))
    except (CannotTell, NotOpen):
        return False
    return True


async def _row(context: Context, one: Recording) -> dict[str, Any]:
    """One line of the tutors' list: the recording and what to do."""
    case = await case_of(context, one.institution, one.contact.case_id)
    try:
        one.admits_upload(context.clock.now())
        why_not = ""
    except Refused as refused:
        why_not = refused.text
    return {
        "one": one,
        "title": case.title if case else "",
        "to_do": _to_do(one, await Versions(context, one.institution).of(one)),
        "why_not": why_not,
        "may_upload": not why_not,
    }


def _to_do(one: Recording, version: Version | None) -> str:
    if version and version.is_open:
        return _TO_DO_MEANWHILE[version.stage]
    if one.state == "awaited":
        return N_("Upload the recording") if one.consent.state == "granted" else N_("Wait: the family has paused")
    if one.state == "held":
        return N_("Upload a version with sound only") if one.refused_because else N_("Wait for the family to watch it")
    if one.state == "released":
        return N_("Nothing: the audience can watch it") if one.audience else N_("Nothing: no one may watch it now")
    return N_("Delete your own copies") if one.state == "withdrawn" else N_("Nothing: it was deleted")
