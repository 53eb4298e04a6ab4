"""A family's recording over the JSON API."""

from typing import Any

from fastapi import APIRouter, Request

from services.archive.gate import NotOpen, gate_of
from services.archive.http.doors import context_of, family_viewer, told
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
