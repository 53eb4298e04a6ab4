"""The pulse: while it beats, what the family allows is on the stream; when it stops, playback stops (fail closed).

Every replica of consent beats for itself, and one that beats is enough. A beat says: at the time `at`, nothing that any
replica had saved a second before was missing on the stream, whose last sequence is `sequence`. It is true for ever, so
that it does no harm when it arrives late, after a newer one, or from a process that was stopped in the middle of it.
"""

import asyncio
import contextlib
import json
from datetime import timedelta
from typing import Final

from nats.errors import Error as NatsError

from firsthand.shared.service import Context
from firsthand.shared.topology import CONSENT_PULSE, STREAMS

SUBJECT: Final = CONSENT_PULSE
_EVERY: Final = 1.0  # seconds
_LAG: Final = timedelta(seconds=1)  # what is unpublished for longer might be a withdrawal that nobody has heard of


async def pulse(context: Context) -> None:
    """Every second tell the stream's last sequence, unless an event has waited for too long."""
    while True:
        with contextlib.suppress(NatsError, TimeoutError, OSError):  # the server is away: readiness says so
            await beat(context)
        await asyncio.sleep(_EVERY)


async def beat(context: Context) -> None:
    at = context.clock.now()  # before we look: what is saved from now on is not spoken of
    oldest = await context.relay.oldest_unpublished()
    # A clock that was set back, or a replica's that goes ahead, makes an event that waits old, never young.
    if oldest is None or timedelta(0) <= context.clock.now() - oldest < _LAG:
        sequence = await context.bus.last_sequence(STREAMS["consent"].name)
        await context.bus.beat(SUBJECT, json.dumps({"at": at.isoformat(), "sequence": sequence}).encode())
