"""From a family's tap on "withdraw" to the last byte that the last player of its recording received, under the
highest load that the system takes. Aim: p99 at most 500 ms with 50 players.

`firsthand up` runs as a process of its own. Two more processes use it:

- the people: 50 players, each of another contact's released recording, which read at the pace of a video, and
  the families, who withdraw by the HTTP door, one after the other, and undo it so that their recording plays again;
- the load: chains on the bus, so many begun and not finished that the system is never idle, and imports of posts by
  the HTTP door, one request after the other; one that is answered with 429 waits as it is told.

The load has a lower priority of the machine's scheduler, so that on two cores it takes what the others leave. The time
ends when the player sees that the connection has ended: until then a byte could come. That is later than the last byte
by up to the pause between two of its reads (50 ms), and by as long as the people's process waits for a core.

    python -m bench.withdraw [withdrawals] [players] [chains at once]
"""

import asyncio
import contextlib
import io
import json
import math
import os
import random
import socket
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import nats
import uvloop

from bench.people import People
from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.keys import Keys
from firsthand.shared.tasks import ended
from tests.e2e.system import all_in_one

_AIM = 500.0  # ms
_SECONDS = 120  # of sound: 23 MB
_BUFFER = 8192  # bytes that may wait for a player, which takes all of them at each read
_PAUSE = 0.05  # seconds between two reads
_EVERY = 0.25  # seconds between two withdrawals, on average
_AT_ONCE = 500  # chains begun and not yet finished
_WARM = 10.0  # seconds of load before the first withdrawal
_QUIET = 20  # withdrawals without load, before
_IMPORTED = 200  # posts in one request
_PATIENCE = 60.0  # seconds


class Player:
    """One open player: it reads a piece, pauses, reads the next."""

    def __init__(self, status: int, connected: socket.socket) -> None:
        self.status = status
        self._socket = connected
        self.received = 0
        self.begun_at = self.last_byte = self.ended_at = time.monotonic()
        self._reading = asyncio.create_task(self._read()) if status == httpx.codes.OK else None

    @classmethod
    async def opened(cls, url: str, path: str, cookie: str) -> "Player":
        """Ask for a recording as a browser does, and read the answer's head."""
        address = urlsplit(url)
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connected, (address.hostname, address.port))
        head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(connected, head.encode())
        answer = await loop.sock_recv(connected, _BUFFER)
        return cls(int(answer.split(b" ", 2)[1]), connected)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while piece := await loop.sock_recv(self._socket, 8 * _BUFFER):
                self.last_byte = time.monotonic()
                self.received += len(piece)
                await asyncio.sleep(_PAUSE)
        except ConnectionError:
            pass
        finally:
            self.ended_at = time.monotonic()
            self._socket.close()

    @property
    def plays(self) -> bool:
        return self._reading is not None and not self._reading.done()

    @property
    def rate(self) -> float:
        """KB a second."""
        return self.received / 1000 / (self.last_byte - self.begun_at)

    async def ended(self) -> None:
        assert self._reading
        await asyncio.wait({self._reading})

    async def close(self) -> None:
        if self._reading:
            await ended([self._reading])
        self._socket.close()


class Watched:
    """A contact whose recording somebody watches, and its family."""

    def __init__(self, journey: play.Journey) -> None:
        self.journey = journey
        self.player: Player | None = None

    async def begin(self) -> None:
        """Open a player, as soon as the recording plays."""
        jar = self.journey.school.student._http.cookies  # noqa: SLF001 - as a browser would send them
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        async with asyncio.timeout(_PATIENCE):
            while True:
                path = f"/archive/media/{self.journey.contact_id}"
                self.player = await Player.opened(self.journey.school.url, path, cookie)
                if self.player.plays:
                    return
                await self.player.close()
                await asyncio.sleep(0.2)

    async def withdraw(self) -> tuple[float, float, float]:
        """Withdraw; gives milliseconds from the tap to the family's answer, to the last byte, and to the end."""
        if not (self.player and self.player.plays):  # it played to its end
            await self.begin()
        assert self.player
        tapped = time.monotonic()
        answered = asyncio.create_task(self._answered())
        async with asyncio.timeout(_PATIENCE):
            await self.player.ended()
            times = (await answered, self.player.last_byte, self.player.ended_at)
        first, second, third = (1000 * (at - tapped) for at in times)
        return first, second, third

    async def _answered(self) -> float:
        await play.withdraw(self.journey, "in-7-days")
        return time.monotonic()

    async def undo(self) -> None:
        await self.journey.family.call("POST", "/consent/api/v1/family/undo")
        await self.begin()


