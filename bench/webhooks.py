"""Deliveries a second, beside a bare loop that signs, posts and records durably; how long the first attempt takes, also
beside endpoints that are dead or hang; memory.

Aim: 0.5 of the floor, for one endpoint and for 200; a p99 beside a dead and a hanging endpoint within 20 % of what it
is without them.

Floor: as many kept connections as the endpoint has parallel attempts, asyncio streams, HMAC-SHA256 over the same
bytes, one row a delivery in SQLite (WAL, synchronous=FULL) by a thread that commits together what waits.

Floor with our driver: the same, by aiohttp and with both signatures (v1 and v1a).

Ours: events come from NATS, each becomes a durable delivery, is signed twice (v1 and v1a), sent by sockets of the
guard, and noted. The receiver is a process of its own, the same for all, and says how many different ones came.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import queue
import resource
import secrets
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import nats
import uvloop
from nats.aio.client import Client

from firsthand.services.webhooks.app import SERVICE
from firsthand.services.webhooks.handlers.endpoints import Wanted, add_endpoint, pause
from firsthand.services.webhooks.model import Delivery
from firsthand.services.webhooks.model.signatures import new_key, new_secret, sign
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events.consent import ConsentGrantedV1, ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.settings import Settings

_DELIVERIES = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
_ENDPOINTS = 200
_PARALLEL = 16
_A_SECOND, _SECONDS = 100, 10
_WAITING = 100_000
_FAIR_A_SECOND, _TURNS = 4, 3
SLUG = InstitutionId("bench")
STAFF = Staff(institution=SLUG, person_id="bench", roles=frozenset({"coordinator"}), cohorts=frozenset())


def event(context: Context | None, number: int) -> ConsentGrantedV1:
    contact = f"{new_id()[:24]}{number:08d}"
    return ConsentGrantedV1.record(
        institution=SLUG,
        subject=contact,
        sequence=1,
        at=context.clock.now() if context else _now(),
        actor="family",
        data=ConsentState(
            contact=ContactReference(
                contact_id=contact, case_id="case", reference="B-1", language="en", tutor_id="tutor"
            ),
            invitation=InvitationState(state="linked"),
            consent=ConsentRecordState(state="granted", scopes=["meet", "record-video", "share-cohort"]),
        ),
    )


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


@contextlib.asynccontextmanager
async def receiver(count: int) -> AsyncIterator[tuple[int, Callable[[], Awaitable[tuple[float, float]]]]]:
    """Run the receiver; gives its port, and what waits for its count."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.webhook_receiver", str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())

    async def finished() -> tuple[float, float]:
        assert process.stdout is not None
        different, first, last = (await process.stdout.readline()).split()
        assert int(different) == count
        return float(first), float(last)

    try:
        yield port, finished
    finally:
        process.kill()
        await process.wait()


class Records:
    """One row a delivery; what waits is committed together."""

    def __init__(self, path: Path) -> None:
        self._waiting: queue.SimpleQueue[tuple[str, int, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(path,))
        self._thread.start()

    async def keep(self, id_: str, status: int) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put((id_, status, done))
        await done

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE delivery (id TEXT PRIMARY KEY, status INTEGER, at REAL)")
        while first := self._waiting.get():
            group = [first]
            with contextlib.suppress(queue.Empty):
                while one := self._waiting.get_nowait():
                    group.append(one)
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO delivery VALUES (?, ?, ?)", [(a, b, time.time()) for a, b, _ in group])
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_settle, [done for _, _, done in group])
        connection.close()


def _settle(kept: list[asyncio.Future[None]]) -> None:
    for done in kept:
        done.set_result(None)


