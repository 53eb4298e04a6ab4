"""The database's file: one process at a time holds it; its errors are told in plain words."""

import fcntl
import os
import sqlite3
from pathlib import Path

from firsthand.shared.clock import Clock
from firsthand.shared.store import NoRoom, StoreUnavailable

BUSY_MILLISECONDS = 2000  # nobody else writes; only another program looking into the file can make us wait

# What is wrong with the place rather than with the statement (primary result codes): everybody waiting is refused.
_REASONS = {
    sqlite3.SQLITE_READONLY: "it may not be written; check the permissions of the file and its folder",
    sqlite3.SQLITE_PERM: "it may not be opened; check the permissions of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the permissions of the file and its folder",
    sqlite3.SQLITE_AUTH: "it may not be opened; check the permissions of the file and its folder",
    sqlite3.SQLITE_BUSY: "it is locked by another program; close that program",
    sqlite3.SQLITE_LOCKED: "it is locked by another program; close that program",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write; check its room and its health",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; restore it from a backup",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_PROTOCOL: "it is locked by another program; close that program",
}


def unavailable(error: BaseException, path: Path) -> StoreUnavailable | None:
    """Say what is wrong with the place; None when the error is about a statement or its values."""
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return NoRoom(f"{path}: the disk is full; make room ({error})")
    reason = _REASONS.get(code)
    return StoreUnavailable(f"{path}: {reason} ({error})") if reason else None


class FileLock:
    """An exclusive lock on `<file>.lock`, held for life. It dies with the process, however that ends."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Take the lock. Raises StoreUnavailable when another process has it or the folder cannot be written."""
        lock = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{path}: the folder cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise StoreUnavailable(f"{path}: in use by {holder or 'another process'}; stop that one first") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} since {clock.now():%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)

    def release(self) -> None:
        """Let the next process in. The file stays: removing it would let two processes lock two files of one name."""
        os.close(self._descriptor)


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection in autocommit mode that may be used by any one thread at a time."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would create it readable by others
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=4000")  # pages of 4 KiB; what is often saved is carried over once
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA temp_store=MEMORY")  # a sort must not leave bodies in a temporary file
    return connection
