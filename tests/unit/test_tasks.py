"""Background tasks end."""

import asyncio
import contextlib

import pytest

from firsthand.shared import tasks


async def test_a_task_ends_that_heard_nothing_of_its_first_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_AGAIN_AFTER", 0.01)
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def hard_of_hearing() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            begun.set()
            await asyncio.Event().wait()
        goes_on.set()
        await asyncio.Event().wait()

    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(hard_of_hearing())
    await begun.wait()
    async with asyncio.timeout(2):
        await tasks.ended([task, asyncio.create_task(fails())])
    assert goes_on.is_set()
    assert task.cancelled()
