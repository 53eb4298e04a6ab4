"""The pulse: while it beats, what the family allows is on the stream; when it stops, playback stops (fail closed)."""

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import Final

from nats.errors import Error as NatsError

from shared.service import Context
from shared.topology import CONSENT_PULSE, STREAMS

SUBJECT: Final = CONSENT_PULSE
_EVERY: Final = 1.0  # seconds
_LAG: Final = timedelta(seconds=1)  # what is unpublished for longer might be a withdrawal that nobody has heard of


async def pulse(context: Context) -> None:
    """Every second tell the stream's last sequence, unless an event of ours has waited for too long."""
    while True:
        with contextlib.suppress(NatsError, TimeoutError, OSError):  # the server is away: readiness says so
            await beat(context)
        await asyncio.sleep(_EVERY)


async def beat(context: Context) -> None:
    oldest = await context.relay.oldest_unpublished()
    at = context.clock.now()
    # A clock that was set back makes an event that waits old, never young.
    if oldest is None or timedelta(0) <= at - oldest < _LAG:
        sequence = await context.bus.last_sequence(STREAMS["consent"].name)
        await context.bus.beat(SUBJECT, json.dumps({"at": at.isoformat(), "sequence": sequence}).encode())
