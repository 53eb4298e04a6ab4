"""A family's recording: watch it, and see who may watch it."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from firsthand.services.archive.gate import CannotTell, NotOpen, gate_of
from firsthand.services.archive.http.doors import context_of, family_viewer
from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.http.pages_staff import audience_of
from firsthand.services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE
from firsthand.services.archive.repository import Versions, Viewings
from firsthand.shared.web.access import FamilySession

router = APIRouter()


@router.get("/family", include_in_schema=False)
async def your_recording(request: Request, family: FamilySession) -> Response:
    context = context_of(request)
    gate = gate_of(context)
    found = await gate.standing(family.institution, family.contact_id)
    try:
        await gate.admit(family.institution, family.contact_id, family_viewer(family))
        sure = True
    except (CannotTell, NotOpen):
        sure = False
    viewings = Viewings(context, family.institution)
    version = await Versions(context, family.institution).of(found)
    return pages.render(
        request,
        "your_recording.html",
        one=found,
        sure=sure,
        preparing=version is not None and version.is_open,
        audience=audience_of(request, found),
        times=await viewings.count(family.contact_id),
        last=await viewings.last(family.contact_id),
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
    )
