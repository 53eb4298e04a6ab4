"""What every door does alike: try again when somebody was first, and say a refusal in a way that helps."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.scheduling.model import Refused
from shared.service import retrying
from shared.texts import N_
from shared.web.problems import Problem

T = TypeVar("T")


async def asked(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case for a door. Raises Problem."""
    try:
        return await retrying(use_case)
    except Refused as refused:
        raise problem_of(refused) from None


def problem_of(refused: Refused) -> Problem:
    title = N_("There is nothing here") if refused.status == 404 else N_("That is not possible now")  # noqa: PLR2004
    return Problem(refused.status, title, refused.text, type=f"urn:firsthand:scheduling:{refused.code}")


__all__ = ["asked", "problem_of"]
