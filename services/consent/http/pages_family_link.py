"""The personal link: a calm page with one button, the session behind it, and its renewal. A GET changes nothing."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import RedirectResponse, Response

from firsthand.services.consent.handlers import links
from firsthand.services.consent.http.doors import context_of
from firsthand.services.consent.http.guesses import Guesses
from firsthand.services.consent.http.pages import pages
from firsthand.services.consent.http.shapes import SessionOut
from firsthand.services.consent.http.urls import LINK, begin_session, device_session, end_session, link_path
from firsthand.services.consent.model import Journey
from firsthand.shared.identifiers import INSTITUTION_PATTERN, InstitutionId, InstitutionSlug, PastedSecret, new_id
from firsthand.shared.inputs import NextPath
from firsthand.shared.web.access import Public, safe_next
from firsthand.shared.web.cookies import FAMILY
from firsthand.shared.web.problems import Problem

router = APIRouter()
HOME = "/consent/family"

Slug = Annotated[str, Path(pattern=INSTITUTION_PATTERN)]
Token = Annotated[PastedSecret, Path()]


class LinkGiven(BaseModel):
    """The two parts of a personal link."""

    model_config = ConfigDict(extra="forbid")

    institution: InstitutionSlug
    token: PastedSecret


@router.post("/api/v1/links/open", responses={404: {"description": "this link does not open, for any reason"}})
async def exchange_link(request: Request, given: LinkGiven, _: Public) -> SessionOut:
    """Exchange a personal link for a session of 15 minutes; 404 for every link that does not open, for any reason."""
    journey = await _behind(request, given.institution, given.token)
    if journey is None:
        raise Problem(
            404,
            "This link does not work",
            "It may be incomplete, or a newer link may have replaced it. Ask the person who sent it for a new one.",
        )
    return SessionOut(session=links.session_for(context_of(request), journey, new_id()))


@router.get("/i/{slug}/{token:path}", include_in_schema=False)
async def show_link(request: Request, slug: Slug, token: Token, _: Public) -> Response:
    """The same for every link, so that a preview or a guess learns nothing."""
    return pages.render(request, "link.html", action=link_path(InstitutionId(slug), token))


@router.post("/i/{slug}/{token:path}", include_in_schema=False)
async def open_link(request: Request, slug: Slug, token: Token, _: Public) -> Response:
    journey = await _behind(request, slug, token)
    if journey is None:
        return pages.render(request, "link_void.html", status=404)
    return _with_session(request, RedirectResponse(HOME, 303), journey, token, new_id())


@router.get("/family/renew", include_in_schema=False)
async def renew(request: Request, _: Public, next: NextPath = HOME) -> Response:  # noqa: A002 - the query's name
    """Give the browser a new session while its link is valid, and redirect it."""
    return await _renewed(request, next, 303)


@router.post("/family/renew", include_in_schema=False)
async def renew_for_form(request: Request, _: Public, next: NextPath = HOME) -> Response:  # noqa: A002
    """The same for a form being sent: 307 carries the entered values along."""
    return await _renewed(request, next, 307)


@router.post("/family/leave", include_in_schema=False)
async def leave(request: Request, _: Public) -> Response:
    """Lock the page on this device, and end its session in every service."""
    context = context_of(request)
    if family := context.verifier.family(FAMILY.read(request)):
        await links.lock(context, family)
    return _locked(request, 200)


def _locked(request: Request, status: int) -> Response:
    response = pages.render(request, "link_again.html", status=status)
    end_session(context_of(request), response)
    return response


async def _renewed(request: Request, target: str, status: int) -> Response:
    slug, _, token = LINK.read(request).partition(".")
    journey = await _behind(request, slug, token) if token else None
    if journey is None:
        return pages.render(request, "link_again.html", status=401)
    session_id = device_session(request)
    if await links.is_locked(context_of(request), journey.institution, session_id):
        return _locked(request, 401)  # a page in another tab was being renewed, and so this device has its link again
    return _with_session(request, RedirectResponse(safe_next(target, HOME), status), journey, token, session_id)


def _with_session(request: Request, response: Response, journey: Journey, token: str, session_id: str) -> Response:
    context = context_of(request)
    session = links.session_for(context, journey, session_id)
    begin_session(context, response, session, session_id, journey.institution, token)
    return response


async def _behind(request: Request, slug: str, token: str) -> Journey | None:
    """The journey behind a link. Raises Problem 429 for a wrong one from a client that tried too many."""
    context = context_of(request)
    journey = await links.journey_behind(context, InstitutionId(slug), token)
    if journey is None:
        context.own(Guesses).wrong(request)
    return journey
