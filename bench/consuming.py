"""Ways of consuming a durable: events a second, processor time of an event, latency of a lone one, CPU at rest.

    python bench/consuming.py [sync_interval]

For docs/decisions/0019. One process consumes and publishes, beside one nats-server. A handler does nothing, so that the
way itself is measured. At rest, 22 durables (the topology's) are consumed. Of the bare ways nobody reads an event or
decides what becomes of it; the last line is all that the bus of a service does: read, type, trace, settle, measure.
"""

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from firsthand.shared.bus import Bus, BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.feeding import router_of
from firsthand.shared.bus.room import Room
from firsthand.shared.bus.subscriptions import Pull
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import AnyEvent
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.metrics import Metrics
from firsthand.shared.topology import STREAMS, durables_of

EVENTS, LONE, DURABLES, REST_SECONDS = 20_000, 50, 22, 6.0
BODY = json.dumps({"data": "x" * 600}).encode()

Took = Callable[[], None]
Way = Callable[[str, list[str], Took], Any]


@asynccontextmanager
async def bare(url: str, durables: list[str], took: Took) -> AsyncIterator[None]:
    """nats-py: fetch 64, gather, acknowledge."""
    async with connected(BusSettings(url=url)) as client:

        async def handle(message: Msg) -> None:
            took()
            await message.ack()

        async def loop(durable: str) -> None:
            pull = await client.jetstream().pull_subscribe_bind(durable, "S")
            while True:
                try:
                    messages = await pull.fetch(64, timeout=5)
                except TimeoutError:
                    continue
                await asyncio.gather(*map(handle, messages))

        tasks = [asyncio.create_task(loop(durable)) for durable in durables]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def faststream(
    *, size: int = 64, timeout: float = 5, workers: int = 1, batch: bool = False, inject: bool = True
) -> Way:
    """FastStream's pull subscriber, one a durable."""

    @asynccontextmanager
    async def consume(url: str, durables: list[str], took: Took) -> AsyncIterator[None]:
        broker = NatsBroker(url, logger=None, apply_types=inject)
        stream, pull = JStream("S", declare=False), PullSub(size, timeout=timeout, batch=batch)

        async def handle(message: NatsMessage) -> None:
            raw: Any = message.raw_message
            for _ in raw if batch else [raw]:
                took()
            await message.ack()

        for durable in durables:
            broker.subscriber(
                "s.>",
                durable=durable,
                stream=stream,
                pull_sub=pull,
                max_workers=workers,
                ack_policy=AckPolicy.MANUAL,
                decoder=as_it_is,
            )(handle)
        await broker.start()
        yield
        await broker.stop()

    return consume


async def as_it_is(message: NatsMessage) -> NatsMessage:
    return message


@asynccontextmanager
async def ours(url: str, durables: list[str], took: Took) -> AsyncIterator[None]:
    """firsthand.shared.bus.subscriptions.Pull, alone."""
    async with connected(BusSettings(url=url)) as client:

        async def handle(message: Msg) -> None:
            took()
            await message.ack()

        room = Room()
        log = logging.getLogger("bench")
        pulls = [Pull(client, "S", durable, handle, log, room=room) for durable in durables]
        for pull in pulls:
            await pull.start()
        yield
        for pull in pulls:
            await pull.stop(1)


WAYS: dict[str, Way] = {
    "nats-py fetch(64), gathered": bare,
    "FastStream PullSub(64)": faststream(),
    "  apply_types=False": faststream(inject=False),
    "  max_workers=64": faststream(workers=64),
    "  batch=True, timeout=0.02": faststream(batch=True, timeout=0.02),
    "our Pull, feeding nothing": ours,
}


@asynccontextmanager
async def services(url: str, names: Sequence[str], took: Took) -> AsyncIterator[None]:
    """The buses of these services, with the handlers of the topology."""

    async def handle(_event: AnyEvent) -> None:
        took()

    buses = [Bus(name, BusSettings(url=url), clock=SystemClock(), metrics=Metrics(name)) for name in names]
    for bus in buses:
        calls = {durable.handler: handle for durable in durables_of(bus.service)}
        bus.include(router_of(bus.service, calls, bus.settings.placement))
        await bus.start()
    yield
    for bus in buses:
        await bus.stop()


