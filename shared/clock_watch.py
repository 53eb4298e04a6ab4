"""Watches a service's clock while it runs: reports what is wrong, hears an operator's confirmation, keeps the mark."""

import asyncio
import contextlib
import time
from typing import Final

import nats.errors

from firsthand.shared.bus import Bus
from firsthand.shared.bus.times import Times
from firsthand.shared.clock import Clock
from firsthand.shared.service import Context
from firsthand.shared.store import StoreError
from firsthand.shared.trusted_clock import Reading, TrustedClock

_LOOK_EVERY: Final = 1.0  # seconds
_ASK_EVERY: Final = 2.0  # seconds between two looks for a confirmation, while the clock is in doubt
_KEEP_EVERY: Final = 60.0  # seconds; so much of the highest time a kill may lose
_WITNESS_WITHIN: Final = 30.0  # seconds; without a mark, messages are the only witness of the time


async def judge_at_start(trusted: TrustedClock, clock: Clock, bus: Bus) -> None:
    """Judge the clock by what NATS knows, if it answers; else the mark alone counts, and a service that has none yet
    asks for a while. Raises StoreUnavailable.
    """
    until = time.monotonic() + (0.0 if trusted.has_mark else _WITNESS_WITHIN)
    while True:
        try:
            times = await bus.times(newest_message=True)
        except (nats.errors.Error, OSError, TimeoutError):
            if time.monotonic() >= until:
                return
            await asyncio.sleep(_LOOK_EVERY)
        else:
            # A test's own clock is no machine's: only what was confirmed for it says something about it.
            await trusted.load(times if clock.of_the_machine else Times(confirmed=times.confirmed))
            return


def report(context: Context) -> Reading:
    """Let readiness, metrics and log say how the clock is at this moment."""
    reading = context.trusted.read()
    context.impair("clock", [reading.sentence] if reading.sentence else [])
    context.metrics.clock(held=reading.held)
    return reading


async def watch_clock(context: Context) -> None:
    """Look every second, until cancelled."""
    state, asked, kept = "", time.monotonic(), 0.0
    try:
        while True:
            reading = report(context)
            now, changed = time.monotonic(), reading.state != state
            if now - asked >= (_ASK_EVERY if reading.sentence else _KEEP_EVERY):
                asked = now
                changed = await _hear(context) or changed
            if changed or not kept or now - kept >= _KEEP_EVERY:
                state, kept = report(context).state, now
                await _keep(context)
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        await _keep(context)  # a service that is stopped in order loses nothing of it


async def _hear(context: Context) -> bool:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):  # readiness says that NATS is away
        if context.trusted.take(await context.bus.times()):
            context.log.warning("the clock is confirmed", extra={"at": context.clock.now().isoformat()})
            return True
    return False


async def _keep(context: Context) -> None:
    with contextlib.suppress(StoreError):  # readiness says that the store does not answer
        await context.trusted.keep()


__all__ = ["judge_at_start", "report", "watch_clock"]
