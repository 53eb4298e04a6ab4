"""The process around a deployment: its port, its folder, the embedded NATS server, and an orderly end."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn

from firsthand.shared.deployment import Deployment, Progress
from firsthand.shared.disk import Disk
from firsthand.shared.embedded_nats import EmbeddedNats, FolderInUse, NatsNotStarted
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.tasks import ended
from firsthand.shared.web.connection import BoundedProtocol

# Open players and live pages are given this long when the process ends; they come back by themselves.
_PARTING_SECONDS = 3


def bound_socket(settings: Settings) -> socket.socket:
    """Take the port now, so that a port in use is told before anything else starts. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"Port {settings.port} on {settings.host} is taken. End the other program, or choose another port: "
                f"FIRSTHAND_PORT={settings.port + 1}"
            ) from error
        raise CannotStart(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.") from error
    return bound


def raise_file_limit() -> None:
    """Let this process open as many files as it may: each connection, database and recording takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems name a limit that they do not give
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def usable_folder(folder: Path) -> None:
    """Make the data folder if need be. Raises CannotStart when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"Cannot write to the data folder {folder}: {error.strerror}. Choose another one: FIRSTHAND_DATA=/a/folder"
        ) from error


@contextlib.asynccontextmanager
async def embedded_nats(settings: Settings, progress: Progress) -> AsyncIterator[Settings]:
    """Give settings with a NATS address: the one that is set, or that of an embedded server for as long as needed."""
    if settings.nats_url:
        yield settings
        return
    progress("starting the NATS server")
    server = EmbeddedNats(settings.nats)
    try:
        url = await server.start()
    except FolderInUse as error:
        raise CannotStart(
            f"Firsthand runs already on the data folder {settings.data}. End it first, or choose another folder: "
            "FIRSTHAND_DATA=/a/folder"
        ) from error
    except NatsNotStarted as error:
        raise CannotStart(str(error)) from error
    disk = Disk((settings.nats,), settings.disk_reserve)
    watches = [
        asyncio.create_task(server.supervise()),
        asyncio.create_task(server.renew_after_full_disk(lambda: not disk.amiss()[0])),
    ]
    try:
        yield settings.model_copy(update={"nats_url": url})
    finally:
        await ended(watches)
        await server.stop()


class WebServer(uvicorn.Server):
    """uvicorn on a socket that is bound already."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        super().__init__(
            uvicorn.Config(
                deployment.app,
                http=BoundedProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_PARTING_SECONDS,
                timeout_keep_alive=30,
            )
        )

    async def serve_until_ended(self, sock: socket.socket) -> None:
        """Serve until SIGTERM or Ctrl-C. Raises CannotStart when the connection to NATS is closed for good."""
        serving = asyncio.create_task(self.serve([sock]))
        broken = asyncio.create_task(self._deployment.broken())
        try:
            await asyncio.wait([serving, broken], return_when=asyncio.FIRST_COMPLETED)
            self.should_exit = True
            await serving
        finally:
            broken.cancel()
        if broken.done() and not broken.cancelled():
            raise CannotStart("The connection to NATS is closed for good; start Firsthand again.")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order at the first signal. uvicorn would raise it again afterwards, in the middle of our draining."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def until_started(self) -> None:
        while not self.started:
            if self.should_exit:
                raise CannotStart("The web server did not start; the log says why.")
            await asyncio.sleep(0.01)
