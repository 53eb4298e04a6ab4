"""The one writer: a thread that commits all writes waiting together, so that one disk flush serves many."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from firsthand.shared.store import StoreError, StoreUnavailable
from firsthand.shared.store.sqlite_file import unavailable

R = TypeVar("R")


@dataclass(slots=True)
class _Write:
    """One write waiting. `apply` raises StoreError when the write is refused, having then changed nothing."""

    apply: Callable[[sqlite3.Connection], Any]
    future: "asyncio.Future[Any]"
    leaves_event: bool
    alone: bool  # outside of any transaction
    settled: Callable[[bool], None] | None  # told in the event loop whether it is committed, whoever still waits
    outcome: Any = None  # what `apply` returned, or the exception to raise


class Writer:
    """Runs writes in order of arrival, many in one transaction, each with its own outcome.

    Writes made in one turn of the event loop are handed over together; what arrives while a commit is on its way to
    the disk makes up the next one.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, left_event: Callable[[], None]) -> None:
        """Start the thread. `left_event` is called in the event loop after a commit that left events."""
        self._connection = connection
        self._path = path
        self._left_event = left_event
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Write] = []
        self._batches: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._closing = False
        self._in_hand = 0  # writes of which nobody was told how they ended
        self._since = 0.0  # the loop's time when the oldest of them came, or the ones before it were done
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    async def write(
        self,
        apply: Callable[[sqlite3.Connection], R],
        *,
        leaves_event: bool = False,
        settled: Callable[[bool], None] | None = None,
    ) -> R:
        """Run `apply` in the next transaction; return after its commit. Raises what it raised, or StoreUnavailable."""
        return await self._put(apply, leaves_event=leaves_event, settled=settled)

    async def alone(self, call: Callable[[sqlite3.Connection], R]) -> R:
        """Run `call` outside of any transaction, after the writes that came before it."""
        return await self._put(call, alone=True)

    async def close(self) -> None:
        """Commit what is waiting, refuse what comes later, end the thread."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._batches.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def behind(self) -> float:
        """Tell for how many seconds the oldest writes have waited."""
        return self._loop.time() - self._since if self._in_hand else 0.0

    def _put(
        self,
        apply: Callable[[sqlite3.Connection], R],
        *,
        leaves_event: bool = False,
        alone: bool = False,
        settled: Callable[[bool], None] | None = None,
    ) -> "asyncio.Future[R]":
        if self._closing:
            raise StoreUnavailable(f"{self._path}: the store is closing")
        if not self._waiting:
            self._loop.call_soon(self._hand_over)
        if not self._in_hand:
            self._since = self._loop.time()
        self._in_hand += 1
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append(_Write(apply, future, leaves_event, alone, settled))
        return future

    def _hand_over(self) -> None:
        if self._waiting:
            self._batches.put(self._waiting)
            self._waiting = []

    def _run(self) -> None:
        open_ = True
        while open_:
            batch: list[_Write] = []
            handed = self._batches.get()
            while handed is not None:
                batch += handed
                if self._batches.empty():
                    break
                handed = self._batches.get()
            open_ = handed is not None
            if batch:
                self._commit([write for write in batch if not write.alone])
                for write in batch:
                    if write.alone:
                        self._run_alone(write)
                try:
                    self._loop.call_soon_threadsafe(self._tell, batch)
                except RuntimeError:  # the event loop is gone, and with it everybody who waits
                    return

    def _commit(self, batch: list[_Write]) -> None:
        """Run a batch in one transaction; if a single write breaks it, run them one by one to find which."""
        if not batch:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for write in batch:
                try:
                    write.outcome = write.apply(self._connection)
                except StoreError as refused:
                    # Without its traceback, which names this frame and so keeps the whole batch from being freed.
                    write.outcome = refused.with_traceback(None)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait, not to the thread
            self._undo()
            told = unavailable(error, self._path)
            if told is None and len(batch) > 1:
                for write in batch:
                    self._commit([write])
                return
            for write in batch:
                write.outcome = type(told)(str(told)) if told else error

    def _run_alone(self, write: _Write) -> None:
        try:
            write.outcome = write.apply(self._connection)
        except Exception as error:  # noqa: BLE001 - as above
            write.outcome = unavailable(error, self._path) or error

    def _undo(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                return  # the next BEGIN tells, to those who then wait

    def _tell(self, batch: list[_Write]) -> None:
        """Resolve the futures of a batch, in the event loop."""
        left_event = False
        self._in_hand -= len(batch)
        self._since = self._loop.time()
        for write in batch:
            failed = isinstance(write.outcome, BaseException)
            left_event = left_event or (write.leaves_event and not failed)
            if write.settled:
                write.settled(not failed)
            if write.future.done():  # whoever waited has gone
                continue
            if failed:
                write.future.set_exception(write.outcome)
            else:
                write.future.set_result(write.outcome)
        if left_event:
            self._left_event()