async def floor(folder: Path, endpoints: int, each: int, *, driver: bool = False) -> float:
    """The bare loop, by asyncio's streams or by our driver; gives deliveries a second."""
    secret = secrets.token_bytes(32)
    bodies = [event(None, number).wire() for number in range(each)]
    async with receiver(endpoints * each) as (port, finished), aiohttp.ClientSession() as http:
        records = Records(folder / f"floor-{endpoints}-{driver}.db")
        work = [(endpoint, number) for number in range(each) for endpoint in range(endpoints)]
        work.reverse()
        ours, key = new_secret(), new_key()

        async def loop_of_driver() -> None:
            while work:
                endpoint, number = work.pop()
                signed = sign([ours], [key], id=f"{number}", at=_now(), body=bodies[number])
                url = f"http://127.0.0.1:{port}/{endpoint}"
                async with http.post(url, data=bodies[number], headers=signed, allow_redirects=False) as answer:
                    await answer.read()
                await records.keep(f"{endpoint}-{number}", answer.status)

        async def loop() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while work:
                endpoint, number = work.pop()
                body, id_ = bodies[number], f"{number}"
                at = str(int(time.time()))
                signed = hmac.digest(secret, b".".join((id_.encode(), at.encode(), body)), hashlib.sha256)
                writer.write(
                    f"POST /{endpoint} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
                    f"webhook-id: {id_}\r\nwebhook-timestamp: {at}\r\n"
                    f"webhook-signature: v1,{base64.b64encode(signed).decode()}\r\n\r\n".encode()
                    + body
                )
                head = await reader.readuntil(b"\r\n\r\n")
                await records.keep(f"{endpoint}-{id_}", int(head[9:12]))
            writer.close()

        began = time.monotonic()
        one = loop_of_driver if driver else loop
        await asyncio.gather(*(one() for _ in range(_PARALLEL if endpoints == 1 else min(_ENDPOINTS, 64))))
        _, last = await finished()
        took = max(time.monotonic(), last) - began
        records.close()
    return endpoints * each / took


@contextlib.asynccontextmanager
async def house(server: EmbeddedNats, folder: Path) -> AsyncIterator[tuple[Context, Client]]:
    settings = Settings(data=folder, nats_url=server.url)
    async with Deployment.started(settings, [SERVICE], create_keys=True) as deployment:
        client = await nats.connect(server.url)
        yield deployment.contexts["webhooks"], client
        await client.close()


async def added(context: Context, port: int, count: int) -> list[str]:
    wanted = [
        Wanted(
            url=f"http://127.0.0.1:{port}/{number}", name=f"E{number}", event_types=["consent.*"], parallel=_PARALLEL
        )
        for number in range(count)
    ]
    return [(await add_endpoint(context, STAFF, one)).endpoint.id for one in wanted]


async def ours(server: EmbeddedNats, folder: Path, endpoints: int, each: int) -> tuple[float, float]:
    """The real service; gives deliveries a second, from publishing the first event to having noted the last one, and
    seconds of processor time of this process.
    """
    async with receiver(endpoints * each) as (port, finished), house(server, folder) as (context, client):
        ids = await added(context, port, endpoints)
        events = [event(context, number) for number in range(each)]
        began, used = time.monotonic(), time.process_time()
        for one in events:
            await client.publish(one.nats_subject, one.wire())
        await finished()
        kept = context.store.collection(Delivery, SLUG)
        while sum([await kept.count({"endpoint_id": id_, "state": "delivered"}) for id_ in ids]) < endpoints * each:  # noqa: ASYNC110 - nothing says it
            await asyncio.sleep(0.02)
        return endpoints * each / (time.monotonic() - began), time.process_time() - used


async def fairness(server: EmbeddedNats, folder: Path) -> None:
    """Compare how long first attempts at 48 endpoints take without and beside two that are dead and hang."""
    found: dict[str, list[float]] = {"well": [], "ill": []}
    for turn in range(_TURNS):
        for beside, p99s in found.items():
            times = await first_attempts(server, folder / f"{beside}-{turn}", 48, _FAIR_A_SECOND, beside=beside)
            p99s.append(times[int(len(times) * 0.99)])
    well, ill = (statistics.median(p99s) for p99s in found.values())
    each = [", ".join(f"{value:.0f}" for value in p99s) for p99s in found.values()]
    print(f"          48 endpoints, {_FAIR_A_SECOND} events a second: p99 {well:.0f} ms ({each[0]}); beside")
    print(f"          one dead and one that hangs: {ill:.0f} ms ({each[1]}), {ill / well:.2f} of it (aim 1.2)")


