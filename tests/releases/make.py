"""Make the fixtures of a release: documents of every kind, as its code stores them.

    python -m tests.releases.make 0.2.0 [--code FOLDER]

FOLDER holds the release's code, e.g. from `git archive`; without it, this tree's is run. `firsthand up --example` plays
the invented school in a temporary folder, and what the databases then hold is written to tests/releases/<release>/, a
file a database. Sealed fields and wrapped keys stay as they are; the keys that would open them are thrown away.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
_MOST: Final = 4  # documents a kind
Fixtures = dict[str, list[dict[str, Any]]]  # by kind


async def make(release: str, code: Path) -> None:
    """Play, and write what is stored. Says which kinds have no document."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        await _play(code, data)
        files = {file.stem: file for file in sorted((data / "db").glob("*.db"))}
        files |= {f"{file.stem}.keys": file for file in sorted((data / "keys").glob("*.db"))}
        target = HERE / release
        target.mkdir(exist_ok=True)
        for name, file in files.items():
            written = target / f"{name}.json"
            kept = {kind: [json.loads(body) for body in bodies] for kind, bodies in _stored(file)}
            written.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            for kind, documents in kept.items():
                _say(f"{written.relative_to(ROOT)}: {kind}, {len(documents)} documents")
                if not documents:
                    _say("    none: play more in tests/releases/make.py")


async def _play(code: Path, data: Path) -> None:
    """Run the example, and besides it what the example does not leave behind."""
    from firsthand.example import journey as play  # of this tree: it goes over HTTP, as any client
    from firsthand.shared.clock import SystemClock
    from firsthand.shared.keys import Keys
    from tests.ports import free_port

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
    environment = {"FIRSTHAND_DATA": str(data), "FIRSTHAND_PORT": str(port), "PYTHONPATH": str(code)}
    system = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firsthand.services", "up", "--example", cwd=code, env=inherited | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert system.stdout
    reading = None
    try:
        async with asyncio.timeout(300):
            async for line in system.stdout:
                _say(line.decode().rstrip())
                if b"withdrawn and erased" in line:
                    break
        reading = asyncio.create_task(system.stdout.read())
        async with play.school(url, Keys.load(data / "keys", {}), SystemClock(), "oak-dental") as school:
            await play.open_case(school)
            journey = await play.clear(school, await play.nominate(school, "someone.example"))
            await play.send_first_message(journey)
            await play.log_answer(journey, "yes")
            async with play.open_link(journey):
                await play.decide(journey)
                await play.book(journey)
                await play.hold(journey)
                await play.upload(journey)
                await play.release(journey)
                await play.watch(journey)
    finally:
        with contextlib.suppress(ProcessLookupError):
            system.terminate()
        await asyncio.gather(system.wait(), *([reading] if reading else []))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _stored(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the documents to keep of each kind in a database: the longest, the shortest, and some between."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(tables):
            if table.startswith("sqlite_") or table == "outbox":
                continue
            bodies = [body for (body,) in database.execute(f'SELECT body FROM "{table}" ORDER BY length(body), id')]  # noqa: S608
            last = len(bodies) - 1
            chosen = sorted({round(n * last / (_MOST - 1)) for n in range(_MOST)}) if bodies else []
            yield table, [bodies[n] for n in chosen]


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m tests.releases.make", description=__doc__.partition("\n")[0])
    arguments.add_argument("release", help="its number, e.g. 0.2.0")
    arguments.add_argument("--code", type=Path, default=ROOT, help="the folder of its code (this tree)")
    given = arguments.parse_args()
    asyncio.run(make(given.release, given.code.resolve()))


if __name__ == "__main__":
    main()
