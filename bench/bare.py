"""The floor of a chain: four durable hops with nats-py and sqlite3 alone.

A hop: `fetch(64)`, one SQLite transaction (WAL, FULL) a batch, publish with `Nats-Msg-Id`, acknowledge. What is
published goes singly, all in flight at once; or as an atomic batch of the server's, where that is faster.
"""

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from firsthand.shared.identifiers import new_id
from firsthand.shared.tasks import ended

HOPS = 4
BATCH = 64
_ATOMIC_FROM = 24  # a batch has a fixed price
_BODY = b"x" * 700  # an event of ours is about as long


class Bare:
    """Four consumers, one after another, of one stream."""

    def __init__(self, client: Client, folder: Path, *, atomic: bool) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream()
        self._name = "atomic" if atomic else "floor"
        self._atomic = atomic
        self._database = sqlite3.connect(folder / f"{self._name}.db", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE documents (id TEXT PRIMARY KEY, body TEXT)"
        )
        self._writer = ThreadPoolExecutor(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._finished = 0
        self._chains = 0
        self._done = asyncio.Event()

    async def start(self) -> None:
        # nats-py knows no `allow_atomic` yet
        config = StreamConfig(name=self._name, subjects=[f"{self._name}.>"], duplicate_window=120).as_dict()
        wanted = json.dumps({**config, "allow_atomic": self._atomic}).encode()
        answer = await self._client.request(f"$JS.API.STREAM.CREATE.{self._name}", wanted, timeout=5)
        assert b'"error"' not in answer.data, answer.data
        for number in range(1, HOPS + 1):
            await self._js.add_consumer(
                self._name,
                ConsumerConfig(
                    durable_name=f"hop{number}",
                    filter_subject=f"{self._name}.{number}",
                    ack_policy=AckPolicy.EXPLICIT,
                ),
            )
        self._tasks = [asyncio.create_task(self._hop(number)) for number in range(1, HOPS + 1)]

    async def play(self, chains: int) -> None:
        """Begin so many chains; returns when all have ended."""
        self._chains = chains
        for first in range(0, chains, BATCH):
            await self._publish(1, [_BODY] * min(BATCH, chains - first))
        await self._done.wait()

    @classmethod
    async def play_from_outside(cls, client: Client, chains: int, *, at_once: int) -> None:
        """Begin chains for the consumers of another process, and see them end."""
        js = client.jetstream()
        room, done, ended = asyncio.Semaphore(at_once), asyncio.Event(), 0

        async def see(_: Msg) -> None:
            nonlocal ended
            ended += 1
            room.release()
            if ended == chains:
                done.set()

        await js.subscribe(f"floor.{HOPS + 1}", cb=see, ordered_consumer=True)
        for _ in range(chains):
            await room.acquire()
            await js.publish("floor.1", _BODY)
        await done.wait()

    async def stop(self, chains: int) -> None:
        """Stop, and check that each hop of each chain left its document."""
        await ended(self._tasks)  # a single cancellation is sometimes swallowed in `fetch`
        (rows,) = self._database.execute("SELECT count(*) FROM documents").fetchone()
        assert rows == chains * HOPS, rows
        self._database.close()
        self._writer.shutdown()

    async def _hop(self, number: int) -> None:
        subscription = await self._js.pull_subscribe_bind(f"hop{number}", self._name)
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=0.2)
            except TimeoutError:
                continue
            rows = [(f"{number}-{message.metadata.sequence.stream}", message.data) for message in messages]
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, rows)
            await self._publish(number + 1, [message.data for message in messages])
            await asyncio.gather(*(message.ack() for message in messages))
            if number == HOPS:
                self._finished += len(messages)
                if self._finished >= self._chains:
                    self._done.set()

    def _write(self, rows: list[tuple[str, bytes]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        self._database.execute("COMMIT")

    async def _publish(self, number: int, bodies: list[bytes]) -> None:
        subject = f"{self._name}.{number}"
        if not self._atomic or len(bodies) < _ATOMIC_FROM:
            await asyncio.gather(
                *(self._js.publish(subject, body, headers={"Nats-Msg-Id": new_id()}) for body in bodies)
            )
            return
        batch = new_id()
        for place, body in enumerate(bodies, 1):
            headers = {"Nats-Msg-Id": new_id(), "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)}
            if place < len(bodies):
                await self._client.publish(subject, body, headers=headers)
                continue
            answer: Msg = await self._client.request(
                subject, body, headers={**headers, "Nats-Batch-Commit": "1"}, timeout=5
            )
            assert b'"error"' not in answer.data, answer.data
