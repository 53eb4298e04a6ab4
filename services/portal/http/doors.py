"""How a use case's refusal is shown over HTTP, and how one is tried again."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from services.portal.http.pages import pages
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


async def submit(
    request: Request, use_case: Callable[[], Awaitable[object]], then: str, template: str, shown: Mapping[str, object]
) -> Response:
    """Run the use case of a form and go on to `then`; refused, show the form again with the reasons."""
    try:
        await retrying(use_case)
    except Refused as refused:
        words = pages.language(request)
        errors = [(field, words.gettext(text)) for field, text in refused.errors]
        if not errors:
            errors = [("main", f"{words.gettext(refused.title)}. {words.gettext(refused.text)}".strip())]
        return pages.render(request, template, status=refused.status, errors=dict(errors), **shown)
    return RedirectResponse(then, 303)


def number(text: str) -> int:
    """A whole number as somebody typed it; -1 (out of every bound of ours) for anything else."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < 9 else -1  # noqa: PLR2004 - nothing of ours is that large
