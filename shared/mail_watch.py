"""Whether mail can be sent: readiness, metrics and pages say it before somebody has waited for one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from firsthand.shared.mail import MailUnavailable, Trouble
from firsthand.shared.service import Context

_LOOK_EVERY: Final = 15.0  # seconds between two counts, and between two questions while mail cannot be sent
_ASK_EVERY: Final = timedelta(minutes=5)  # while it can


@dataclass(frozen=True)
class Waiting:
    """How many mails wait to be sent, and since when the first of them does."""

    count: int = 0
    since: datetime | None = None


async def keep_watch(context: Context, waiting: Callable[[], Awaitable[Waiting]]) -> None:
    """Ask from time to time whether mail can be sent, and say when it cannot; never ends.

    The service stays ready: all else goes on without mail, and its pages say what could not be sent.
    """
    state, asked = context.mail.state, None
    while True:
        now = context.clock.elapsed()
        if state.trouble or asked is None or now - asked >= _ASK_EVERY:
            asked = now
            with contextlib.suppress(MailUnavailable):
                await context.mail.check()
        tell(context, await waiting())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(state.changed.wait(), _LOOK_EVERY)
        state.changed.clear()


def tell(context: Context, waiting: Waiting) -> None:
    """Say how mail stands, in readiness and figures."""
    state = context.mail.state
    state.waiting = waiting.count
    context.metrics.mail(failing=state.trouble is not None, waiting=waiting.count)
    sentences = []
    if state.trouble:
        since = min(filter(None, (state.trouble.since, waiting.since)))
        state.trouble = Trouble(since, state.trouble.sentence)
        sentences.append(f"No mail can be sent since {since:%Y-%m-%d %H:%M} UTC: {state.trouble.sentence}")
    context.impair("mail", sentences)


__all__ = ["Waiting", "keep_watch", "tell"]
