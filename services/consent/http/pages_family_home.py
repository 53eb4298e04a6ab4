"""The family's page after its decision: choices, second yes, change, pause, withdrawal, receipt, certificate."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.consent.handlers import decisions, reading
from firsthand.services.consent.handlers.reading import FamilyView
from firsthand.services.consent.http import words
from firsthand.services.consent.http.doors import context_of
from firsthand.services.consent.http.history import history_of
from firsthand.services.consent.http.pages import pages
from firsthand.services.consent.http.pages_family import HOME, facts_of, view_of
from firsthand.services.consent.model import Erase, in_plain_order
from firsthand.services.consent.model.scopes import ASKED, SHARE, included_in, widest
from firsthand.services.consent.model.standing import standing_of
from firsthand.shared.events.contact import SCOPES, Scope
from firsthand.shared.inputs import Instant
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Family
from firsthand.shared.web.access import FamilySession
from firsthand.shared.web.problems import ElsewhereFirst, status_of

router = APIRouter(prefix="/family", include_in_schema=False)

# What a page is for each stage of the journey; everything else shows the way that is still ahead.
_PAGES: Final = {
    "granted": "home.html",
    "paused": "home.html",
    "withdrawn": "withdrawn.html",
    "declined": "declined.html",
    "erasing": "certificate.html",
    "erased": "certificate.html",
}


@router.get("")
async def home(request: Request, family: FamilySession) -> Response:
    view = await view_of(request, family)
    stage = view.journey.current_stage()
    if stage == "linked":
        return RedirectResponse(f"{HOME}/about", 303)
    if stage in {"erasing", "erased"}:
        return await _certificate_page(request, view)
    name = _PAGES.get(stage, "declined.html")
    return pages.render(request, name, **await _shown(request, view))


@router.get("/change")
async def show_change(request: Request, family: FamilySession) -> Response:
    view = await _live(request, family)
    return pages.render(request, "change.html", refused=None, chosen={}, **await _shown(request, view))


@router.post("/change")
async def change(request: Request, family: FamilySession) -> Response:
    """New answers to every question; an omitted one stays as it was."""
    context = context_of(request)
    form = await request.form()
    answers: dict[Scope, bool] = {scope: form[scope] == "yes" for scope in SCOPES if form.get(scope) in {"yes", "no"}}
    try:
        await decisions.change(context, family.institution, family.contact_id, answers)
    except Refused as refused:
        view = await _live(request, family)
        return pages.render(
            request, "change.html", status=409, refused=refused, chosen=answers, **await _shown(request, view)
        )
    return RedirectResponse(f"{HOME}?done=changed", 303)


@router.post("/until")
async def until(request: Request, family: FamilySession, until: Annotated[Instant, Form()]) -> Response:
    context = context_of(request)
    try:
        await decisions.choose_end(context, family.institution, family.contact_id, until)
    except Refused as refused:
        view = await _live(request, family)
        return pages.render(
            request, "change.html", status=status_of(refused), refused=refused, chosen={}, **await _shown(request, view)
        )
    return RedirectResponse(f"{HOME}?done=until", 303)


@router.post("/pause")
async def pause(request: Request, family: FamilySession) -> Response:
    context = context_of(request)
    await decisions.pause(context, family.institution, family.contact_id)
    return RedirectResponse(f"{HOME}?done=paused", 303)


@router.post("/resume")
async def resume(request: Request, family: FamilySession) -> Response:
    context = context_of(request)
    await decisions.resume(context, family.institution, family.contact_id)
    return RedirectResponse(f"{HOME}?done=resumed", 303)


@router.get("/release")
async def show_release(request: Request, family: FamilySession) -> Response:
    view = await _live(request, family)
    return await _release_page(request, view)


@router.post("/release")
async def release(
    request: Request, family: FamilySession, sha256: Annotated[str, Form(pattern=r"^[0-9a-f]{64}$")]
) -> Response:
    context = context_of(request)
    try:
        await decisions.release(context, family.institution, family.contact_id, sha256)
    except Refused as refused:
        return await _release_page(request, await _live(request, family), refused=refused, status=409)
    return RedirectResponse(f"{HOME}?done=released", 303)


@router.get("/withdraw")
async def show_withdraw(request: Request, family: FamilySession) -> Response:
    view = await view_of(request, family)
    if view.journey.current_stage() in {"erasing", "erased"}:
        raise ElsewhereFirst(HOME)
    return pages.render(request, "withdraw.html", **await _shown(request, view))


@router.post("/withdraw")
async def withdraw(request: Request, family: FamilySession, erase: Annotated[Erase, Form()]) -> Response:
    context = context_of(request)
    await decisions.withdraw(context, family.institution, family.contact_id, erase)
    return RedirectResponse(HOME, 303)


@router.post("/undo")
async def undo(request: Request, family: FamilySession) -> Response:
    context = context_of(request)
    await decisions.undo(context, family.institution, family.contact_id)
    return RedirectResponse(f"{HOME}?done=undone", 303)


@router.get("/receipt")
async def show_receipt(request: Request, family: FamilySession) -> Response:
    """The receipt, to print or to keep."""
    view = await view_of(request, family)
    if not view.journey.records:
        raise ElsewhereFirst(HOME)
    context = context_of(request)
    records = await reading.records_of(context, view.journey)
    shown = next((record for record in reversed(records) if record.text is not None), None)
    return pages.render(
        request,
        "receipt.html",
        records=records,
        text_shown=shown,
        names=await reading.names_of(context, records),
        statement=next((record.statement for record in records if record.statement), None),
        **await _shown(request, view),
    )


@router.get("/history")
async def history(request: Request, family: FamilySession) -> Response:
    """Everything that happened, in plain words."""
    view = await view_of(request, family)
    records = await reading.records_of(context_of(request), view.journey)
    entries = history_of(view.journey, records, pages.language(request))
    return pages.render(request, "history.html", entries=entries, **await _shown(request, view))


@router.get("/certificate")
async def certificate(request: Request, family: FamilySession) -> Response:
    view = await view_of(request, family)
    if view.journey.current_stage() not in {"erasing", "erased"}:
        raise ElsewhereFirst(HOME)
    return await _certificate_page(request, view)


async def _shown(request: Request, view: FamilyView) -> dict[str, Any]:
    context = context_of(request)
    recording, consent = view.journey.recording, view.journey.consent
    standing = standing_of(view.journey, context.clock.now(), context.trusted.sure())
    return {
        **facts_of(view),
        "standing": standing,
        "sentence": words.sentence_of(standing, view.journey),
        "waits_for": words.WAITS_FOR,
        "main": words.MAIN,
        "signed": await reading.signed_text(context, view.journey),
        "can": reading.can(context, view),
        "stage": view.journey.current_stage(),
        "consent": consent,
        "meeting": view.journey.meeting,
        "recording": recording,
        "words": words.SCOPES,
        "signers": words.SIGNERS,
        "assents": words.ASSENTS,
        "acts": words.ACTS,
        "done": words.DONE,
        "all_scopes": [scope for scope in SCOPES if scope in ASKED or scope in consent.allowed],
        "shares": [scope for scope in widest(consent.allowed) if scope in SHARE],
        "shown_scopes": widest(consent.allowed),
        "included_in": {scope: included_in(scope, consent.allowed) for scope in SCOPES},
        "ends": consent.ends(context.trusted.latest()),
        "now": context.clock.now(),
    }


async def _release_page(
    request: Request, view: FamilyView, *, refused: Refused | None = None, status: int = 200
) -> Response:
    recording = view.journey.recording
    there = recording is not None and bool(recording.media) and recording.state in {"held", "released"}
    return pages.render(
        request, "release.html", status=status, refused=refused, there=there, **await _shown(request, view)
    )


async def _certificate_page(request: Request, view: FamilyView) -> Response:
    return pages.render(
        request,
        "certificate.html",
        proof=reading.certificate(view.journey),
        answers=in_plain_order(view.journey.answers),
        services=words.SERVICES,
        erased_words=words.ERASED,
        kept_words=words.KEPT,
        out_of_reach_words=words.OUT_OF_REACH,
        other=words.OTHER,
        **await _shown(request, view),
    )


async def _live(request: Request, family: Family) -> FamilyView:
    """The view of a family whose consent is in force or paused; everybody else is led home."""
    view = await view_of(request, family)
    if view.journey.consent.state not in {"granted", "paused"}:
        raise ElsewhereFirst(HOME)
    return view
