"""How a use case's refusal is told over HTTP, and how one is tried again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.portal.model.refused import Refused
from shared.service import retrying
from shared.web.problems import Problem

T = TypeVar("T")


async def act(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case, again if somebody else saved in between. Raises Problem."""
    try:
        return await retrying(use_case)
    except Refused as refused:
        raise Problem(
            refused.status,
            refused.title,
            refused.text,
            errors=refused.errors,
            headers={"Location": refused.known} if refused.known else None,
        ) from refused