def sound(seconds: int) -> bytes:
    """A WAV file: more than the buffers between the server and a player hold, and longer than a player lives."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(random.Random(1).randbytes(seconds * 48_000 * 4))
    return file.getvalue()


async def released(school: play.School, players: int, media: bytes, stack: contextlib.AsyncExitStack) -> list[Watched]:
    """Bring so many contacts to a released recording, by the same doors as everybody."""
    booking, room = asyncio.Lock(), asyncio.Semaphore(6)

    async def bring(number: int) -> Watched:
        async with room:
            journey = await play.clear(school, await play.nominate(school, f"player{number}.example"))
            await play.send_first_message(journey)
            await play.log_answer(journey, "yes")
            await stack.enter_async_context(play.open_link(journey))
            await play.decide(journey)
            async with booking:
                await play.book(journey)
            await play.hold(journey)
            await play.upload(journey, media, chunk=4 * 1024 * 1024)
            await play.release(journey)
            return Watched(journey)

    return list(await asyncio.gather(*(bring(number) for number in range(players))))


async def _people(url: str, keys: Path, withdrawals: int, players: int, load: "Load") -> dict[str, Any]:
    """What the people's process does; gives milliseconds."""
    found: dict[str, Any] = {"quiet": [], "loaded": []}
    async with contextlib.AsyncExitStack() as stack:
        school = await stack.enter_async_context(
            play.school(url, Keys.load(keys, {}), SystemClock(), "playing-dental", active_contacts_a_case=500)
        )
        await play.open_case(school)
        watched = await released(school, players, sound(_SECONDS), stack)
        await asyncio.gather(*(one.begin() for one in watched))
        found["quiet"] = await withdraw(watched, _QUIET)
        await load.begin(school)
        await asyncio.sleep(_WARM)
        found["loaded"] = await withdraw(watched, withdrawals)
        rates = [one.player.rate for one in watched if one.player and one.player.received]
        found["rate"] = sum(rates) / len(rates)
        for one in watched:
            if one.player:
                await one.player.close()
    return found


async def withdraw(watched: list[Watched], count: int, *, every: float = _EVERY) -> list[tuple[float, float, float]]:
    """Withdraw so many times, whoever plays, while all others play on."""
    found: list[tuple[float, float, float]] = []
    playing: asyncio.Queue[Watched] = asyncio.Queue()
    for one in random.sample(watched, len(watched)):
        playing.put_nowait(one)

    async def once(one: Watched) -> None:
        found.append(await one.withdraw())
        await one.undo()
        playing.put_nowait(one)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(once(await playing.get()))
            await asyncio.sleep(random.uniform(0, 2 * every))
    return found


async def _load(url: str, nats_url: str, at_once: int, told: dict[str, str]) -> None:
    """What the load's process does until its input ends; prints chains and imports a second, and how many were shed."""
    os.nice(10)  # on few cores it takes what the others leave
    client = await nats.connect(nats_url)
    people = People(client, at_once=at_once)
    await people.watch()
    await people.tell_setting()
    counts = {"posts": 0, "shed": 0}
    stopped = asyncio.Event()

    async def chains() -> None:
        while not stopped.is_set():
            await people.room.acquire()
            await people.begin()

    async def imports() -> None:
        path, number = f"/discovery/api/v1/cases/{told['case']}/posts?format=mastodon", 0
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            while not stopped.is_set():
                answer = await http.post(
                    path, content=_posts(number), headers={"Authorization": f"Bearer {told['token']}"}
                )
                if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    counts["shed"] += 1
                    await asyncio.sleep(float(answer.headers["Retry-After"]))
                    continue
                answer.raise_for_status()
                counts["posts"] += _IMPORTED
                number += _IMPORTED

    begun = time.monotonic()
    work = [asyncio.create_task(chains()), asyncio.create_task(imports())]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    stopped.set()
    took = time.monotonic() - begun
    print(json.dumps({"chains": len(people.finished) / took, **{k: v / took for k, v in counts.items()}}), flush=True)
    for task in work:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    for failed in results:
        if isinstance(failed, Exception):
            print(f"the load failed: {failed!r}", file=sys.stderr)
    await client.close()


