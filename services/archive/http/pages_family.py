"""A family's recording: watch it, and see who may watch it."""

from collections.abc import Awaitable
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.archive.gate import CannotTell, NotOpen, gate_of
from firsthand.services.archive.handlers.transcripts import transcripts_of
from firsthand.services.archive.handlers.versions import go_back, make_edited
from firsthand.services.archive.handlers.wishes import ask_change, asked_of
from firsthand.services.archive.http import editing
from firsthand.services.archive.http.doors import context_of, family_viewer, told
from firsthand.services.archive.http.editing import Typed, TypedEdit, TypedWish
from firsthand.services.archive.http.pages import pages
from firsthand.services.archive.http.pages_staff import audience_of
from firsthand.services.archive.http.words import CANNOT_TELL, CANNOT_TELL_TITLE
from firsthand.services.archive.repository import Versions, Viewings
from firsthand.shared.inputs import Count, Word
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import FamilySession
from firsthand.shared.web.problems import status_of

_EDIT: Final = "/archive/family/edit"

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
        students=await viewings.students(family.contact_id),
        last=await viewings.last(family.contact_id),
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
        texts=await transcripts_of(context, found) if found else [],
        editable=editing.is_editable(found) and not (version and version.is_open),
        **(editing.shown(found) if found else {}),
    )


@router.get("/family/edit", include_in_schema=False)
async def edit(request: Request, family: FamilySession, done: Word = "") -> Response:
    return await _editing(request, family, done=done)


@router.post("/family/edits", include_in_schema=False)
async def add_edit(request: Request, family: FamilySession, typed: TypedEdit) -> Response:
    return await _acted(
        request, family, editing.add(context_of(request), family.institution, family.contact_id, typed), typed=typed
    )


@router.post("/family/edits/remove", include_in_schema=False)
async def remove_edit(request: Request, family: FamilySession, number: Annotated[Count, Form()]) -> Response:
    context = context_of(request)
    found = await gate_of(context).standing(family.institution, family.contact_id)
    if found is None:
        return RedirectResponse("/archive/family", 303)
    removing = editing.remove(context, family.institution, family.contact_id, found, number)
    return await _acted(request, family, removing)


@router.post("/family/wishes", include_in_schema=False)
async def wish(request: Request, family: FamilySession, typed: Annotated[TypedWish, Form()]) -> Response:
    context = context_of(request)
    try:
        place = typed.milliseconds
        with told():
            await ask_change(context, family.institution, family.contact_id, place, typed.text)
    except Refused as refused:
        return await _editing(request, family, refused=refused.text, status=status_of(refused), wished=typed)
    return RedirectResponse(f"{_EDIT}?done=asked", 303)


@router.post("/family/versions", include_in_schema=False)
async def make_version(request: Request, family: FamilySession) -> Response:
    making = make_edited(context_of(request), family.institution, family.contact_id)
    return await _acted(request, family, making, then="/archive/family")


@router.post("/family/versions/back", include_in_schema=False)
async def back(request: Request, family: FamilySession, file: Annotated[Word, Form()]) -> Response:
    going = go_back(context_of(request), family.institution, family.contact_id, file, by="family")
    return await _acted(request, family, going, then="/archive/family")


async def _acted(
    request: Request, family: Family, act: Awaitable[None], *, typed: Typed | None = None, then: str = _EDIT
) -> Response:
    try:
        with told():
            await act
    except Refused as refused:
        return await _editing(request, family, refused=refused.text, status=status_of(refused), typed=typed)
    return RedirectResponse(then, 303)


async def _editing(
    request: Request, family: Family, *, refused: str = "", status: int = 200, typed: Typed | None = None,
    wished: TypedWish | None = None, done: str = "",
) -> Response:  # fmt: skip
    context, gate = context_of(request), gate_of(context_of(request))
    found = await gate.standing(family.institution, family.contact_id)
    version = await Versions(context, family.institution).of(found)
    if found is None or not editing.is_editable(found) or (version and version.is_open):
        return RedirectResponse("/archive/family", 303)
    try:
        await gate.admit(family.institution, family.contact_id, family_viewer(family))
        sure = True
    except (CannotTell, NotOpen):
        sure = False
    return pages.render(
        request,
        "edit_recording.html",
        status=status,
        one=found,
        sure=sure,
        refused=refused,
        done=done,
        asked=await asked_of(context, found),
        wished=wished or TypedWish(),
        cannot_tell=(CANNOT_TELL_TITLE, CANNOT_TELL),
        **editing.shown(found, typed),
    )
