"""Seconds until a command answers, beside a running `firsthand up`. Aim: 0.7 each.

Floor: an interpreter that loads what every command needs and does nothing. Processor time is steadier, and told beside.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.e2e.system import all_in_one

_ROUNDS: Final = 7
_AIM: Final = 0.7
_FLOOR: Final = ("-c", "import typer, rich.console, pydantic_settings, uvloop")
_COMMANDS: Final = (
    "--help",
    "--version",
    "keys create",
    "topology apply",
    "topology show",
    "dead-letters list",
    "doctor",
)


async def _took(arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run once; gives seconds by the clock and of the processor."""
    before, started = os.times(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0, arguments
    took, after = time.perf_counter() - started, os.times()
    return took, after.children_user + after.children_system - before.children_user - before.children_system


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with all_in_one(Path(folder)) as system:
            environment = system.everything.environment
            runs = {"floor": _FLOOR} | {one: ("-m", "firsthand.services", *one.split()) for one in _COMMANDS}
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
            for _ in range(_ROUNDS):
                for name, arguments in runs.items():
                    found[name].append(await _took(arguments, environment))
    slowest = 0.0
    for name, times in found.items():
        wall, cpu = (statistics.median(one[place] for one in times) for place in (0, 1))
        slowest = max(slowest, wall)
        spread = f"{min(took for took, _ in times):.2f} to {max(took for took, _ in times):.2f}"
        print(f"commands  {name:<18} {wall:.2f} s ({spread}), {cpu:.2f} s of the processor")
    print(f"          aim {_AIM} s: {'met' if slowest <= _AIM else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
