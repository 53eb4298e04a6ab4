"""A family's recording over the JSON API."""

from fastapi import APIRouter, Request

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.http.doors import context_of, family_viewer, told
from firsthand.services.archive.http.shapes import FamilyRecordingOut, PlaysOut
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
    with told():
        found = await gate_of(context_of(request)).admit(family.institution, family.contact_id, family_viewer(family))
    return PlaysOut(plays=True, sha256=found.media.sha256 if found.media else "")