async def first_attempts(
    server: EmbeddedNats, folder: Path, endpoints: int, a_second: int, *, beside: str = ""
) -> list[float]:
    """Milliseconds, sorted, from publishing an event to each receiver having it, at a steady rate.

    `beside`: two more endpoints that are `well`, or `ill` (one hangs, one is dead); they are not counted.
    """
    count = a_second * _SECONDS
    async with receiver(endpoints * count) as (port, finished), house(server, folder) as (context, client):
        await added(context, port, endpoints)
        here = f"http://127.0.0.1:{port}"
        more = {"well": (f"{here}/well", f"{here}/well"), "ill": (f"{here}/hang", "http://127.0.0.1:9/")}
        for url in more.get(beside, ()):
            await add_endpoint(context, STAFF, Wanted(url=url, event_types=["consent.*"], parallel=_PARALLEL))
        sent: dict[str, float] = {}
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
            one = event(context, number)
            sent[one.id] = time.monotonic()
            await client.publish(one.nats_subject, one.wire())
        await finished()
        async with httpx.AsyncClient() as http:
            came = (await http.get(f"{here}/times")).json()
        return sorted((at - sent[name.split(" ")[1]]) * 1000 for name, at in came.items())


async def memory(server: EmbeddedNats, folder: Path) -> tuple[float, float, float]:
    """MB that the process takes before and after, and seconds in which it is ready, with 100,000 waiting deliveries."""
    async with house(server, folder) as (context, _):
        (endpoint_id,) = await added(context, 9, 1)
        await pause(context, STAFF, endpoint_id)
        before = _resident()
        kept, now = context.store.collection(Delivery, SLUG), context.clock.now()
        for start in range(0, _WAITING, 1000):
            made = (event(context, number) for number in range(start, start + 1000))
            await asyncio.gather(
                *(
                    kept.insert(
                        Delivery(
                            id=Delivery.id_of(one.id, endpoint_id), institution=SLUG, endpoint_id=endpoint_id,
                            event_id=one.id, event_type=one.type, contact_id=one.subject, occurred_at=one.time,
                            made_at=now, body=one.wire().decode(), next_at=now, due_at=now + timedelta(days=30),
                        )
                    )
                    for one in made
                )
            )  # fmt: skip
        assert await kept.count({"endpoint_id": endpoint_id, "state": "waiting"}) == _WAITING
        after = _resident()
    began = time.monotonic()
    async with house(server, folder):
        return before, after, time.monotonic() - began


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedNats(folder / "nats")
        await server.start()
        await apply(BusSettings(url=server.url))
        for endpoints, each in ((1, _DELIVERIES), (_ENDPOINTS, max(1, _DELIVERIES // _ENDPOINTS))):
            bare = await floor(folder, endpoints, each)
            driver = await floor(folder, endpoints, each, driver=True)
            real, seconds = await ours(server, folder / f"ours-{endpoints}", endpoints, each)
            print(f"webhooks  {endpoints} endpoint(s), {endpoints * each} deliveries")
            print(f"          floor {bare:.0f} a second   with our driver {driver:.0f}   ours {real:.0f}", flush=True)
            print(
                f"          {real / bare:.2f} of the floor (aim 0.5)   {real / driver:.2f} of the one with our driver"
            )
            print(f"          {seconds * 1000 / endpoints / each:.2f} ms of processor time a delivery", flush=True)
        await fairness(server, folder)
        times = await first_attempts(server, folder / "latency", 1, _A_SECOND)
        p99 = times[int(len(times) * 0.99)]
        p50 = statistics.median(times)
        print(f"          event to receiver at {_A_SECOND} a second: p50 {p50:.1f}   p99 {p99:.1f} ms")
        before, after, ready = await memory(server, folder / "memory")
        print(f"          {_WAITING} waiting: {before:.0f} to {after:.0f} MB, ready again in {ready:.1f} s")
        await server.stop()


if __name__ == "__main__":
    uvloop.run(main())
