"""Addresses of personal links, and the cookies that they leave on a device."""

import re
from typing import Final

from fastapi import Request, Response

from firsthand.services.consent.model.records import LINK_KEPT
from firsthand.shared.identifiers import ID_PATTERN, InstitutionId, new_id
from firsthand.shared.service import Context
from firsthand.shared.web.cookies import FAMILY, Cookie

LINK: Final = Cookie("fh_link", LINK_KEPT, "/consent")
# The session of this device over all its renewals: what a lock ends.
_DEVICE: Final = Cookie("fh_device", LINK_KEPT, "/consent")


def link_path(institution: InstitutionId, token: str) -> str:
    return f"/consent/i/{institution}/{token}"


def link_url(context: Context, institution: InstitutionId, token: str) -> str:
    return context.settings.address + link_path(institution, token)


def device_session(request: Request) -> str:
    """The session of this device, which goes on through renewals; a new one if it has none."""
    known = _DEVICE.read(request)
    return known if re.match(ID_PATTERN, known) else new_id()


def begin_session(
    context: Context, response: Response, session: str, session_id: str, institution: InstitutionId, token: str
) -> None:
    """Set the family's session, and the link by which it is renewed."""
    FAMILY.put(context, response, session)
    LINK.put(context, response, f"{institution}.{token}")
    _DEVICE.put(context, response, session_id)


def end_session(context: Context, response: Response) -> None:
    for cookie in (FAMILY, LINK, _DEVICE):
        cookie.drop(context, response)
