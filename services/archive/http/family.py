"""What a family is told and shown of its recording."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.archive.gate import CannotTell, NotOpen, gate_of
from services.archive.http.asking import context_of, family_viewer, told
from services.archive.http.pages import audience_of, pages
from services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE
from services.archive.model import Recording
from services.archive.repository import Viewings
from shared.service import Context
from shared.web.access import FamilySession

router = APIRouter()


@router.get("/api/v1/family")
async def recording(request: Request, family: FamilySession) -> dict[str, Any]:
    """The family's recording; 404 while there is none."""
    context = context_of(request)
    found = await gate_of(context).standing(family.institution, family.contact_id)
    with told():
        if found is None:
            raise NotOpen
    return await described(context, found)


@router.get("/api/v1/family/plays")
async def plays(request: Request, family: FamilySession) -> dict[str, Any]:
    """As a student's player asks, for the family's own."""
    with told():
        found = await gate_of(context_of(request)).admit(family.institution, family.contact_id, family_viewer(family))
    return {"plays": True, "sha256": found.media.sha256 if found.media else ""}


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
    return pages.render(
        request,
        "your_recording.html",
        one=found,
        sure=sure,
        audience=audience_of(request, found),
        times=await viewings.count(family.contact_id),
        last=await viewings.last(family.contact_id),
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
    )


async def described(context: Context, one: Recording) -> dict[str, Any]:
    viewings = Viewings(context, one.institution)
    media = one.media
    return {
        "state": one.state,
        "media": media.kind if media else None,
        "duration_seconds": media.duration_seconds if media else 0,
        "sha256": media.sha256 if media else "",
        "audience": one.audience,
        "refused_because": one.refused_because,
        "paused": one.consent.state == "paused",
        "expires_at": one.expires_at,
        "watched": {"times": await viewings.count(one.id), "last_at": await viewings.last(one.id)},
    }
