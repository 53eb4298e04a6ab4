"""From the outbox to the stream: every saved event is published, and removed only when the server has it."""

import asyncio
import logging
from datetime import datetime
from typing import Final

from shared.bus.connection import Bus
from shared.clock import Clock
from shared.metrics import Metrics
from shared.store import Store, StoreError
from shared.topology import STREAMS

_BATCH: Final = 256  # events in flight at once
_SWEEP: Final = 1.0  # seconds between two looks for what a crash left
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds after each further attempt in vain


class Relay:
    """Publishes one service's outbox, in the order of the saves. Two of them at work publish nothing twice."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._stream = STREAMS[bus.service].name
        self._log = logging.getLogger(f"firsthand.{bus.service}")
        self._wake = asyncio.Event()
        self._in_vain = 0
        store.on_outbox(self.wake)

    def wake(self) -> None:
        """Say that a save left an event."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self._wake.clear()
            if await self.publish_batch():
                continue
            delay = _BACKOFF[min(self._in_vain, len(_BACKOFF)) - 1] if self._in_vain else _SWEEP
            if self._in_vain:
                await asyncio.sleep(delay)
            else:
                try:
                    await asyncio.wait_for(self._wake.wait(), delay)
                except TimeoutError:
                    continue

    async def drain(self, within: float) -> int:
        """Publish what is left, for at most `within` seconds; returns how many events still wait."""
        try:
            async with asyncio.timeout(within):
                while await self.publish_batch():
                    pass
        except TimeoutError:
            pass
        return len(await self._store.outbox(limit=_BATCH))

    async def publish_batch(self) -> bool:
        """Publish the oldest events; returns whether to go on at once. Raises nothing: what fails stays."""
        try:
            entries = await self._store.outbox(limit=_BATCH)
            self._metrics.outbox(len(entries))
            if not entries:
                return False
            acknowledged = await self._bus.publish_all(entries) if self._bus.connected else []
            if acknowledged:
                await self._store.published(acknowledged)
        except StoreError as error:
            return self._failed(f"the store does not answer ({type(error).__name__})")
        now = self._clock.now()
        for entry in acknowledged:
            self._metrics.published(self._stream, (now - entry.at).total_seconds())
        if len(acknowledged) < len(entries):
            return self._failed("NATS does not take them")
        if self._in_vain:
            self._log.info("events are published again")
        self._in_vain = 0
        return True

    async def oldest_unpublished(self) -> datetime | None:
        """Tell the time of the oldest event that waits; None when none does."""
        entries = await self._store.outbox(limit=1)
        return entries[0].at if entries else None

    def _failed(self, why: str) -> bool:
        if not self._in_vain:
            self._log.warning("events wait to be published", extra={"reason": why})
        self._in_vain += 1
        return False
