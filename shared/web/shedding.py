"""Bulk doors: what they take can wait, so they answer 429 while the process is behind (`shared.load`), and 507 while
the disk's last room is kept for what cannot wait (`shared.disk`).

A route declares itself by the parameter `_: Bulk`. One that takes a large body, as `Streamed`, is bulk by that. Every
change that a machine asks for (`shared.web.access`) is put off, too, but is small: nobody has to think of it.
"""

from typing import Annotated, Final

from fastapi import Depends, Request

from firsthand.shared.service import Context
from firsthand.shared.texts import N_
from firsthand.shared.web.problems import Problem

BUSY: Final = "urn:firsthand:busy"  # the problem's type
_RETRY_AFTER: Final = 2  # seconds


def put_off_bulk(request: Request) -> None:
    """Raise Problem (429) while the process is behind."""
    context: Context = request.app.state.context
    if context.load.strained:
        context.metrics.shed()
        raise Problem(
            429,
            N_("The system is very busy"),
            N_("This was not saved. Wait a few seconds and send it again."),
            type=BUSY,
            headers={"Retry-After": str(_RETRY_AFTER)},
        )


def refuse_bulk(request: Request) -> None:
    """Raise Problem (429, or 507) while the process is behind, or the disk's last room is kept for what cannot wait."""
    put_off_bulk(request)
    context: Context = request.app.state.context
    context.disk.admit_bulk(looked=True)


async def _bulk(request: Request) -> None:
    refuse_bulk(request)


Bulk = Annotated[None, Depends(_bulk)]

# What the route lint looks for, with `Streamed`.
SHEDS: Final = _bulk

__all__ = ["BUSY", "SHEDS", "Bulk", "put_off_bulk", "refuse_bulk"]
