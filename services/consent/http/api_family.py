"""The JSON API for a family that opened its personal link."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from services.consent.handlers import decisions, reading
from services.consent.http.doors import context_of
from services.consent.model import Erase, Journey, Signer
from services.consent.model.records import Assent
from shared.events.contact import Language, Scope
from shared.refused import NotFound
from shared.service import Context
from shared.sessions import Family
from shared.web.access import FamilySession

router = APIRouter(prefix="/api/v1")


def _assent(value: object) -> object:
    """A plain yes or no is understood: the child agrees, or does not want it."""
    plain = {True: "agrees", False: "objects", "yes": "agrees", "no": "objects"}
    return plain.get(value, value) if isinstance(value, bool | str) else value


class Decision(BaseModel):
    """Who signs, for whom, and every question's answer; a question left out is a no."""

    model_config = ConfigDict(extra="forbid")

    signer: Signer
    name: Annotated[str, Field(max_length=200)]
    scopes: dict[Scope, bool]
    about_child: bool = False
    child_assent: Annotated[Assent | None, BeforeValidator(_assent)] = None
    birth_year: Annotated[int | None, Field(ge=1900, le=2200)] = None
    decides_alone: bool = True
    other_agrees: Annotated[str, Field(max_length=200)] = ""
    language: Language | None = None
    text_version: str | None = None


class Change(BaseModel):
    """The scopes to change; the others stay as they are."""

    model_config = ConfigDict(extra="forbid")

    scopes: dict[Scope, bool]


class Release(BaseModel):
    """Exactly the recording that was seen, by its SHA-256 (hex)."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Withdrawal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    erase: Erase


@router.get("/family")
async def family_state(request: Request, family: FamilySession, language: Language | None = None) -> dict[str, Any]:
    """What is in force, what can be done now, and the text to decide upon."""
    context = context_of(request)
    view = await reading.family_view(context, family.institution, family.contact_id, language)
    return reading.family_json(context, view)


@router.post("/family/decision")
async def decide(request: Request, family: FamilySession, decision: Decision) -> dict[str, Any]:
    context = context_of(request)
    answers = decisions.Answers(**decision.model_dump(exclude={"language", "text_version"}))
    return await _told(
        context,
        await decisions.grant(
            context,
            family.institution,
            family.contact_id,
            answers,
            language=decision.language,
            text_version=decision.text_version,
        ),
    )


@router.post("/family/decline")
async def decline(request: Request, family: FamilySession) -> dict[str, Any]:
    context = context_of(request)
    return await _told(context, await decisions.decline(context, family.institution, family.contact_id))


@router.post("/family/change")
async def change(request: Request, family: FamilySession, change: Change) -> dict[str, Any]:
    context = context_of(request)
    return await _told(
        context,
        await decisions.change(context, family.institution, family.contact_id, change.scopes),
    )


@router.post("/family/pause")
async def pause(request: Request, family: FamilySession) -> dict[str, Any]:
    context = context_of(request)
    return await _told(context, await decisions.pause(context, family.institution, family.contact_id))


@router.post("/family/resume")
async def resume(request: Request, family: FamilySession) -> dict[str, Any]:
    context = context_of(request)
    return await _told(context, await decisions.resume(context, family.institution, family.contact_id))


@router.post("/family/release")
async def release(request: Request, family: FamilySession, release: Release) -> dict[str, Any]:
    context = context_of(request)
    return await _told(
        context,
        await decisions.release(context, family.institution, family.contact_id, release.sha256),
    )


@router.post("/family/withdraw")
async def withdraw(request: Request, family: FamilySession, withdrawal: Withdrawal) -> dict[str, Any]:
    context = context_of(request)
    return await _told(
        context,
        await decisions.withdraw(context, family.institution, family.contact_id, withdrawal.erase),
    )


@router.post("/family/undo")
async def undo(request: Request, family: FamilySession) -> dict[str, Any]:
    context = context_of(request)
    return await _told(context, await decisions.undo(context, family.institution, family.contact_id))


@router.get("/family/receipt")
async def receipt(request: Request, family: FamilySession) -> dict[str, Any]:
    """The receipt (ISO/IEC TS 27560); 404 before a decision and after erasure."""
    context = context_of(request)
    view = await reading.family_view(context, family.institution, family.contact_id)
    if not view.journey.records:
        raise NotFound
    return await reading.receipt(context, view)


@router.get("/family/certificate")
async def certificate(request: Request, family: FamilySession) -> dict[str, Any]:
    """What was erased, what is kept and why, what is out of reach; 404 before deletion was asked for."""
    context = context_of(request)
    journey = await _erasing(context, family)
    return reading.certificate(journey)


async def _erasing(context: Context, family: Family) -> Journey:
    view = await reading.family_view(context, family.institution, family.contact_id)
    if view.journey.current_stage() not in {"erasing", "erased"}:
        raise NotFound
    return view.journey


async def _told(context: Context, journey: Journey) -> dict[str, Any]:
    view = await reading.family_view(context, journey.institution, journey.id)
    return reading.family_json(context, reading.FamilyView(journey, view.ground))
