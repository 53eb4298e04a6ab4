"""Addresses of personal links and what goes with them."""

from typing import Final

from fastapi import Response

from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.web.access import FAMILY_COOKIE

LINK_COOKIE: Final = "fh_link"
_SESSION_SECONDS: Final = 15 * 60
_LINK_SECONDS: Final = 12 * 3600  # for so long a browser may renew its session without the link at hand


def link_path(institution: InstitutionId, token: str) -> str:
    return f"/consent/i/{institution}/{token}"


def link_url(context: Context, institution: InstitutionId, token: str) -> str:
    return context.settings.address + link_path(institution, token)


def begin_session(context: Context, response: Response, session: str, institution: InstitutionId, token: str) -> None:
    """Set the family's session, and the link by which it is renewed; scripts see neither."""
    secure = context.settings.address.startswith("https://")
    response.set_cookie(
        FAMILY_COOKIE, session, max_age=_SESSION_SECONDS, path="/", secure=secure, httponly=True, samesite="lax"
    )
    response.set_cookie(
        LINK_COOKIE,
        f"{institution}.{token}",
        max_age=_LINK_SECONDS,
        path="/consent",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def end_session(response: Response) -> None:
    response.delete_cookie(FAMILY_COOKIE, path="/")
    response.delete_cookie(LINK_COOKIE, path="/consent")
