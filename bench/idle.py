"""Processor time and memory at rest. Aim: `firsthand up` 1 % of a core and 150 MB; each service by itself 60 MB.

`firsthand up` is measured with its nats-server: started again on the folder into which the example was loaded, and
before that, when it has just loaded it: then FFmpeg is in memory, which archive loads for the first recording that it
examines. Memory is what the kernel counts as resident (RSS), mapped files included; PSS counts what is shared once.

Floors, in the same run: the nats-server alone; an interpreter that has loaded the libraries, and nothing of ours.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firsthand.example.institution import load_example
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from tests.e2e.system import all_in_one, apart

_SETTLE: Final = 10  # seconds after loading or starting
_WATCH: Final = 30  # seconds of rest that are measured
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_AIM: Final = (1.0, 150.0)  # % of a core, MB
_AIM_ALONE: Final = 60.0  # MB
_LIBRARIES: Final = (
    "babel.dates", "cryptography", "fastapi", "faststream.nats", "jinja2", "joserfc.jwt", "pydantic_settings", "typer",
    "uvicorn", "uvloop",
)  # fmt: skip


@dataclass(frozen=True)
class Rest:
    """What processes take at rest, together."""

    cpu: float  # % of a core
    rss: float  # MB
    pss: float  # MB

    def __str__(self) -> str:
        return f"{self.cpu:.1f} % of a core, {self.rss:.0f} MB (PSS {self.pss:.0f})"


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _megabytes(pid: int, what: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) / 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _at_rest(*groups: list[int]) -> list[Rest]:
    """Watch groups of processes at the same time."""
    await asyncio.sleep(_SETTLE)
    before = [sum(map(_cpu_seconds, pids)) for pids in groups]
    await asyncio.sleep(_WATCH)
    return [
        Rest(
            100 * (sum(map(_cpu_seconds, pids)) - used) / _WATCH,
            sum(_megabytes(pid, "Rss") for pid in pids),
            sum(_megabytes(pid, "Pss") for pid in pids),
        )
        for pids, used in zip(groups, before, strict=True)
    ]


def _libraries() -> float:
    """Give the resident MB of an interpreter with the libraries."""
    told = "; print(open('/proc/self/status').read().partition('VmRSS:')[2].split()[0])"
    run = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(_LIBRARIES)}{told}"], capture_output=True, check=True
    )
    return int(run.stdout) / 1024


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedNats(Path(folder) / "floor")
        await server.start()
        assert server.pid
        (floor,) = await _at_rest([server.pid])
        await server.stop()
        async with all_in_one(Path(folder), cold=True) as system:
            await load_example(system.url, system.keys, SystemClock(), lambda _: None)
            everything = system.everything
            assert everything.process
            (loaded,) = await _at_rest([everything.process.pid, *_children(everything.process.pid)])
            await everything.stop()
            await everything.start(cold=True)
            (rest,) = await _at_rest([everything.process.pid, *_children(everything.process.pid)])
    print(f"idle   floors: nats-server alone {floor}; the libraries alone {_libraries():.0f} MB")
    print(f"       firsthand up {rest}, nats-server included; {loaded.rss:.0f} MB when it has examined recordings")
    met = rest.cpu <= _AIM[0] and rest.rss <= _AIM[1]
    print(f"       aim {_AIM[0]:.0f} %, {_AIM[1]:.0f} MB: {'met' if met else 'MISSED'}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with apart(Path(folder), cold=True) as system:
            pids = {name: program.process.pid for name, program in system.programs.items() if program.process}
            services = await _at_rest(*([pid] for pid in pids.values()))
    for name, alone in zip(pids, services, strict=True):
        print(f"       {name:<10} {alone}")
    most = max(alone.rss for alone in services)
    print(f"       aim {_AIM_ALONE:.0f} MB each: {'met' if most <= _AIM_ALONE else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
