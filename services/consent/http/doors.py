"""What every door does alike: try again when somebody was first, and say a refusal in a way that helps."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request

from services.consent.handlers.invitations import visible_to
from services.consent.model import Journey, NotHere, Refused
from services.consent.repository import Journeys
from shared.service import Context, retrying
from shared.sessions import Staff
from shared.texts import N_
from shared.vault import KeyErased
from shared.web.problems import Problem

T = TypeVar("T")


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def run(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case for a page that shows a refusal itself. Raises Refused; Problem 404 or 410."""
    try:
        return await retrying(use_case)
    except NotHere:
        raise Problem(404) from None
    except KeyErased:
        raise Problem(410) from None


async def asked(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case for a door. Raises Problem 404, 409, 410 or (with the fields) 422."""
    try:
        return await run(use_case)
    except Refused as refused:
        raise problem_of(refused) from None


def problem_of(refused: Refused) -> Problem:
    return Problem(
        422 if refused.fields else 409,
        N_("That is not possible now"),
        refused.text,
        type=f"urn:firsthand:consent:{refused.code}",
        errors=[(field, refused.text) for field in refused.fields],
    )


async def guided(context: Context, staff: Staff, contact_id: str) -> Journey:
    """The journey, if this person may see it; else 404, as if it were not there."""
    journey = await Journeys(context, staff.institution).get(contact_id)
    if journey is None or not await visible_to(context, staff, [journey]):
        raise Problem(404)
    return journey
