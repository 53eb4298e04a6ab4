"""What the doors of the portal share: forms, sign-in links and tokens, and who may see a journey."""

from collections.abc import Awaitable, Mapping
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.portal.handlers import people
from firsthand.services.portal.http.pages import pages
from firsthand.services.portal.http.shapes import NewToken, TokenOut
from firsthand.services.portal.repository import Journeys
from firsthand.shared.acting import Responsible, responsible_for
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import number_of
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import acting_on
from firsthand.shared.web.problems import status_of


async def _of_journey(context: Context, institution: InstitutionId, contact_id: str) -> Responsible | None:
    journey = await Journeys(context, institution).get(contact_id)
    return await responsible_for(context, institution, journey.case_id, journey.tutor_id) if journey else None


ContactTutor = Annotated[Staff, Depends(acting_on("contact_id", _of_journey))]


async def submit(
    request: Request, use_case: Awaitable[object], then: str, template: str, shown: Mapping[str, object]
) -> Response:
    """Run the use case of a form and go on to `then`; refused, show the form again with the reasons."""
    try:
        await use_case
    except Refused as refused:
        words = pages.language(request)
        errors = {field: words.gettext(text) for field, text in refused.fields.items()}
        if not errors:
            errors = {"main": f"{words.gettext(refused.title)}. {words.gettext(refused.text)}".strip()}
        return pages.render(request, template, status=status_of(refused), errors=errors, **shown)
    return RedirectResponse(then, 303)


def number(text: str) -> int:
    """A whole number as somebody typed it; -1 (out of every bound of ours) for anything else."""
    found = number_of(text)
    return -1 if found is None else found


def link_address(context: Context, institution: InstitutionId, secret: str) -> str:
    """The address of a one-time sign-in link."""
    return f"{context.settings.address}/portal/sign-in/{institution}/{secret}"


async def token_of(context: Context, institution: InstitutionId, body: NewToken, staff: Staff) -> TokenOut:
    make = people.make_token
    token, ends = await make(context, institution, label=body.label, days=body.days, by=staff)
    return TokenOut(token=token, expires_at=ends)