def event(number: int) -> InstitutionChangedV1:
    state = InstitutionState(slug="bench", name="Bench", country="QA", zone="Asia/Qatar", languages=["ar", "en"])
    institution = InstitutionId("bench")
    return InstitutionChangedV1.record(
        institution=institution,
        subject=institution,
        sequence=number,
        at=SystemClock().now(),
        actor="system",
        data=state,
    )


async def fresh(client: Client, names: list[str]) -> None:
    js = client.jetstream()
    if any(info.config.name == "S" for info in await js.streams_info()):
        await js.delete_stream("S")
    await js.add_stream(StreamConfig(name="S", subjects=["s.>"]))
    for name in names:
        await js.add_consumer("S", ConsumerConfig(durable_name=name, filter_subject="s.>", max_ack_pending=1000))


async def publish(client: Client, bodies: Sequence[bytes], subject: str = "s.a") -> None:
    js = client.jetstream()
    for first in range(0, len(bodies), 1000):
        await asyncio.gather(*[await js.publish_async(subject, body) for body in bodies[first : first + 1000]])


@dataclass
class Figures:
    rate: float
    processor: float  # microseconds an event
    lone: float  # milliseconds
    rest: float  # share of a core

    def __str__(self) -> str:
        return f"{self.rate:>10,.0f}{self.processor:>14.0f}{self.lone:>10.1f}{self.rest * 100:>20.2f}"


class Drain:
    """Takes events, and times how they are taken."""

    def __init__(self, left: int) -> None:
        self.done = asyncio.Event()
        self.left = left

    def took(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self.done.set()

    async def figures(self, running: Any, at_rest: Any, publish_one: Callable[[], Awaitable[object]]) -> Figures:
        count, started, spent = self.left, time.perf_counter(), time.process_time()
        async with running:
            await asyncio.wait_for(self.done.wait(), 120)
            rate = count / (time.perf_counter() - started)
            processor = (time.process_time() - spent) / count * 1e6
            waits = []
            for _ in range(LONE):
                self.done.clear()
                begun = time.perf_counter()
                await publish_one()
                await self.done.wait()
                waits.append(time.perf_counter() - begun)
                await asyncio.sleep(0.02)
        async with at_rest():
            await asyncio.sleep(1)
            begun = time.process_time()
            await asyncio.sleep(REST_SECONDS)
            rest = (time.process_time() - begun) / REST_SECONDS
        return Figures(rate, processor, statistics.median(waits) * 1000, rest)


async def measure(url: str, client: Client, way: Way) -> Figures:
    await fresh(client, ["d"])
    await publish(client, [BODY] * EVENTS)
    drain = Drain(EVENTS)

    @asynccontextmanager
    async def at_rest() -> AsyncIterator[None]:
        names = [f"d{n}" for n in range(DURABLES)]
        await fresh(client, names)
        async with way(url, names, drain.took):
            yield

    return await drain.figures(way(url, ["d"], drain.took), at_rest, lambda: client.jetstream().publish("s.a", BODY))


async def measure_everything(url: str, client: Client) -> Figures:
    """Discovery's one handler of the portal's events; at rest, all services."""
    await apply(BusSettings(url=url))
    subject = event(1).nats_subject
    await publish(client, [event(number).wire() for number in range(1, EVENTS + 1)], subject)
    drain = Drain(EVENTS)

    @asynccontextmanager
    async def at_rest() -> AsyncIterator[None]:
        await client.jetstream().purge_stream(STREAMS["portal"].name)  # only discovery has taken them
        async with services(url, list(STREAMS), drain.took):
            yield

    return await drain.figures(
        services(url, ["discovery"], drain.took),
        at_rest,
        lambda: client.jetstream().publish(subject, event(EVENTS + 1).wire()),
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedNats(Path(folder))
        if len(sys.argv) > 1:
            server.sync_interval = sys.argv[1]
        await server.start()
        async with connected(BusSettings(url=server.url)) as client:
            await fresh(client, [])
            started = time.perf_counter()
            await publish(client, [BODY] * 10_000)
            print(f"sync_interval {server.sync_interval}: {10_000 / (time.perf_counter() - started):,.0f} publishes/s")
            print(f"{'way':<40}{'events/s':>10}{'us an event':>14}{'lone, ms':>10}{'rest, % of a core':>20}")
            for name, way in WAYS.items():
                print(f"{name:<40}{await measure(server.url, client, way)}", flush=True)
            await client.jetstream().delete_stream("S")
            print(f"{'ours: an event through everything':<40}{await measure_everything(server.url, client)}")
        await server.stop()


asyncio.run(main())
