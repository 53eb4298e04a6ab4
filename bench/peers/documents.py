"""One document a hop, durably: SQLite with WAL and FULL; the writes of threads that wait are committed together.

Imported by the workers of the peers, so by nothing of ours.
"""

import sqlite3
import threading
import time
from pathlib import Path

HOPS = 4
BODY = "x" * 700  # as long as the events of bench.chain
_MAKE = """
CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, chain TEXT, hop INTEGER, body TEXT, runs INTEGER, at REAL)
"""
# A hop that runs a second time is counted, so that the benchmark sees it.
_KEEP = "INSERT INTO documents VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (id) DO UPDATE SET runs = runs + 1"


def opened(path: Path) -> sqlite3.Connection:
    """Open the one file that all workers write to."""
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=60)
    database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_MAKE}")
    return database


class Documents:
    """The writer of one process, for all its threads."""

    def __init__(self, path: Path) -> None:
        self._database = opened(path)
        self._committing = threading.Lock()
        self._waiting: list[tuple[tuple[str, str, int, str, float], threading.Event]] = []

    def keep(self, chain: str, hop: int, body: str) -> None:
        """Return when it is on the disk. The first thread that gets to write takes what all others wait for."""
        on_disk = threading.Event()
        self._waiting.append(((f"{chain}-{hop}", chain, hop, body, time.time()), on_disk))
        with self._committing:
            if on_disk.is_set():
                return
            taken, self._waiting = self._waiting, []
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(_KEEP, [row for row, _ in taken])
            self._database.execute("COMMIT")
        for _, event in taken:
            event.set()
