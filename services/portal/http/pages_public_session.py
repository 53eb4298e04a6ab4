"""Where a sign-in link is used, sessions are renewed, and where one signs out.

A GET signs nobody in: messengers and mail programs look at links.
"""

from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.portal.handlers import sign_in
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.model.sign_in import SIGN_IN_LIFE
from firsthand.shared.identifiers import Id, PastedSecret
from firsthand.shared.inputs import NextPath
from firsthand.shared.service import Context
from firsthand.shared.web.access import ContextDep, Public, safe_next
from firsthand.shared.web.cookies import STAFF, Cookie
from firsthand.shared.web.problems import Problem

_SIGN_IN: Final = Cookie("fh_signin", SIGN_IN_LIFE, "/portal")
TODAY: Final = "/portal/today"


router = APIRouter()


@router.get("/sign-in/{slug}/{secret:path}")
async def link_page(
    request: Request,
    context: ContextDep,
    slug: Id,
    secret: PastedSecret,
    _: Public,
    next: NextPath = "",  # noqa: A002
) -> Response:
    opens = await sign_in.link_opens(context, slug, secret)
    return pages.render(
        request, "sign_in_link.html", status=200 if opens else 410, opens=opens, slug=slug, next=safe_next(next, "")
    )


@router.post("/sign-in/{slug}/{secret:path}")
async def use_link(context: ContextDep, slug: Id, secret: PastedSecret, _: Public, next: NextPath = "") -> Response:  # noqa: A002
    begun = await sign_in.sign_in(context, slug, secret)
    answer = RedirectResponse(safe_next(next, TODAY), 303)
    STAFF.put(context, answer, begun.session)
    _SIGN_IN.put(context, answer, begun.sign_in)
    return answer


@router.get("/session/renew")
async def renew_and_return(request: Request, context: ContextDep, _: Public, next: NextPath = "") -> Response:  # noqa: A002
    return await _renew(request, context, next, 303)


@router.post("/session/renew")
async def renew_and_repeat(request: Request, context: ContextDep, _: Public, next: NextPath = "") -> Response:  # noqa: A002
    return await _renew(request, context, next, 307)


async def _renew(request: Request, context: Context, next_: str, status: int) -> Response:
    session = await sign_in.renew(context, _SIGN_IN.read(request))
    answer: Response
    if session is None:
        if not next_ and request.method == "POST":
            raise Problem(401)
        back = safe_next(next_, TODAY) if request.method == "GET" else TODAY  # a form cannot be sent again later
        answer = RedirectResponse(f"/portal/sign-in?next={quote(back, safe='')}", 303)
        STAFF.drop(context, answer)
        return answer
    if next_ or request.method == "GET":
        answer = RedirectResponse(safe_next(next_, TODAY), status)
    else:
        answer = Response(status_code=204)
    STAFF.put(context, answer, session)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, context: ContextDep, _: Public) -> Response:
    await sign_in.sign_out(context, _SIGN_IN.read(request), context.verifier.staff(STAFF.read(request)))
    answer = RedirectResponse("/portal/sign-in", 303)
    STAFF.drop(context, answer)
    _SIGN_IN.drop(context, answer)
    return answer
