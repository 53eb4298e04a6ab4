"""Ways of consuming a durable: events a second, latency of a lone event, CPU at rest. For docs/decisions/0001.

    python bench/consuming.py [sync_interval]

One process consumes and publishes, beside one nats-server. A handler does nothing, so that the way itself is measured.
At rest, 22 durables (the topology's) are consumed.
"""

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from shared.bus import BusSettings
from shared.bus.connection import connected
from shared.bus.subscriptions import Pull
from shared.embedded_nats import EmbeddedNats

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


@asynccontextmanager
async def faststream(url: str, durables: list[str], took: Took) -> AsyncIterator[None]:
    """FastStream's pull subscriber, one a durable."""
    broker = NatsBroker(url, logger=None)
    stream, pull = JStream("S", declare=False), PullSub(64, timeout=5)
    for durable in durables:

        @broker.subscriber("s.>", stream=stream, durable=durable, pull_sub=pull, ack_policy=AckPolicy.MANUAL)
        async def handle(message: NatsMessage) -> None:
            took()
            await message.ack()

    await broker.start()
    yield
    await broker.stop()


@asynccontextmanager
async def ours(url: str, durables: list[str], took: Took) -> AsyncIterator[None]:
    """shared.bus.subscriptions.Pull."""
    async with connected(BusSettings(url=url)) as client:

        async def handle(message: Msg) -> None:
            took()
            await message.ack()

        pulls = [Pull(client, "S", durable, handle, logging.getLogger("bench")) for durable in durables]
        for pull in pulls:
            await pull.start()
        yield
        for pull in pulls:
            await pull.stop(1)


WAYS: dict[str, Way] = {
    "nats-py fetch(64), gathered": bare,
    "FastStream PullSub(64)": faststream,
    "ours": ours,
}


async def fresh(client: Client, names: list[str]) -> None:
    js = client.jetstream()
    if any(info.config.name == "S" for info in await js.streams_info()):
        await js.delete_stream("S")
    await js.add_stream(StreamConfig(name="S", subjects=["s.>"]))
    for name in names:
        await js.add_consumer("S", ConsumerConfig(durable_name=name, filter_subject="s.>", max_ack_pending=1000))


async def publish(client: Client, count: int) -> None:
    js = client.jetstream()
    for _ in range(0, count, 1000):
        await asyncio.gather(*[await js.publish_async("s.a", BODY) for _ in range(min(1000, count))])


async def measure(url: str, client: Client, way: Way) -> tuple[float, float, float]:
    await fresh(client, ["d"])
    await publish(client, EVENTS)
    done, left = asyncio.Event(), EVENTS

    def took() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            done.set()

    started = time.perf_counter()
    async with way(url, ["d"], took):
        await asyncio.wait_for(done.wait(), 60)
        rate = EVENTS / (time.perf_counter() - started)
        waits = []
        for _ in range(LONE):
            done.clear()
            begun = time.perf_counter()
            await client.jetstream().publish("s.a", BODY)
            await done.wait()
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)
    names = [f"d{n}" for n in range(DURABLES)]
    await fresh(client, names)
    async with way(url, names, took):
        await asyncio.sleep(1)
        begun = time.process_time()
        await asyncio.sleep(REST_SECONDS)
        rest = (time.process_time() - begun) / REST_SECONDS
    return rate, statistics.median(waits), rest


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedNats(Path(folder))
        if len(sys.argv) > 1:
            server.sync_interval = sys.argv[1]
        await server.start()
        async with connected(BusSettings(url=server.url)) as client:
            await fresh(client, [])
            started = time.perf_counter()
            await publish(client, 10_000)
            print(f"sync_interval {server.sync_interval}: {10_000 / (time.perf_counter() - started):,.0f} publishes/s")
            print(f"{'way':<40}{'events/s':>10}{'lone, ms':>10}{'rest, % of a core':>20}")
            for name, way in WAYS.items():
                rate, wait, rest = await measure(server.url, client, way)
                print(f"{name:<40}{rate:>10,.0f}{wait * 1000:>10.1f}{rest * 100:>20.2f}", flush=True)
        await server.stop()


asyncio.run(main())
