"""The family's way to its decision: who we are, what happens, one question a page, review. Works without scripts."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.consent.handlers import decisions, reading
from firsthand.services.consent.handlers.reading import FamilyView
from firsthand.services.consent.http.doors import context_of
from firsthand.services.consent.http.pages import pages
from firsthand.services.consent.http.questions import (
    ABOUT_THE_SIGNER,
    answers_of,
    before,
    child_objects,
    questions,
    scopes_asked,
    unanswered,
)
from firsthand.services.consent.http.words import ASSENTS, SCOPES, SIGNERS
from firsthand.services.consent.model import WRONG_YEAR, is_birth_year
from firsthand.services.consent.model.scopes import included_in
from firsthand.shared.events.contact import SCOPES as ALL_SCOPES
from firsthand.shared.inputs import is_name, number_of, tidy
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Family
from firsthand.shared.texts import N_
from firsthand.shared.web.access import FamilySession
from firsthand.shared.web.languages import language_of
from firsthand.shared.web.problems import ElsewhereFirst, Problem

router = APIRouter(prefix="/family", include_in_schema=False)

HOME: Final = "/consent/family"
Question = Annotated[str, Path(pattern=r"^[a-z_-]{2,30}$")]
_NAME_LENGTH: Final = 200


@router.get("/about")
async def about(request: Request, family: FamilySession) -> Response:
    """Step 1: who we are, and how to check that."""
    view = await deciding(request, family)
    return pages.render(request, "about.html", **facts_of(view))


@router.get("/what-happens")
async def what_happens(request: Request, family: FamilySession) -> Response:
    """Step 2: what happens, how we use it, how long we keep it."""
    view = await deciding(request, family)
    return pages.render(request, "what_happens.html", **facts_of(view))


@router.get("/questions")
async def go_on(request: Request, family: FamilySession) -> Response:
    """Where the family was: the first question without an answer, or the review."""
    view = await deciding(request, family)
    draft = await reading.draft_of(context_of(request), view.journey)
    return RedirectResponse(_after(draft), 303)


@router.get("/questions/{name}")
async def question(request: Request, family: FamilySession, name: Question) -> Response:
    view = await deciding(request, family)
    draft = await reading.draft_of(context_of(request), view.journey)
    return _question_page(request, view, name, draft)


@router.post("/questions/{name}")
async def answer(request: Request, family: FamilySession, name: Question) -> Response:
    """Keep one answer and continue; ask again after an invalid one, with the entered values."""
    view = await deciding(request, family)
    context = context_of(request)
    draft = await reading.draft_of(context, view.journey)
    form = await request.form()
    given = {key: tidy(str(value)[:2000])[:_NAME_LENGTH] for key, value in form.items() if key in _fields_of(name)}
    if error := _fault(name, given, context.clock.now()):
        return _question_page(request, view, name, {**draft, **given}, error=error, status=422)
    draft = await reading.keep_answers(context, family.institution, family.contact_id, given)
    return RedirectResponse(_after(draft), 303)


@router.get("/review")
async def review(request: Request, family: FamilySession) -> Response:
    """Everything once more, before it counts."""
    view = await deciding(request, family)
    draft = await reading.draft_of(context_of(request), view.journey)
    if child_objects(draft) or unanswered(draft):
        return RedirectResponse(_after(draft), 303)
    return _review_page(request, view, draft)


@router.post("/review")
async def agree(
    request: Request,
    family: FamilySession,
    text_version: Annotated[str, Form(max_length=100)],
    text_language: Annotated[str, Form(max_length=20)],
) -> Response:
    """The yes, to exactly the text that the page showed."""
    view = await deciding(request, family)
    context = context_of(request)
    draft = await reading.draft_of(context, view.journey)
    if child_objects(draft) or unanswered(draft):
        return RedirectResponse(_after(draft), 303)
    try:
        await decisions.grant(
            context,
            family.institution,
            family.contact_id,
            answers_of(draft),
            language=text_language,
            text_version=text_version,
        )
    except Refused as refused:
        fresh = await deciding(request, family)
        return _review_page(request, fresh, draft, refused=refused, status=409)
    return RedirectResponse(f"{HOME}/receipt?done=granted", 303)


@router.get("/no")
async def no(request: Request, family: FamilySession) -> Response:
    """One tap from every page; one more to be sure."""
    view = await deciding(request, family)
    draft = await reading.draft_of(context_of(request), view.journey)
    return pages.render(request, "no.html", objects=child_objects(draft), **facts_of(view))


@router.post("/no")
async def decline(request: Request, family: FamilySession) -> Response:
    context = context_of(request)
    await decisions.decline(context, family.institution, family.contact_id)
    return RedirectResponse(HOME, 303)


async def view_of(request: Request, family: Family) -> FamilyView:
    context = context_of(request)
    return await reading.family_view(context, family.institution, family.contact_id, language_of(request))


async def deciding(request: Request, family: Family) -> FamilyView:
    """The view of a family that has not decided; the one that has is led home. Raises Problem 409 without a text."""
    view = await view_of(request, family)
    if view.journey.current_stage() != "linked":
        raise ElsewhereFirst(HOME)
    if view.ground.text is None or view.ground.permission.refusals(context_of(request).clock.now()):
        raise Problem(
            409,
            N_("This is not available at the moment"),
            N_(
                "We are waiting for our ethics board to renew its approval. This has nothing to do with you. Please "
                "come back in a few days."
            ),
        )
    return view


def facts_of(view: FamilyView) -> dict[str, Any]:
    """What every page of the family's way is given."""
    institution = view.ground.institution
    return {
        "journey": view.journey,
        "text": view.ground.text,
        "institution": institution,
        "zone": institution.zone if institution else "UTC",
    }


