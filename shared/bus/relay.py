"""From the outbox to the stream: every saved event is published, and removed only when the server has it.

Each replica publishes what it finds, whoever saved it: so an event of a replica that was killed before it published is
on its way within `_SWEEP`, and who is cut off from NATS holds nothing up. An event that two publish is stored once: the
server knows it by its id, for as long as its duplicate window lasts (`shared.topology`).

Urgent events (`Event.urgent`) have a lane of their own: a withdrawal is published at once, while a batch of others is
still on its way. So it may come before an earlier event of its own document; consumers go by sequences.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from firsthand.shared.bus.connection import Bus
from firsthand.shared.clock import Clock
from firsthand.shared.metrics import Metrics
from firsthand.shared.store import OutboxEntry, Store, StoreError
from firsthand.shared.topology import STREAMS

_BATCH: Final = 256  # events in flight at once
# Seconds between two looks for what another replica left. A withdrawal is obeyed within a second of its save, also when
# the replica that saved it is killed at that instant: this wait, and what publishing and hearing take, fit into it.
_SWEEP: Final = 0.5
# Seconds from one batch of events that are not urgent to the next: under load more come together then, and each round
# costs as much for one event as for thirty. What is saved while nothing is on its way goes at once. With 3 ms
# a hop took 5.2 ms at 100 journeys a second, with 1 ms 2.9.
_GATHER: Final = 0.001
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds after each further attempt in vain
# Seconds after which what was read is read again before it is published. This process may have been stopped meanwhile,
# another one have published it, and the server have forgotten its id: then it would be in the stream twice.
_STALE: Final = 5.0
_LASTS: Final = 30.0  # seconds after which it is told that events wait


class Relay:
    """Publishes one service's outbox, in the order of the saves. Several of them at work publish nothing twice."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._lanes = [_Lane(store, bus, clock, metrics, urgent=urgent) for urgent in (True, False)]
        store.on_outbox(self.wake)

    def wake(self) -> None:
        """Say that a save left an event."""
        for lane in self._lanes:
            lane.wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run())

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
        return any([await lane.publish_batch() for lane in self._lanes])

    def behind(self) -> float:
        """Tell for how many seconds the oldest event waits of which this relay knows."""
        return max(lane.behind() for lane in self._lanes)

    def waiting(self) -> list[str]:
        """Tell in a plain sentence that events do not go out, once that lasts."""
        if not any(lane.fails for lane in self._lanes) or self.behind() < _LASTS:
            return []
        waited = f"Events have waited for {self.behind():.0f} s to be published."
        return [f"{waited} Does NATS answer? Restart it if its disk was full."]

    async def oldest_unpublished(self) -> datetime | None:
        """Tell the time of the oldest event that waits, whichever replica saved it; None when none does."""
        entries = await self._store.outbox(limit=_BATCH)  # their order is that of the saves, by several clocks
        return min((entry.at for entry in entries), default=None)


class _Lane:
    """Publishes the urgent events, or all others."""

    def __init__(self, store: Store, bus: Bus, clock: Clock, metrics: Metrics, *, urgent: bool) -> None:
        self.wake = asyncio.Event()
        self._store = store
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._urgent = urgent
        self._stream = STREAMS[bus.service].name if bus.service in STREAMS else ""
        self._log = logging.getLogger(f"firsthand.{bus.service}")
        self._in_vain = 0
        self._oldest: datetime | None = None  # when the first event of what is in hand was saved
        # In the stream, but the store did not take that down: not to be published again however long that lasts.
        self._to_remove: set[str] = set()

    async def run(self) -> None:
        while True:
            self.wake.clear()
            if await self.publish_batch():
                if not self._urgent:
                    await asyncio.sleep(_GATHER)
                continue
            delay = _BACKOFF[min(self._in_vain, len(_BACKOFF)) - 1] if self._in_vain else _SWEEP
            if self._in_vain:
                await asyncio.sleep(delay)
            else:
                # Not `wait_for`: cancelled in the instant of a wake, it would go on as if nothing had been said.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self.wake.wait()

    @property
    def fails(self) -> bool:
        return bool(self._in_vain)

    def behind(self) -> float:
        return (self._clock.now() - self._oldest).total_seconds() if self._oldest else 0.0

    async def publish_batch(self) -> bool:
        """As `Relay.publish_batch`, in this lane."""
        read_at = time.monotonic()
        try:
            entries = await self._store.outbox(limit=_BATCH, urgent=self._urgent)
            if not self._urgent:
                self._metrics.outbox(len(entries))
            self._oldest = entries[0].at if entries else None
            if not entries:
                self._to_remove.clear()
                return False
            if time.monotonic() - read_at > _STALE:
                return True
            done = await self._publish(entries)
            if done:
                await self._store.published(done)
                self._to_remove.clear()
        except StoreError as error:
            return self._failed(f"the store does not answer ({type(error).__name__})")
        if len(done) < len(entries):
            return self._failed("NATS does not take them")
        if self._in_vain:
            self._log.info("events are published again")
        self._in_vain = 0
        return True

    async def _publish(self, entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
        """Give those of the entries that are in the stream now."""
        waiting = [entry for entry in entries if entry.event_id not in self._to_remove]
        acknowledged = await self._bus.publish_all(waiting) if waiting and self._bus.connected else []
        now = self._clock.now()
        for entry in acknowledged:
            self._metrics.published(self._stream, (now - entry.at).total_seconds())
        known = self._to_remove = self._to_remove | {entry.event_id for entry in acknowledged}
        return [entry for entry in entries if entry.event_id in known]

    def _failed(self, why: str) -> bool:
        if not self._in_vain:
            self._log.warning("events wait to be published", extra={"reason": why})
        self._in_vain += 1
        return False
