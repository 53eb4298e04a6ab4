"""Processor seconds that the services spend on a chain, beside the bare driver in the same run. Aim: 3 ms.

Rates differ by a quarter from run to run on a shared machine; what a process used of its processor hardly does. Counted
is the process in which all six services run (all its threads, user and system), from the first event to the last one.
Who plays the people, and the NATS server, are processes of their own and not counted. The floor is `bench.bare` in a
process of its own, played from outside as well.

    python -m bench.processor [chains] [rounds]
    python -m bench.processor --profile [chains]      also tells where the event loop's time goes
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType

import nats
import uvloop

from bench.bare import Bare
from bench.people import People, check, prepare
from firsthand.services.archive.app import SERVICE as ARCHIVE
from firsthand.services.consent.app import SERVICE as CONSENT
from firsthand.services.discovery.app import SERVICE as DISCOVERY
from firsthand.services.portal.app import SERVICE as PORTAL
from firsthand.services.scheduling.app import SERVICE as SCHEDULING
from firsthand.services.webhooks.app import SERVICE as WEBHOOKS
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.settings import Settings

_SERVICES = (PORTAL, DISCOVERY, CONSENT, SCHEDULING, ARCHIVE, WEBHOOKS)
_AT_ONCE = 200  # chains begun and not yet finished
_WARM = 100  # chains before counting
_AIM = 3.0  # ms a chain
_SAMPLE = 0.001  # seconds of processor time between two looks of the profile
# Whose code it is, by what stands in a file's path; the innermost frame counts.
_WHOSE = {
    "/pydantic/": "reading and writing JSON (pydantic)",
    "firsthand/shared/events": "events",
    "firsthand/shared/store": "store",
    "firsthand/shared/bus": "bus: delivering, relaying, hearing",
    "firsthand/services": "handlers and models",
    "firsthand/shared": "the rest of shared",
    "/faststream/": "FastStream",
    "/nats/": "nats-py",
    "/asyncio/": "asyncio and uvloop",
    "/uvloop/": "asyncio and uvloop",
}


async def _serve_services(url: str, folder: Path) -> None:
    settings = Settings(data=folder / "data", nats_url=url)
    async with Deployment.started(settings, _SERVICES, create_keys=True) as deployment:
        await prepare(deployment)
        chains = await _obey()
        await check(deployment, _SERVICES, chains)


async def _serve_bare(url: str, folder: Path) -> None:
    client = await nats.connect(url)
    bare = Bare(client, folder, atomic=False)
    await bare.start()
    chains = await _obey()
    await bare.stop(chains)
    await client.close()


@contextlib.contextmanager
def _sampled() -> Iterator[None]:
    """Look every millisecond of processor time at what runs in the event loop; tell in the end whose it was."""
    seen: Counter[str] = Counter()

    def look(_: int, frame: FrameType | None) -> None:
        path = frame.f_code.co_filename if frame else ""
        seen[next((whose for part, whose in _WHOSE.items() if part in path), "other")] += 1

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLE, _SAMPLE)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    for whose, times in seen.most_common():
        print(f"{100 * times / seen.total():5.1f} %  {whose}", file=sys.stderr)


async def _obey() -> int:
    """Tell at each line read the processor time used until now, by all threads and by the event loop's.

    Ends with a line that is a number of chains.
    """
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while (line := (await reader.readline()).decode().strip()) == "time":
        print(time.process_time(), time.thread_time(), flush=True)
    return int(line)


class _Child:
    """The process that is counted."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{line}\n".encode())
        return (await self._process.stdout.readline()).decode().strip()

    async def seconds(self) -> tuple[float, float]:
        """Processor seconds until now, of all threads and of the event loop's."""
        everything, loop = (await self.ask("time")).split()
        return float(everything), float(loop)


@contextlib.asynccontextmanager
async def _child(what: str, url: str, folder: Path, *, chains: int, profile: bool = False) -> AsyncIterator[_Child]:
    arguments = ["-m", "bench.processor", *(["--profiled"] if profile else []), what, url, str(folder)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    child = _Child(process)
    assert process.stdout
    assert (await process.stdout.readline()).strip() == b"ready"
    yield child
    print(await child.ask(str(chains)), end="")
    assert await process.wait() == 0


async def services(url: str, folder: Path, chains: int, *, profile: bool) -> tuple[float, float]:
    """Processor seconds a chain of all six services in one process, and those of the event loop among them."""
    await apply(BusSettings(url=url))
    client = await nats.connect(url)
    async with _child("services", url, folder, chains=chains + _WARM, profile=profile) as child:
        people = People(client, at_once=_AT_ONCE)
        await people.watch()
        await people.play(_WARM)
        before = await child.seconds()
        await people.play(chains)
        after = await child.seconds()
    await client.close()
    return (after[0] - before[0]) / chains, (after[1] - before[1]) / chains


async def floor(url: str, folder: Path, chains: int) -> float:
    """Processor seconds a chain of bare nats-py and sqlite3."""
    client = await nats.connect(url)
    async with _child("bare", url, folder, chains=chains) as child:
        before = await child.seconds()
        await Bare.play_from_outside(client, chains, at_once=_AT_ONCE)
        after = await child.seconds()
    await client.close()
    return (after[0] - before[0]) / chains


async def main(chains: int, rounds: int, *, profile: bool) -> None:
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = EmbeddedNats(folder / "nats")
            await server.start()
            bare = 1000 * await floor(server.url, folder, chains)
            real, loop = (1000 * used for used in await services(server.url, folder, chains, profile=profile))
            await server.stop()
        found.append(real)
        told = f"floor {bare:.2f} ms a chain   ours {real:.2f} ms, {loop:.2f} of it in the event loop"
        print(f"processor  {told}   {real / bare:.1f} times", flush=True)
    median = sorted(found)[len(found) // 2]
    print(f"           median {median:.2f} ms of {rounds}: {'met' if median <= _AIM else 'MISSED'} (aim {_AIM} ms)")


if __name__ == "__main__":
    given = sys.argv[1:]
    if profiled := "--profiled" in given:
        given.remove("--profiled")
    if given and given[0] in {"services", "bare"}:
        what, url, where = given
        work = _serve_services(url, Path(where)) if what == "services" else _serve_bare(url, Path(where))
        with _sampled() if profiled else contextlib.nullcontext():
            uvloop.run(work)
    else:
        if profile := "--profile" in given:
            given.remove("--profile")
        numbers = [int(one) for one in given]
        uvloop.run(main(numbers[0] if numbers else 800, numbers[1] if len(numbers) > 1 else 1, profile=profile))
