"""One SQLite file at work: who reads where, who writes, and how it ends.

Writes go through one thread that commits all that wait together. A point read is answered at once in the event loop:
some microseconds from the file cache, less than handing it to a thread and back. Pages are read in a thread, one after
the other, because two threads that parse are slower than one; what walks through all rows, such as a count, has a
thread of its own, so that no page waits for it. WAL lets all of them see the last commit without waiting for the next.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from firsthand.shared.clock import Clock
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.sqlite_file import BUSY_MILLISECONDS, FileLock, connect, unavailable
from firsthand.shared.store.sqlite_remembered import Nothing, Remembered
from firsthand.shared.store.sqlite_writer import Writer

R = TypeVar("R")

_COMPACT_TRIES = 100
_COMPACT_PAUSE = 0.05  # seconds between two tries, so that readers under way can end and writers go on


class Reader:
    """A thread with a connection of its own, which reads one thing after the other."""

    def __init__(self, path: Path, what: str) -> None:
        self._connection = connect(path)
        self._thread = ThreadPoolExecutor(1, f"{what} of {path.name}")

    async def run(self, read: Callable[[sqlite3.Connection], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, read, self._connection)

    async def close(self) -> None:
        """Let the reads under way end."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._connection.close()


class Database:
    """The connections to one file, which this process alone holds from here to `close`."""

    def __init__(self, path: Path, clock: Clock, *, remembers: bool = True) -> None:
        """Open or make the file. Raises StoreUnavailable with what is wrong and what to do."""
        self.path = path
        self.remembered = Remembered() if remembers else Nothing()
        self._lock = FileLock(path, clock)
        try:
            self._here = connect(path)
            self._writing = connect(path)
            self._pages, self._walks = Reader(path, "pages"), Reader(path, "walks")
        except (sqlite3.Error, OSError) as error:
            self._lock.release()
            raise unavailable(error, path) or StoreUnavailable(f"{path}: it cannot be opened ({error})") from error
        self._wakes: list[Callable[[], None]] = []
        self._writer = Writer(self._writing, path, self._wake)
        self._closed = False

    def on_event_left(self, wake: Callable[[], None]) -> None:
        """Register what is called in the event loop after a commit that left events."""
        self._wakes.append(wake)

    async def write(
        self,
        apply: Callable[[sqlite3.Connection], R],
        *,
        leaves_event: bool = False,
        settled: Callable[[bool], None] | None = None,
    ) -> R:
        """Run `apply` in the next transaction and return after its commit.

        `apply` raises StoreError to refuse, having changed nothing. Raises that, or StoreUnavailable. `settled` is told
        in the event loop whether it is committed, also when nobody waits for it any more.
        """
        return await self._writer.write(apply, leaves_event=leaves_event, settled=settled)

    def behind(self) -> float:
        """Tell for how many seconds the writes that are in the writer's hands have waited."""
        return self._writer.behind()

    def point(self, sql: str, values: tuple[Any, ...]) -> Any:
        """Give the first row of a read by a key or an index, or None; here, in the event loop."""
        self._refuse_if_closed()
        try:
            return self._here.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise unavailable(error, self.path) or error from error

    def here(self, read: Callable[[sqlite3.Connection], R]) -> R:
        """Run a read of a few rows in the event loop. It fetches all."""
        self._refuse_if_closed()
        try:
            return read(self._here)
        except sqlite3.Error as error:
            raise unavailable(error, self.path) or error from error

    async def read(self, read: Callable[[sqlite3.Connection], R]) -> R:
        """Run a read of as many rows as a page has in a thread. It fetches all, so that no snapshot stays open."""
        return await self._read(self._pages, read)

    async def walk(self, read: Callable[[sqlite3.Connection], R]) -> R:
        """Run a read that may go through all rows, as `read` does."""
        return await self._read(self._walks, read)

    async def _read(self, reader: "Reader", read: Callable[[sqlite3.Connection], R]) -> R:
        self._refuse_if_closed()
        try:
            return await reader.run(read)
        except sqlite3.Error as error:
            raise unavailable(error, self.path) or error from error

    async def compact(self) -> None:
        """Move the write-ahead log into the file and cut it to nothing.

        Tried again while a reader is in an older snapshot; StoreUnavailable when one stays for seconds.
        """
        for _ in range(_COMPACT_TRIES):
            if await self._writer.alone(_truncate_log):
                return
            await asyncio.sleep(_COMPACT_PAUSE)
        raise StoreUnavailable(f"{self.path}: another program keeps reading it; close that program")

    async def close(self) -> None:
        """Commit what waits, let readers end, close and let the next process in."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self.remembered.clear()
        await asyncio.gather(self._pages.close(), self._walks.close())
        self._here.close()
        self._writing.close()
        self._lock.release()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self.path}: the store is closed")

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()


def _truncate_log(connection: sqlite3.Connection) -> bool:
    """Checkpoint with truncation; False when a reader is in the way. Waits for none, so that writers do not wait."""
    connection.execute("PRAGMA busy_timeout=0")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    return not busy
