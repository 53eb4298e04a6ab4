"""Recordings in the JSON API: students see those they may watch now, tutors and coordinators see all."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Query, Request

from firsthand.services.archive.gate import CannotTell, Gate, NotOpen, gate_of
from firsthand.services.archive.http.doors import context_of, told, viewer_of
from firsthand.services.archive.http.shapes import CardOut, PlaysOut, RecordingOut, RecordingsOut
from firsthand.services.archive.model import Recording, Viewer
from firsthand.services.archive.repository import Recordings
from firsthand.shared.identifiers import Id, InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Page
from firsthand.shared.web.access import Student, Tutor
from firsthand.shared.web.problems import Problem

router = APIRouter(prefix="/api/v1")

_PAGE = 50


def is_team(staff: Staff) -> bool:
    return bool({"tutor", "coordinator", "machine"} & staff.roles)


@router.get("/recordings")
async def recordings(request: Request, staff: Student, after: str | None = None) -> RecordingsOut:
    """`{"recordings": [...], "next": cursor or null}`; tutors get every one, students those that play to them now."""
    context = context_of(request)
    with told():
        found, next_ = await listed(context, staff, after)
        if is_team(staff):
            return RecordingsOut(recordings=[await RecordingOut.of(context, one) for one in found], next=next_)
        return RecordingsOut(recordings=[await CardOut.of(context, one) for one in found], next=next_)


@router.get("/recordings/{contact_id}")
async def recording(request: Request, contact_id: Id, staff: Tutor) -> RecordingOut:
    context = context_of(request)
    found = await gate_of(context).standing(staff.institution, contact_id)
    with told():
        if found is None:
            raise NotOpen
        return await RecordingOut.of(context, found)


@router.get("/recordings/{contact_id}/plays")
async def plays(
    request: Request, contact_id: Id, staff: Student, download: Annotated[bool, Query()] = False
) -> PlaysOut:
    """Tell `{"plays": true, ...}`, or the problem that the media answers with. Players ask every second."""
    with told():
        found = await gate_of(context_of(request)).admit(
            staff.institution, contact_id, viewer_of(staff), download=download
        )
    return PlaysOut(plays=True, sha256=found.media.sha256 if found.media else "")


async def listed(context: Context, staff: Staff, after: str | None) -> tuple[list[Recording], str | None]:
    """One page of what this person may know of. Raises CannotTell for students, whose list depends on the gate."""
    documents = Recordings(context, staff.institution)
    if is_team(staff):
        page = await _place(documents.page(after, _PAGE))
        return [one for one in page.items if one.state != "unexpected"], page.next
    gate, viewer = gate_of(context), viewer_of(staff)
    await gate.be_sure()
    page = await _place(documents.released(after, _PAGE))
    return [one for one in page.items if await _open(gate, staff.institution, one.id, viewer)], page.next


async def _place(page: Awaitable[Page[Recording]]) -> Page[Recording]:
    try:
        return await page
    except ValueError:  # `after` is no place in this list
        raise Problem(400) from None


async def _open(gate: Gate, institution: InstitutionId, contact_id: str, viewer: Viewer) -> bool:
    try:
        await gate.admit(institution, contact_id, viewer)
    except (CannotTell, NotOpen):  # one that cannot be checked closes itself, not the list
        return False
    return True
