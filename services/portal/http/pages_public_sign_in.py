"""Where one asks for a sign-in link."""

from functools import partial
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from firsthand.services.portal.handlers import institutions, sign_in
from firsthand.services.portal.handlers.mailing import SignInDesk
from firsthand.services.portal.http.doors import link_address
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.http.shapes import AskedSignIn, DetailOut
from firsthand.services.portal.model.sign_in import hashed
from firsthand.services.portal.repository import Institutions
from firsthand.shared.inputs import Line, NextPath, Word
from firsthand.shared.service import Context
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Public, safe_next
from firsthand.shared.web.clients import client_of
from firsthand.shared.web.problems import Problem
from firsthand.shared.web.security import came_through_a_proxy

# Told to everybody alike, whoever they are.
_NOT_NOW: Final = N_(
    "We cannot send emails at the moment. If no link reaches you, ask a coordinator of your institution for one, or "
    "try again later."
)

router = APIRouter()


@router.post("/api/v1/sign-in", status_code=202, tags=["sign-in"])
async def ask_by_api(request: Request, context: ContextDep, body: AskedSignIn, _: Public) -> DetailOut:
    _ask(request, context, body, "")
    words = pages.language(request)
    if context.mail.state.trouble:
        return DetailOut(detail=words.gettext(_NOT_NOW))
    return DetailOut(detail=words.gettext(N_("If we know this email address, we have sent you a link.")))


@router.get("/sign-in")
async def sign_in_page(
    request: Request,
    context: ContextDep,
    _: Public,
    institution: Word = "",
    next: NextPath = "",  # noqa: A002 - the address's own word
) -> Response:
    known = await institutions.all_institutions(context)
    return pages.render(
        request,
        "sign_in.html",
        institutions=[(one.slug, one.name) for one in known],
        chosen=institution or (known[0].slug if len(known) == 1 else ""),
        next=safe_next(next, ""),
        not_now=_NOT_NOW if context.mail.state.trouble else "",
        mail_shown=mail_is_shown(context, request),
    )


@router.post("/sign-in")
async def ask_by_form(
    request: Request,
    context: ContextDep,
    _: Public,
    institution: Annotated[Line, Form(max_length=40)],
    email: Annotated[Line, Form(max_length=254)],
    next: Annotated[NextPath, Form()] = "",  # noqa: A002
) -> Response:
    _ask(request, context, AskedSignIn(institution=institution, email=email), safe_next(next, ""))
    not_now = _NOT_NOW if context.mail.state.trouble else ""
    return pages.render(request, "sign_in_asked.html", mail_shown=mail_is_shown(context, request), not_now=not_now)


def mail_is_shown(context: Context, request: Request) -> bool:
    """Tell whether sign-in links may be shown to whoever sits at this machine: only in the embedded default, to a
    browser on it that was told to open it. Another site's name for this address does not count, nor does a request that
    a proxy or a tunnel passed on.
    """
    client, asked = request.client.host if request.client else "", request.url.hostname or ""
    return (
        not came_through_a_proxy(request.scope)
        and not context.settings.smtp_url
        and not context.settings.proxied
        and context.settings.address_is_loopback
        and _is_loopback(client)
        and (asked == "localhost" or _is_loopback(asked))
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _ask(request: Request, context: Context, asked: AskedSignIn, next_: str) -> None:
    """Have a link mailed. Raises Problem 429 for a client that asks too often."""
    mail = partial(_mail, context, next_, pages.language(request).code)
    if seconds := context.own(SignInDesk).ask(client_of(request), asked.institution, asked.email, mail):
        raise Problem(429, headers={"Retry-After": str(seconds)})


async def _mail(context: Context, next_: str, language: str, found: sign_in.Asked) -> None:
    """Raises MailRefused, MailUnavailable."""
    url = link_address(context, found.institution, found.secret) + (f"?next={quote(next_, safe='')}" if next_ else "")
    words = pages.in_language(language)
    institution = await Institutions(context, found.institution).get()
    await context.mail.send(
        found.institution,
        found.person_id,
        f"sign-in-{hashed(found.secret)}",
        to=found.email,
        subject=words.gettext(N_("Your sign-in link")),
        text=pages.text("sign_in_mail.txt", language, url=url),
        sender=institution.state.name if institution else "",
    )