def _posts(first: int) -> bytes:
    """Invented statuses as a hashtag timeline returns them."""
    found = []
    for number in range(first, first + _IMPORTED):
        person = f"https://social.example/@person{number}"
        account = {"acct": f"person{number}", "url": person, "bot": False, "locked": False, "noindex": False}
        found.append({
            "id": str(number), "url": f"{person}/{number}", "created_at": "2026-11-01T10:00:00.000Z", "language": "en",
            "visibility": "public", "sensitive": False, "content": f"<p>Surgery day {number}. {'word ' * 60}</p>",
            "tags": [{"name": "cleftlip", "url": "https://social.example/tags/cleftlip"}],
            "account": account | {"display_name": "Somebody"},
        })  # fmt: skip
    return json.dumps(found).encode()


class Load:
    """The load's process, which is told when it begins and when it may end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, school: play.School) -> None:
        """Let it bring posts into the case of this school, and play chains."""
        tokens = f"/portal/api/v1/institutions/{school.slug}/tokens"
        token = (await school.operator.call("POST", tokens, {"label": "bench", "days": 1}))["token"]
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"case": school.case_id, "token": token}).encode() + b"\n")
        await self._process.stdin.drain()

    async def end(self) -> dict[str, float]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        answer = await self._process.stdout.read()
        await self._process.wait()
        return dict(json.loads(answer)) if answer else {}


@contextlib.asynccontextmanager
async def loading(url: str, nats_url: str, at_once: int) -> AsyncIterator[Load]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.withdraw", "--load", url, nats_url, str(at_once),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _print(name: str, found: list[tuple[float, float, float]]) -> float:
    """Print what was found; gives the 99th percentile of the end."""
    answered, last, ended = (list(column) for column in zip(*found, strict=True))
    said = "   ".join(
        f"{what} {percentile(values, 0.5):.0f}/{percentile(values, 0.99):.0f}/{max(values):.0f}"
        for what, values in (("answer", answered), ("last byte", last), ("end", ended))
    )
    print(f"withdraw  {name}: {said} ms (p50/p99/max of {len(found)})", flush=True)
    return percentile(ended, 0.99)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(withdrawals: int, players: int, at_once: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("FIRSTHAND_BENCH_FOLDER")) as name:
        folder = Path(name)
        async with all_in_one(folder) as system:
            nats_url = address_of(system.data / "nats")
            assert nats_url
            assert system.everything.process
            pid = system.everything.process.pid
            async with loading(system.url, nats_url, at_once) as load:
                before, begun = _processor_seconds(pid), time.monotonic()
                found = await _people(system.url, system.data / "keys", withdrawals, players, load)
                used = (_processor_seconds(pid) - before) / (time.monotonic() - begun)
                took = await load.end()
    _print("at rest", found["quiet"])
    p99 = _print("under load", found["loaded"])
    print(
        f"          {players} players at {found['rate']:.0f} KB/s; the load: {took['chains']:.0f} chains/s, "
        f"{took['posts']:.0f} posts/s, {took['shed']:.1f} imports shed a second; "
        f"the system took {used:.2f} of a core, its start included"
    )
    print(f"          aim {_AIM:.0f} ms (p99 of the end under load): {'met' if p99 <= _AIM else 'MISSED'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        _, _, where, bus, given = sys.argv
        first = sys.stdin.readline()
        if first:
            uvloop.run(_load(where, bus, int(given), json.loads(first)))
    else:
        numbers = [int(one) for one in sys.argv[1:]]
        uvloop.run(main(*[*numbers, *[200, 50, _AT_ONCE][len(numbers) :]]))
