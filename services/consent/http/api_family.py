"""The JSON API for a family that opened its personal link."""

from fastapi import APIRouter, Request

from firsthand.services.consent.handlers import decisions, reading
from firsthand.services.consent.http.doors import context_of
from firsthand.services.consent.http.shapes import (
    CertificateOut,
    Change,
    Decision,
    End,
    FamilyOut,
    ReceiptOut,
    Release,
    Withdrawal,
)
from firsthand.services.consent.model import Journey
from firsthand.shared.events.contact import Language
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import FamilySession

router = APIRouter(prefix="/api/v1")


@router.get("/family")
async def family_state(request: Request, family: FamilySession, language: Language | None = None) -> FamilyOut:
    """What is in force, what can be done now, and the text to decide upon."""
    context = context_of(request)
    view = await reading.family_view(context, family.institution, family.contact_id, language)
    return FamilyOut.of(context, view)


@router.post("/family/decision")
async def decide(request: Request, family: FamilySession, decision: Decision) -> FamilyOut:
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
async def decline(request: Request, family: FamilySession) -> FamilyOut:
    context = context_of(request)
    return await _told(context, await decisions.decline(context, family.institution, family.contact_id))


@router.post("/family/change")
async def change(request: Request, family: FamilySession, change: Change) -> FamilyOut:
    context = context_of(request)
    return await _told(
        context,
        await decisions.change(context, family.institution, family.contact_id, change.scopes),
    )


@router.post("/family/until")
async def until(request: Request, family: FamilySession, end: End) -> FamilyOut:
    """Choose when everything is deleted: from tomorrow on, until the day that was shown when the family said yes."""
    context = context_of(request)
    return await _told(context, await decisions.choose_end(context, family.institution, family.contact_id, end.until))


@router.post("/family/pause")
async def pause(request: Request, family: FamilySession) -> FamilyOut:
    context = context_of(request)
    return await _told(context, await decisions.pause(context, family.institution, family.contact_id))


@router.post("/family/resume")
async def resume(request: Request, family: FamilySession) -> FamilyOut:
    context = context_of(request)
    return await _told(context, await decisions.resume(context, family.institution, family.contact_id))


@router.post("/family/release")
async def release(request: Request, family: FamilySession, release: Release) -> FamilyOut:
    context = context_of(request)
    return await _told(
        context,
        await decisions.release(context, family.institution, family.contact_id, release.sha256),
    )


@router.post("/family/withdraw")
async def withdraw(request: Request, family: FamilySession, withdrawal: Withdrawal) -> FamilyOut:
    context = context_of(request)
    return await _told(
        context,
        await decisions.withdraw(context, family.institution, family.contact_id, withdrawal.erase),
    )


@router.post("/family/undo")
async def undo(request: Request, family: FamilySession) -> FamilyOut:
    context = context_of(request)
    return await _told(context, await decisions.undo(context, family.institution, family.contact_id))


@router.get("/family/receipt")
async def receipt(request: Request, family: FamilySession) -> ReceiptOut:
    """The receipt (ISO/IEC TS 27560); 404 before a decision and after erasure."""
    context = context_of(request)
    view = await reading.family_view(context, family.institution, family.contact_id)
    if not view.journey.records:
        raise NotFound
    return ReceiptOut.model_validate(await reading.receipt(context, view))


@router.get("/family/certificate")
async def certificate(request: Request, family: FamilySession) -> CertificateOut:
    """What was erased, what is kept and why, what is out of reach; 404 before deletion was asked for."""
    context = context_of(request)
    journey = await _erasing(context, family)
    return CertificateOut.model_validate(reading.certificate(journey))


async def _erasing(context: Context, family: Family) -> Journey:
    view = await reading.family_view(context, family.institution, family.contact_id)
    if view.journey.current_stage() not in {"erasing", "erased"}:
        raise NotFound
    return view.journey


async def _told(context: Context, journey: Journey) -> FamilyOut:
    view = await reading.family_view(context, journey.institution, journey.id)
    return FamilyOut.of(context, reading.FamilyView(journey, view.ground))
