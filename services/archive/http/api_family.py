"""A family's recording over the JSON API."""

from fastapi import APIRouter, Request

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.handlers.versions import go_back, make_edited, propose_edits
from firsthand.services.archive.handlers.wishes import ask_change
from firsthand.services.archive.http.doors import context_of, family_viewer, told
from firsthand.services.archive.http.shapes import BackTo, EditingOut, EditsIn, FamilyRecordingOut, PlaysOut, WishIn
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import FamilySession

router = APIRouter()


@router.get("/api/v1/family")
async def recording(request: Request, family: FamilySession) -> FamilyRecordingOut:
    """The family's recording; 404 while there is none."""
    context = context_of(request)
    found = await gate_of(context).standing(family.institution, family.contact_id)
    with told():
        if found is None:
            raise NotOpen
    return await FamilyRecordingOut.of(context, found)


@router.get("/api/v1/family/plays")
async def plays(request: Request, family: FamilySession) -> PlaysOut:
    """As a student's player asks, for the family's own."""
    viewer = family_viewer(family)
    with told():
        found = await gate_of(context_of(request)).admit(family.institution, family.contact_id, viewer)
    return PlaysOut.of(found, viewer)


@router.get("/api/v1/family/editing")
async def editing(request: Request, family: FamilySession) -> EditingOut:
    """What the family may change in its recording before students see it."""
    return await _edited(request, family)


@router.put("/api/v1/family/edits")
async def edits(request: Request, family: FamilySession, given: EditsIn) -> EditingOut:
    """Keep what is to be changed. Nothing is changed until a version is made."""
    with told():
        await propose_edits(context_of(request), family.institution, family.contact_id, given.edits)
    return await _edited(request, family)


@router.post("/api/v1/family/wishes", status_code=202)
async def wishes(request: Request, family: FamilySession, given: WishIn) -> EditingOut:
    """Ask staff, in words, for a change that the family cannot make itself."""
    with told():
        await ask_change(context_of(request), family.institution, family.contact_id, given.place, given.text)
    return await _edited(request, family)


@router.post("/api/v1/family/versions", status_code=202)
async def versions(request: Request, family: FamilySession) -> EditingOut:
    """Have a version made with all that is to be changed. The one that is shown now is kept until the release."""
    with told():
        await make_edited(context_of(request), family.institution, family.contact_id)
    return await _edited(request, family)


@router.post("/api/v1/family/versions/back")
async def back(request: Request, family: FamilySession, to: BackTo) -> EditingOut:
    """Go back to an earlier version; later ones are deleted."""
    with told():
        await go_back(context_of(request), family.institution, family.contact_id, to.file, by="family")
    return await _edited(request, family)


async def _edited(request: Request, family: Family) -> EditingOut:
    context = context_of(request)
    found = await gate_of(context).standing(family.institution, family.contact_id)
    with told():
        if found is None:
            raise NotOpen
    return await EditingOut.of(context, found)
