"""Playing a recording of 200 MB over HTTP, from the bucket and from the folder: MB/s, and memory.

Floor: the same sealed object, read by the bare library in one request, from the same server in the same run. Between
the two lie opening and checking every chunk, asking the gate before each, and a connection that can be taken back.
Needs `FIRSTHAND_TEST_S3_URL` (see `.ci/s3`); without it only the folder is measured.

A player takes less than one MB/s. Aim: 50 MB/s for one that takes all it gets; memory grows by less than 32 MB.
"""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import obstore

from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import ManualClock
from firsthand.shared.embedded_nats import EmbeddedNats
from tests.archive import START, Archive, running, served
from tests.buckets import URL_SETTING, S3Server
from tests.media import heavy

_SIZE = (int(sys.argv[1]) if len(sys.argv) > 1 else 200) * 1_000_000
_AIM = 50  # MB/s
_GROWTH = 32  # MB


def _megabytes() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def floor(server: S3Server) -> float:
    (found,) = obstore.list(server.store).collect()
    started = time.perf_counter()
    taken = sum(len(piece) for piece in obstore.get(server.store, found["path"]).stream(1 << 20))
    return taken / (time.perf_counter() - started) / 1e6


async def play(archive: Archive, port: int) -> float:
    """Take the whole recording and throw it away; MB/s."""
    loop, taken = asyncio.get_running_loop(), 0
    with socket.socket() as player:
        player.setblocking(False)
        await loop.sock_connect(player, ("127.0.0.1", port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**archive.student(), "Host": "bench"}.items())
        started = time.perf_counter()
        await loop.sock_sendall(player, f"GET /archive/media/c1 HTTP/1.1\r\nConnection: close\r\n{lines}\r\n".encode())
        while piece := await loop.sock_recv(player, 1 << 20):
            taken += len(piece)
    assert taken > _SIZE * 0.99, "the answer was cut"
    return taken / (time.perf_counter() - started) / 1e6


@asynccontextmanager
async def recorded(folder: Path, nats_url: str, **settings: Any) -> AsyncIterator[Archive]:
    async with running(folder, nats_url, ManualClock(START), **settings) as archive:
        await archive.released(heavy(_SIZE))
        yield archive


async def measured(where: str, archive: Archive) -> float:
    async with served(archive) as port:
        await play(archive, port)
        before, speeds = _megabytes(), []
        for _ in range(3):
            await archive.beat()
            speeds.append(await play(archive, port))
        speed, grown = sorted(speeds)[1], _megabytes() - before
    print(f"media  from the {where}: {speed:.0f} MB/s, memory grown by {grown:.0f} MB")
    verdict = "met" if speed >= _AIM and grown <= _GROWTH else "MISSED"
    print(f"       aim {_AIM} MB/s, {_GROWTH} MB: {verdict}")
    return speed


async def main() -> None:
    url = os.environ.get(URL_SETTING)
    with tempfile.TemporaryDirectory() as name:
        for where in ("folder", "bucket"):
            server = EmbeddedNats(Path(name) / f"nats-{where}")
            await server.start()
            await apply(BusSettings(url=server.url))
            folder = Path(name) / where
            if where == "folder":
                async with recorded(folder, server.url) as archive:
                    await measured(where, archive)
            elif url:
                s3 = S3Server(url, f"bench-{os.getpid()}")
                try:
                    async with recorded(folder, server.url, **s3.settings(s3.port)) as archive:
                        bare = await asyncio.to_thread(floor, s3)
                        speed = await measured(where, archive)
                        print(f"       floor (bare library, one request) {bare:.0f} MB/s: {speed / bare:.0%} of it")
                finally:
                    obstore.delete(s3.store, [one["path"] for one in obstore.list(s3.store).collect()])
            else:
                print(f"media  from the bucket: not measured, {URL_SETTING} names no server")
            await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
