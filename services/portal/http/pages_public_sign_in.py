"""Where one asks for a sign-in link."""

import asyncio
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from firsthand.services.portal.handlers import institutions, sign_in
from firsthand.services.portal.http.doors import link_address
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.http.shapes import AskedSignIn, DetailOut
from firsthand.services.portal.model.limits import Limit
from firsthand.services.portal.model.people import one_spelling
from firsthand.services.portal.model.sign_in import LINK_LIFE, hashed
from firsthand.services.portal.repository import Institutions
from firsthand.shared.bus.errors import Hopeless, Transient
from firsthand.shared.inputs import Line, NextPath, Word
from firsthand.shared.mail import MailUnavailable
from firsthand.shared.mail_watch import Waiting, keep_watch
from firsthand.shared.service import Context
from firsthand.shared.store import StoreError
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Public, safe_next
from firsthand.shared.web.clients import client_of
from firsthand.shared.web.problems import Problem
from firsthand.shared.web.security import came_through_a_proxy

_WITHIN: Final = timedelta(minutes=15)
_A_CLIENT: Final = 100  # links in that time: a class behind one address of its school signs in at the same time
_A_CLIENT_FOR_ONE: Final = 5  # for one person
_A_PERSON: Final = 30  # from all clients; further ones are not needed, because those that were mailed still work
_AGAIN: Final = 30.0  # seconds until a link that the mail server put off is offered again
# Told to everybody alike, whoever they are.
_NOT_NOW: Final = N_(
    "We cannot send emails at the moment. If no link reaches you, ask a coordinator of your institution for one, or "
    "try again later."
)

router = APIRouter()


class SignInDesk:
    """Who asked this replica for a link lately, and the links that it is mailing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_client, self._by_both = Limit(_A_CLIENT, _WITHIN), Limit(_A_CLIENT_FOR_ONE, _WITHIN)
        self._by_person = Limit(_A_PERSON, _WITHIN)
        self._mailing: set[asyncio.Task[None]] = set()
        self.waiting = 0  # links that could not be mailed so far

    def ask(self, request: Request, asked: AskedSignIn, next_: str) -> None:
        """Have a link mailed beside the answer, so that neither its words nor its time tell whom we know. If the
        process ends meanwhile, the person asks again.

        Raises Problem 429 for a client that asks too often. Nobody is refused for what other clients asked: a person
        who was sent very many links is sent no further one, and has one that works.
        """
        now, client = self._context.clock.now(), client_of(request)
        person = hashed(f"{asked.institution} {one_spelling(asked.email)}")
        if seconds := self._by_client.wait(client, now) or self._by_both.wait((client, person), now):
            raise Problem(429, headers={"Retry-After": str(seconds)})
        if self._by_person.wait(person, now):
            self._context.log.warning("many links are asked for one person", extra={"institution": asked.institution})
            return
        task = asyncio.create_task(self._mail_link(asked, next_, pages.language(request).code))
        self._mailing.add(task)
        task.add_done_callback(self._mailing.discard)

    async def _mail_link(self, asked: AskedSignIn, next_: str, language: str) -> None:
        """Mail a link, as soon as mail can be sent while the link still opens something."""
        context, waits = self._context, False
        try:
            async with asyncio.timeout(LINK_LIFE.total_seconds()):
                if (found := await sign_in.ask_for_link(context, asked.institution, asked.email)) is None:
                    return None
                while True:
                    try:
                        return await _mail(context, found, next_, language)
                    except MailUnavailable as error:
                        self.waiting, waits = self.waiting + (not waits), True
                        context.log.warning("a sign-in link waits: %s", error, extra={"institution": asked.institution})
                        await (context.mail.state.well.wait() if error.any_mail else asyncio.sleep(_AGAIN))
        except TimeoutError:
            context.log.warning("a sign-in link was never mailed", extra={"institution": asked.institution})
        except (Transient, Hopeless, StoreError) as error:
            context.log.warning("a sign-in link was not mailed: %s", error, extra={"institution": asked.institution})
        finally:
            self.waiting -= waits


@router.post("/api/v1/sign-in", status_code=202, tags=["sign-in"])
async def ask_by_api(request: Request, context: ContextDep, body: AskedSignIn, _: Public) -> DetailOut:
    context.own(SignInDesk).ask(request, body, "")
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
    context.own(SignInDesk).ask(request, AskedSignIn(institution=institution, email=email), safe_next(next, ""))
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


async def watch_mail(context: Context) -> None:
    """Say when sign-in links cannot be mailed; runs in the background."""

    async def waiting() -> Waiting:
        return Waiting(context.own(SignInDesk).waiting)

    await keep_watch(context, waiting)


async def _mail(context: Context, found: sign_in.Asked, next_: str, language: str) -> None:
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
