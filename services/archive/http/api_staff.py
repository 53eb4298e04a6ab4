"""Recordings in the JSON API: students see those they may watch now, tutors and coordinators see all."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.handlers.clips import clips_of, make_clip, remove_clip
from firsthand.services.archive.handlers.copies import attest_copies_destroyed
from firsthand.services.archive.handlers.listing import Listed, list_for_team, list_for_viewer
from firsthand.services.archive.handlers.versions import choose_tracks, go_back, make_edited, propose_edits
from firsthand.services.archive.handlers.viewings import ViewLog
from firsthand.services.archive.handlers.wishes import note_change_made
from firsthand.services.archive.http.doors import ContactTutor, context_of, told, viewer_of
from firsthand.services.archive.http.shapes import (
    BackTo,
    CardOut,
    ChosenTracks,
    ClipIn,
    ClipsOut,
    EditingOut,
    EditsIn,
    PlaceIn,
    PlaysOut,
    RecordingOut,
    RecordingsOut,
)
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import Student

router = APIRouter(prefix="/api/v1")

_A_PAGE = 50


def is_team(staff: Staff) -> bool:
    return bool({"tutor", "coordinator", "machine"} & staff.roles)


@router.get("/recordings")
async def recordings(
    request: Request, staff: Student, show: Literal["watch"] | None = None, after: Cursor | None = None
) -> RecordingsOut:
    """`{"recordings": [...], ...}`; tutors get those of their contacts, coordinators every one. Students, and everybody
    who asks to `watch`, get those that play to them now.
    """
    context, works = context_of(request), is_team(staff) and show is None
    with told():
        found = await listed(context, staff, after, works=works, limit=_A_PAGE)
        if works:
            shown = [await RecordingOut.of(context, one) for one in found.recordings]
            return RecordingsOut(recordings=shown, next=found.next, total=found.total)
        cards = [await CardOut.of(context, one) for one in found.recordings]
        return RecordingsOut(recordings=cards, next=found.next, total=found.total)


@router.get("/recordings/{contact_id}")
async def recording(request: Request, contact_id: Id, staff: ContactTutor) -> RecordingOut:
    context = context_of(request)
    found = await gate_of(context).standing(staff.institution, contact_id)
    with told():
        if found is None:
            raise NotOpen
        return await RecordingOut.of(context, found)


@router.post("/recordings/{contact_id}/tracks")
async def tracks(request: Request, contact_id: Id, staff: ContactTutor, chosen: ChosenTracks) -> RecordingOut:
    """Choose which tracks of a file with several are taken; while `preparing.stage` is `choosing`."""
    context = context_of(request)
    with told():
        await choose_tracks(context, staff.institution, contact_id, chosen.picture, chosen.sound)
        found = await gate_of(context).standing(staff.institution, contact_id)
        if found is None:
            raise NotOpen
        return await RecordingOut.of(context, found)


@router.get("/recordings/{contact_id}/editing")
async def editing(request: Request, contact_id: Id, staff: ContactTutor) -> EditingOut:
    """What may be changed in the recording on the family's behalf, before its release."""
    return await _edited(request, staff, contact_id)


@router.put("/recordings/{contact_id}/edits")
async def edits(request: Request, contact_id: Id, staff: ContactTutor, given: EditsIn) -> EditingOut:
    """Keep what is to be changed. Nothing is changed until a version is made."""
    with told():
        await propose_edits(context_of(request), staff.institution, contact_id, given.edits)
    return await _edited(request, staff, contact_id)


@router.post("/recordings/{contact_id}/wishes/{wish_id}/done")
async def wish_done(request: Request, contact_id: Id, wish_id: Id, staff: ContactTutor) -> EditingOut:
    """Say that what the family asked for was changed."""
    with told():
        await note_change_made(context_of(request), staff.institution, contact_id, wish_id, staff.person_id)
    return await _edited(request, staff, contact_id)


