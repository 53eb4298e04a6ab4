"""Seconds from `firsthand up` to ready, on an empty folder and on a folder that was used before. Aim: 1.5.

Floor: the same interpreter starting, importing the libraries and a nats-server becoming ready.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from firsthand.shared.embedded_nats import EmbeddedNats
from tests.e2e.system import all_in_one

_ROUNDS = 5
_AIM = 1.5  # seconds


async def _floor(folder: Path) -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import fastapi, faststream.nats, pydantic_settings, cryptography, icalendar"
    )
    assert await process.wait() == 0
    server = EmbeddedNats(folder)
    await server.start()
    took = time.perf_counter() - started
    await server.stop()
    return took


async def _ups(folder: Path) -> tuple[float, float]:
    started = time.perf_counter()
    async with all_in_one(folder, cold=True) as system:
        first = time.perf_counter() - started
        await system.everything.stop()
        started = time.perf_counter()
        await system.everything.start(cold=True)
        second = time.perf_counter() - started
    return first, second


async def main() -> None:
    floors, firsts, seconds = [], [], []
    for number in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            floors.append(await _floor(Path(folder) / f"nats{number}"))
            first, second = await _ups(Path(folder))
            firsts.append(first)
            seconds.append(second)
    floor, first, second = map(statistics.median, (floors, firsts, seconds))
    print(f"ready  floor {floor:.2f} s   empty folder {first:.2f} s ({first / floor:.1f} x)   again {second:.2f} s")
    told = f"{min(firsts):.2f} to {max(firsts):.2f}, again {min(seconds):.2f} to {max(seconds):.2f}"
    print(f"       {told}; aim {_AIM} s: {'met' if first <= _AIM else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
