"""Ending background tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_AFTER: Final = 3.0  # seconds, in which a task that heard it may tidy up


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended, whatever they end with.

    Once is not enough: nats-py takes a cancellation that meets it in the middle of a flush for itself, and so does
    `asyncio.wait_for` of Python 3.11 in the instant in which what it waits for comes. The task would then go on.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        done, running = await asyncio.wait(running, timeout=_AGAIN_AFTER)
        await asyncio.gather(*done, return_exceptions=True)