def _after(draft: dict[str, Any]) -> str:
    if child_objects(draft):
        return f"{HOME}/no"
    name = unanswered(draft)
    return f"{HOME}/questions/{name}" if name else f"{HOME}/review"


def _fields_of(name: str) -> tuple[str, ...]:
    more = {"child_assent": ("birth_year",), "decides_alone": ("other_agrees",)}
    return (name, *more.get(name, ()))


def _fault(name: str, given: dict[str, str], now: datetime) -> tuple[str, str] | None:
    """The error of an answer: the field and the message; None if it is valid."""
    if name == "name":
        return None if is_name(given.get("name", "")) else ("name", N_("Enter your name."))
    if given.get(name) not in _choices(name):
        return (name, N_("Choose one of the answers."))
    if name == "decides_alone" and given[name] == "no" and not is_name(given.get("other_agrees", "")):
        return ("other_agrees", N_("Enter who else must agree, and whether they have agreed."))
    if name == "child_assent" and given.get("birth_year") and not is_birth_year(number_of(given["birth_year"]), now):
        return ("birth_year", WRONG_YEAR)
    return None


def _choices(name: str) -> frozenset[str]:
    if name == "signer":
        return frozenset(SIGNERS)
    return frozenset(ASSENTS) if name == "child_assent" else frozenset({"yes", "no"})


def _question_page(
    request: Request,
    view: FamilyView,
    name: str,
    draft: dict[str, Any],
    *,
    error: tuple[str, str] | None = None,
    status: int = 200,
) -> Response:
    order = questions(draft)
    if name not in order:
        if name not in {*ABOUT_THE_SIGNER, *ALL_SCOPES}:
            raise Problem(404)
        return RedirectResponse(_after(draft), 303)
    back = before(name, draft)
    return pages.render(
        request,
        "question.html",
        status=status,
        name=name,
        draft=draft,
        error=error,
        number=order.index(name) + 1,
        back=f"{HOME}/questions/{back}" if back else f"{HOME}/what-happens",
        signers=SIGNERS,
        assents=ASSENTS,
        **facts_of(view),
    )


def _review_page(
    request: Request, view: FamilyView, draft: dict[str, Any], *, refused: Refused | None = None, status: int = 200
) -> Response:
    answers = answers_of(draft)
    return pages.render(
        request,
        "review.html",
        status=status,
        draft=draft,
        answers=answers,
        asked=scopes_asked(draft),
        included=[
            scope for scope in ALL_SCOPES if scope not in scopes_asked(draft) and included_in(scope, answers.chosen)
        ],
        refused=refused,
        nothing=not answers.chosen,
        words=SCOPES,
        signers=SIGNERS,
        assents=ASSENTS,
        **facts_of(view),
    )
