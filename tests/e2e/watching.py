"""Watching as a player does that is told "try again in a moment"."""

import asyncio

import httpx

from firsthand.example import journey as play
from tests.patience import PATIENCE


async def watched(journey: play.Journey) -> tuple[int, bytes]:
    """Give what `play.watch` gives, once the gate can tell: for a moment it cannot, as while a clock jumps."""
    async with asyncio.timeout(PATIENCE):
        while (told := await play.watch(journey))[0] == httpx.codes.SERVICE_UNAVAILABLE:  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.1)
    return told