@router.post("/recordings/{contact_id}/copies/destroyed")
async def copies_destroyed(request: Request, contact_id: Id, staff: ContactTutor) -> RecordingOut:
    """Say that no copy is left elsewhere: on devices, with the provider of the call, in mail or a cloud."""
    context = context_of(request)
    with told():
        await attest_copies_destroyed(context, staff.institution, contact_id, staff.person_id)
        return await recording(request, contact_id, staff)


@router.post("/recordings/{contact_id}/versions", status_code=202)
async def versions(request: Request, contact_id: Id, staff: ContactTutor) -> EditingOut:
    """Have a version made with all that is to be changed. The one that is shown now is kept until the release."""
    with told():
        await make_edited(context_of(request), staff.institution, contact_id)
    return await _edited(request, staff, contact_id)


@router.post("/recordings/{contact_id}/versions/back")
async def back(request: Request, contact_id: Id, staff: ContactTutor, to: BackTo) -> EditingOut:
    """Go back to an earlier version; later ones are deleted."""
    with told():
        await go_back(context_of(request), staff.institution, contact_id, to.file, by=staff.person_id)
    return await _edited(request, staff, contact_id)


async def _edited(request: Request, staff: Staff, contact_id: str) -> EditingOut:
    context = context_of(request)
    found = await gate_of(context).standing(staff.institution, contact_id)
    with told():
        if found is None:
            raise NotOpen
    return await EditingOut.of(context, found)


@router.get("/recordings/{contact_id}/plays")
async def plays(
    request: Request, contact_id: Id, staff: Student, download: Annotated[bool, Query()] = False
) -> PlaysOut:
    """Tell `{"plays": true, ...}`, or the problem that the media answers with. Players ask every second."""
    viewer = viewer_of(staff)
    with told():
        found = await gate_of(context_of(request)).admit(staff.institution, contact_id, viewer, download=download)
    return PlaysOut.of(found, viewer)


@router.get("/watch/{contact_id}/clips")
async def clips(request: Request, contact_id: Id, staff: Student) -> ClipsOut:
    """The stretches that tutors picked, for who may watch now."""
    return await _clips(request, staff, contact_id)


@router.post("/recordings/{contact_id}/clips", status_code=201)
async def add_clip(request: Request, contact_id: Id, staff: ContactTutor, given: ClipIn) -> ClipsOut:
    """Pick a stretch of a recording that is open to you. Whoever may watch it sees the clip."""
    of = context_of(request), staff.institution, contact_id, viewer_of(staff)
    with told():
        await make_clip(*of, given.start, given.end, given.title)
    return await _clips(request, staff, contact_id)


@router.delete("/recordings/{contact_id}/clips/{clip_id}", status_code=204)
async def delete_clip(request: Request, contact_id: Id, clip_id: Id, staff: ContactTutor) -> None:
    with told():
        await remove_clip(context_of(request), staff.institution, contact_id, viewer_of(staff), clip_id)


async def _clips(request: Request, staff: Staff, contact_id: str) -> ClipsOut:
    context = context_of(request)
    with told():
        found = await gate_of(context).admit(staff.institution, contact_id, viewer_of(staff))
        return ClipsOut.of(await clips_of(context, found))


@router.put("/recordings/{contact_id}/place", status_code=204)
async def place(request: Request, contact_id: Id, staff: Student, given: PlaceIn) -> None:
    """Keep where the viewer is, so that it can go on from there later. Players say so now and then."""
    context, viewer = context_of(request), viewer_of(staff)
    with told():
        await gate_of(context).admit(staff.institution, contact_id, viewer)
    await context.own(ViewLog).note(staff.institution, contact_id, viewer, 0, given.place)


async def listed(context: Context, staff: Staff, after: str | None, *, works: bool, limit: int) -> Listed:
    """One page of what this person works on, or may watch. Raises CannotTell for the latter, which the gate decides."""
    if works:
        return await list_for_team(context, staff, after=after, limit=limit)
    return await list_for_viewer(context, staff.institution, viewer_of(staff), after=after, limit=limit)
