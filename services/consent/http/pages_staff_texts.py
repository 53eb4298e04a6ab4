"""Coordinator pages: the texts of a case by language; write, preview, approve."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.consent.handlers import texts
from firsthand.services.consent.handlers.templates import PLACES, languages
from firsthand.services.consent.http import words
from firsthand.services.consent.http.doors import CaseTutor, context_of
from firsthand.services.consent.http.pages import pages
from firsthand.services.consent.model.scopes import ASKED
from firsthand.services.consent.model.texts import TextBody
from firsthand.services.consent.repository import Texts
from firsthand.shared.copies import case_of
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Count, Cursor, Word
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import Coordinator
from firsthand.shared.web.problems import Problem, status_of

router = APIRouter(prefix="/texts", include_in_schema=False)

_VERSIONS_A_PAGE = 20

# The fields in the order in which families meet them, with what the writer should know.
FIELDS: tuple[tuple[str, str, str, int], ...] = (
    ("first_message", N_("First message"), N_("A person sends it. No link, and no mention of the condition."), 5),
    ("reminder", N_("Reminder"), N_("Sent once. No link, and no mention of the condition."), 4),
    ("link_message", N_("Message with the personal link"), N_("Sent before the link, once they have said yes."), 4),
    ("who_we_are", N_("Who we are"), "", 5),
    ("how_to_check", N_("How to check that this is really us"), "", 4),
    ("what_happens", N_("What happens"), N_("One step per line."), 8),
    ("purpose", N_("How we use it"), "", 3),
    ("audience", N_("Who can watch"), N_("For example: about 25 third-year students, until June 2027."), 2),
    ("retention", N_("How long we keep it"), "", 3),
    ("reward", N_("Will I be paid?"), "", 2),
    ("contact", N_("Questions and complaints"), "", 3),
)


@router.get("/{case_id}")
async def show_texts(
    request: Request, staff: CaseTutor, case_id: Id, language: Word = "en", done: Word = "", after: Cursor | None = None
) -> Response:
    return await _page(request, staff, case_id, _known(language), done=done, after=after)


@router.post("/{case_id}/{language}")
async def edit(request: Request, staff: Coordinator, case_id: Id, language: Word) -> Response:
    """Save the next version; on a refusal everything that was written is still there."""
    context, code = context_of(request), _known(language)
    form = await _form(request)
    try:
        await texts.edit_text(context, staff, case_id, code, _changes(form))
    except Refused as refused:
        return await _page(request, staff, case_id, code, refused=refused, form=form)
    return RedirectResponse(f"/consent/texts/{case_id}?language={code}&done=saved", 303)


@router.post("/{case_id}/{language}/approve")
async def approve(
    request: Request,
    staff: Coordinator,
    case_id: Id,
    language: Word,
    number: Annotated[str, Form(max_length=100)] = "",
    sha256: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    context, code = context_of(request), _known(language)
    form = await _form(request)
    try:
        changed = await _changed(context, staff, case_id, code, form)
        if changed:
            await texts.edit_text(context, staff, case_id, code, _changes(form))
            return await _page(request, staff, case_id, code, done="saved-first", number=number)
        await texts.approve_text(context, staff, case_id, code, approval_number=number, sha256=sha256 or None)
    except Refused as refused:
        return await _page(request, staff, case_id, code, refused=refused, form=form, number=number)
    return RedirectResponse(f"/consent/texts/{case_id}?language={code}&done=approved", 303)


@router.get("/{case_id}/{language}/{number}")
async def preview(request: Request, staff: CaseTutor, case_id: Id, language: Word, number: Count) -> Response:
    """Show a version as families read it."""
    text = await Texts(context_of(request), staff.institution).get(case_id, _known(language), number)
    if text is None:
        raise Problem(404)
    return pages.render(request, "text_preview.html", text=text, all_scopes=ASKED, case_id=case_id)


async def _page(
    request: Request,
    staff: Staff,
    case_id: str,
    language: str,
    *,
    done: Word = "",
    refused: Refused | None = None,
    form: dict[str, str] | None = None,
    number: str = "",
    after: Cursor | None = None,
) -> Response:
    context = context_of(request)
    case = await case_of(context, staff.institution, case_id)
    if case is None:
        raise Problem(404)
    found = Texts(context, staff.institution)
    versions = await found.versions(case_id, language, after=after, limit=_VERSIONS_A_PAGE)
    newest = await found.newest(case_id, language)
    body = newest.body if newest else await texts.proposed_text(context, staff.institution, case_id, language)
    return pages.render(
        request,
        "texts.html",
        status=status_of(refused) if refused else 200,
        case=case,
        case_id=case_id,
        text_language=language,
        text_languages=languages(),
        versions=versions,
        newest=newest,
        after=after,
        in_use=await found.approved(case_id, language),
        values=form if form and "purpose" in form else _values(body),
        number=number,
        fields=FIELDS,
        all_scopes=ASKED,
        scope_words=words.SCOPES,
        places=PLACES,
        refused=refused,
        done=done,
        done_words=words.DONE,
        may_edit=bool(staff.roles & {"coordinator"}),
    )


async def _form(request: Request) -> dict[str, str]:
    return {key: str(value).replace("\r\n", "\n").strip() for key, value in (await request.form()).items()}


async def _changed(context: Context, staff: Staff, case_id: str, language: str, form: dict[str, str]) -> bool:
    """Whether the form holds other words than those that are saved, or proposed."""
    newest = await Texts(context, staff.institution).newest(case_id, language)
    body = newest.body if newest else await texts.proposed_text(context, staff.institution, case_id, language)
    before = _changes({name: value.strip() for name, value in _values(body).items()})
    given = _changes(form)
    scopes = given.pop("scopes")
    return any(value != before[name] for name, value in given.items()) or any(
        said != before["scopes"].get(scope) for scope, said in scopes.items()
    )


def _values(body: TextBody) -> dict[str, str]:
    """A text as the form's fields."""
    plain = {name: str(getattr(body, name)) for name, *_ in FIELDS if name != "what_happens"}
    for scope, said in body.scopes.items():
        plain[f"question.{scope}"], plain[f"consequence.{scope}"] = said.question, said.consequence
    return {**plain, "what_happens": "\n".join(body.what_happens)}


def _changes(form: dict[str, str]) -> dict[str, Any]:
    """The form's fields as the changes of a text: those that it has."""
    plain: dict[str, Any] = {name: form[name] for name, *_ in FIELDS if name in form and name != "what_happens"}
    if "what_happens" in form:
        plain["what_happens"] = [line.strip() for line in form["what_happens"].split("\n") if line.strip()]
    plain["scopes"] = {
        scope: {"question": form[f"question.{scope}"], "consequence": form.get(f"consequence.{scope}", "")}
        for scope in ASKED
        if f"question.{scope}" in form
    }
    return plain


def _known(language: str) -> str:
    if language not in languages():
        raise Problem(404)
    return language
