"""CPU and memory of `firsthand up` at rest, with the example loaded. Aim: 2 % of a core, 250 MB.

Floor: the embedded nats-server alone, measured in the same run; the sum counts both processes.
"""

import asyncio
import os
import tempfile
from pathlib import Path

from firsthand.example.institution import load_example
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from tests.e2e.system import all_in_one

_SETTLE = 10  # seconds after loading
_WATCH = 30  # seconds of rest that are measured
_TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _megabytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _at_rest(pids: list[int]) -> tuple[float, float]:
    before = sum(map(_cpu_seconds, pids))
    await asyncio.sleep(_WATCH)
    return 100 * (sum(map(_cpu_seconds, pids)) - before) / _WATCH, sum(map(_megabytes, pids))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedNats(Path(folder) / "floor")
        await server.start()
        assert server.pid
        floor_cpu, floor_memory = await _at_rest([server.pid])
        await server.stop()
        async with all_in_one(Path(folder)) as system:
            await load_example(system.url, system.keys, SystemClock(), lambda _: None)
            await asyncio.sleep(_SETTLE)
            assert system.everything.process
            pid = system.everything.process.pid
            cpu, memory = await _at_rest([pid, *_children(pid)])
    print(f"idle   floor (nats-server alone) {floor_cpu:.1f} % of a core, {floor_memory:.0f} MB")
    print(f"       firsthand up {cpu:.1f} % of a core, {memory:.0f} MB, nats-server included")
    print(f"       aim 2 %, 250 MB: {'met' if cpu <= 2 and memory <= 250 else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
