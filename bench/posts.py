"""100,000 posts imported by `firsthand import posts` into a running system: posts a second, and memory on both sides.

Aim: flat memory (both processes grow by less than 64 MB). Floor: the same file, the same bare parser (`ijson`), one
bare SQLite transaction (WAL, FULL) a batch of 1000 rows.
"""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import ijson

from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from tests.e2e.system import System, all_in_one

_POSTS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
_GROWTH = 64  # MB


def _write(path: Path, posts: int) -> None:
    """Invented statuses as a hashtag timeline returns them, one array."""
    with path.open("w") as file:
        for number in range(posts):
            account = {"acct": f"person{number % 40_000}", "url": f"https://social.example/@person{number % 40_000}"}
            status = {
                "id": str(number),
                "url": f"https://social.example/@person{number % 40_000}/{number}",
                "created_at": "2026-11-01T10:00:00.000Z",
                "language": "en",
                "visibility": "public",
                "sensitive": False,
                "content": f"<p>Surgery day {number}. <a href='x'>#cleftlip</a> {'word ' * 60}</p>",
                "tags": [{"name": "cleftlip", "url": "https://social.example/tags/cleftlip"}],
                "account": account | {"bot": False, "locked": False, "noindex": False, "display_name": "Somebody"},
            }
            file.write(("[" if number == 0 else ",") + json.dumps(status))
        file.write("]")


def floor(file: Path, folder: Path) -> float:
    """Posts a second of the bare parser and the bare driver."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE posts (id TEXT PRIMARY KEY, body TEXT)"
    )
    started = time.perf_counter()
    rows: list[tuple[str, str]] = []

    def keep() -> None:
        database.execute("BEGIN")
        database.executemany("INSERT INTO posts VALUES (?, ?)", rows)
        database.execute("COMMIT")
        rows.clear()

    with file.open("rb") as posts:
        for status in ijson.items(posts, "item"):
            rows.append((status["url"], status["content"]))
            if len(rows) == 1000:
                keep()
    keep()
    took = time.perf_counter() - started
    (count,) = database.execute("SELECT count(*) FROM posts").fetchone()
    assert count == _POSTS
    database.close()
    return _POSTS / took


def _resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def _import(system: System, file: Path, token: str) -> tuple[float, float]:
    """Seconds that it took, and the most memory (MB) that the command used."""
    started = time.perf_counter()
    arguments = ("import", "posts", str(file), "--case", "CLP", "--token", token, "--url", system.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firsthand.services", *arguments, stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
    )
    most = 0.0
    while process.returncode is None:
        try:
            most = max(most, _resident(process.pid))
            await asyncio.wait_for(process.wait(), 0.5)
        except (TimeoutError, FileNotFoundError, StopIteration):
            continue
    assert process.returncode == 0
    return time.perf_counter() - started, most


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, small = folder / "posts.json", folder / "small.json"
        _write(file, _POSTS)
        bare = await asyncio.to_thread(floor, file, folder)
        async with (
            all_in_one(folder) as system,
            play.school(system.url, system.keys, SystemClock(), "bench-dental") as school,
        ):
            await play.open_case(school)
            body = {"label": "bench", "days": 1}
            path = "/portal/api/v1/institutions/bench-dental/tokens"
            token = (await school.operator.call("POST", path, body))["token"]
            assert system.everything.process
            pid = system.everything.process.pid
            _write(small, 2000)
            _, command_before = await _import(system, small, token)
            before = _resident(pid)
            took, command_after = await _import(system, file, token)
            grown, command_grown = _resident(pid) - before, command_after - command_before
            case = await school.tutor.call("GET", f"/discovery/api/v1/cases/{school.case_id}")
            assert case["waiting"] == _POSTS, case["waiting"]
    ours = _POSTS / took
    print(f"posts  floor {bare:.0f} posts/s   ours {ours:.0f} posts/s   ratio {ours / bare:.2f}")
    print(f"       memory grown: system {grown:.0f} MB, command {command_grown:.0f} MB", end="   ")
    print(f"aim {_GROWTH} MB: {'met' if max(grown, command_grown) < _GROWTH else 'MISSED'}")


if __name__ == "__main__":
    asyncio.run(main())
