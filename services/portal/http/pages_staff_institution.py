"""The pages of an institution's policies and of the mail folder."""

import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.portal.handlers import institutions
from firsthand.services.portal.http.doors import number, submit
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.http.pages_public_sign_in import mail_is_shown
from firsthand.services.portal.model.institutions import POLICIES
from firsthand.services.portal.repository import Institutions, all_slugs
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.inputs import Word, tidy
from firsthand.shared.mail import Letter
from firsthand.shared.service import Context
from firsthand.shared.web.access import ContextDep, Coordinator, Public
from firsthand.shared.web.cookies import STAFF
from firsthand.shared.web.languages import NAMES

_TEXTS: Final = ("name", "country", "zone", "website", "account", "verify_address", "reply_address", "reward")
_LINK: Final = re.compile(r"https?://[^\s/]+/portal/sign-in/\S+")
_LETTERS: Final = 50


router = APIRouter()


@router.get("/institution")
async def policies(request: Request, context: ContextDep, staff: Coordinator, shown: Word = "") -> Response:
    found = await Institutions(context, staff.institution).demand()
    return pages.render(request, "institution.html", **_shown(found.state), errors={}, shown=shown)


@router.post("/institution")
async def change(request: Request, context: ContextDep, staff: Coordinator) -> Response:
    form = await request.form()
    found = await Institutions(context, staff.institution).demand()
    given: dict[str, Any] = {name: tidy(str(form.get(name, ""))[:1000])[:300] for name in _TEXTS}
    given |= {policy.name: number(str(form.get(policy.name, ""))) for policy in POLICIES}
    given["languages"] = [code for code in form.getlist("languages") if code in NAMES]
    return await submit(
        request,
        institutions.change_institution(context, staff.institution, given, actor=staff.person_id),
        "/portal/institution?shown=saved",
        "institution.html",
        _shown(found.state.model_copy(update=given)) | {"shown": ""},
    )


@router.get("/mail")
async def mail(request: Request, context: ContextDep, _: Public) -> Response:
    """A coordinator sees the institution's folder; at the machine of the embedded default, signing in is helped.

    Elsewhere than at that machine nobody sees a sign-in link, or a coordinator could ask for a colleague's and use it.
    """
    staff = context.verifier.staff(STAFF.read(request))
    here = mail_is_shown(context, request)
    if staff and "coordinator" in staff.roles:
        request.state.staff = staff
        letters = [one for one in await context.mail.list(staff.institution) if here or not _signs_in(one)]
        return _letters(context, request, letters, whole=True)
    if not here:
        return RedirectResponse("/portal/session/renew?next=/portal/mail" if not staff else "/portal/today", 303)
    request.state.staff = staff
    letters = [
        letter
        for institution in [*await all_slugs(context), DEPLOYMENT]
        for letter in await context.mail.list(institution)
        if _signs_in(letter)
    ]
    letters.sort(key=lambda letter: letter.sent_at, reverse=True)
    return _letters(context, request, letters, whole=False)


def _letters(context: Context, request: Request, letters: Sequence[Letter], *, whole: bool) -> Response:
    return pages.render(
        request,
        "mail.html",
        letters=[(letter, _sign_in_link(letter)) for letter in letters[:_LETTERS]],
        whole=whole,
        kept=context.mail.keeps,
        now=context.clock.now(),
    )


def _signs_in(letter: Letter) -> bool:
    return letter.key.startswith("sign-in-")


def _sign_in_link(letter: Letter) -> str:
    found = _LINK.search(letter.text) if _signs_in(letter) else None
    return found.group() if found else ""


def _shown(state: InstitutionState) -> dict[str, Any]:
    return {"state": state, "languages": NAMES, "policies": POLICIES}
