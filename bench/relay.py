"""Publishing what waits in an outbox: singly, all in flight at once, beside atomic batches, in the same run.

The real publisher on the embedded server, which syncs every write. Counted are events a second, milliseconds until all
are acknowledged (median), and processor time of this process an event. `shared.bus.batches` publishes in batches from
`BATCH_FROM` waiting events.

    python -m bench.relay [rounds]
"""

import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nats
import uvloop
from nats.aio.client import Client

from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.batches import BATCH_FROM, Publisher
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.store import OutboxEntry
from firsthand.shared.topology import STREAMS

_SIZES = (1, 8, 16, 24, 64, 256)
_SLUG = InstitutionId("bench-dental")
_LEAST = 1.0  # s; so long each of them is measured in a round
_LOG = logging.getLogger("bench")


def _entries(count: int) -> list[OutboxEntry]:
    event = InstitutionChangedV1.record(
        institution=_SLUG, subject=_SLUG, sequence=1, at=SystemClock().now(), actor="system",
        data=InstitutionState(slug=_SLUG, name="Bench", country="QA", zone="Asia/Qatar", languages=["en"]),
    )  # fmt: skip
    body = event.wire()
    return [OutboxEntry("school", _SLUG, _SLUG, new_id(), event.nats_subject, body, event.time) for _ in range(count)]


async def _publish(publisher: Publisher, size: int) -> tuple[float, float]:
    """Milliseconds (median) until `size` events are acknowledged, and processor milliseconds an event."""
    took: list[float] = []
    used = 0.0
    while sum(took) < _LEAST:
        entries = _entries(size)
        begun, processor = time.perf_counter(), time.process_time()
        sequences = await publisher.publish(entries)
        took.append(time.perf_counter() - begun)
        used += time.process_time() - processor
        assert None not in sequences
    return 1000 * statistics.median(took), 1000 * used / (size * len(took))


async def _measure(client: Client, rounds: int) -> None:
    stream = STREAMS["portal"].name
    ways = {
        "singly": Publisher(client, stream, _LOG, batch_from=sys.maxsize),
        "batch": Publisher(client, stream, _LOG, batch_from=1),
    }
    for size in _SIZES:
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, publisher in ways.items():
                found[way].append(await _publish(publisher, size))
        said = []
        for way, rows in found.items():
            took, used = (sorted(column) for column in zip(*rows, strict=True))
            rate, spent = 1000 * size / statistics.median(took), statistics.median(used)
            said.append(f"{way} {rate:6.0f} events/s, {took[0]:.1f} to {took[-1]:.1f} ms, {spent:.3f} ms an event")
        print(f"relay  {size:4} waiting   {'   '.join(said)}", flush=True)
    print(f"       batches from {BATCH_FROM} waiting events")


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("FIRSTHAND_BENCH_FOLDER")) as name:
        server = EmbeddedNats(Path(name))
        await server.start()
        await apply(BusSettings(url=server.url))
        client = await nats.connect(server.url)
        await _measure(client, rounds)
        await client.close()
        await server.stop()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
