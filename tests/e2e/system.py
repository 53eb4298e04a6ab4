"""A whole running system in processes of its own: random port, empty folder; it can be killed and started again."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.credentials import make_secrets, read_conf
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.keys import Keys
from firsthand.shared.topology import SERVICES, Placement
from tests.e2e.warm import Nursery, WarmProcess
from tests.patience import PATIENCE
from tests.ports import free_port

# From where each prefix leads (the ports change as replicas come and go) to the one address.
ReverseProxy = Callable[[dict[str, list[int]]], AbstractAsyncContextManager[str]]

COMMAND = ("firsthand.services",)  # `python -m firsthand.services` is `firsthand`
THIS_CODE = Path(__file__).parents[2]
NURSERY = Nursery()
_READY_WITHIN = 100.0  # seconds; a loaded machine of two cores that starts eight processes at once


def unique(name: str) -> str:
    """Give an institution of one test a slug that no other test has: they share a system."""
    return f"{name}-{secrets.token_hex(3)}"


@dataclass
class Program:
    """One `firsthand` process."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    ready_url: str
    log: Path
    launched: tuple[str, ...] = COMMAND  # the module that is run, and what it is given before the arguments
    code: Path = THIS_CODE  # the folder of the release that it runs; another one from the next start
    process: asyncio.subprocess.Process | WarmProcess | None = field(default=None, repr=False)

    async def start(self, *, cold: bool = False) -> None:
        """Start it, from a process that has loaded this code already unless it is to be `cold`."""
        if self.code == THIS_CODE and self.launched == COMMAND and not cold:
            self.process = NURSERY.start(self.arguments, self.environment, self.log)
            await self.until_ready()
            return
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._module(), *self.arguments, cwd=self.code,
                env=self.environment | {"PYTHONPATH": str(self.code)}, stdout=log, stderr=log,
            )  # fmt: skip
        await self.until_ready()

    def _module(self) -> tuple[str, ...]:
        """What runs it: until 0.1.0 the packages stood beside each other, without one around them."""
        return ("services",) if not (self.code / "firsthand").is_dir() else self.launched

    async def until_ready(self) -> None:
        assert self.process
        async with httpx.AsyncClient() as http, asyncio.timeout(_READY_WITHIN):
            while True:
                assert self.process.returncode is None, f"it ended: {self.log.read_text()[-3000:]}"
                try:
                    answer = await http.get(self.ready_url)
                    if answer.status_code == httpx.codes.OK or (self.code != THIS_CODE and _lacks_only(answer)):
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    def hold(self) -> None:
        """Stop it where it is, as a machine without room or a debugger does; `go_on` lets it run again."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """Ask it to end, as an operator does; gives its exit code."""
        assert self.process
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGCONT)  # one that is held hears nothing
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


def _lacks_only(answer: httpx.Response) -> bool:
    """Tell whether a service of 0.1.0 works: a newer release's topology alone keeps its readiness at 503."""
    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return False
    problems: list[str] = answer.json().get("problems", [])
    return bool(problems) and all(" instead of " in problem for problem in problems)


class Servers(Protocol):
    """One nats-server or several that act as one. Made of a folder and a configuration that `secrets make` wrote."""

    @property
    def url(self) -> str:
        """The addresses, comma-separated, for a user who may do everything."""
        ...

    async def start(self) -> str: ...
    async def stop(self) -> None: ...


@dataclass
class System:
    """What a test drives: its address, its folder, its keys and its processes."""

    url: str
    data: Path
    programs: dict[str, Program]
    nats: Servers | None = None
    routes: dict[str, list[int]] = field(default_factory=dict)  # the ports that the proxy leads a prefix to, in turn

    @property
    def keys(self) -> Keys:
        return Keys.load(self.data / "keys", {})

    @property
    def everything(self) -> Program:
        return self.programs["up"]


class ServerWithUsers(EmbeddedNats):
    """The embedded server, which besides its own user has those of a configuration that `secrets make` wrote."""

    def __init__(self, folder: Path, conf: Path) -> None:
        super().__init__(folder, free_port())
        self._users = read_conf(conf.read_text(encoding="utf-8"))["authorization"]["users"]

    def _config(self) -> dict[str, Any]:
        config = super()._config()
        return config | {"authorization": {"users": [config["authorization"], *self._users]}}


def _environment(data: Path, port: int, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
    ours = {"FIRSTHAND_DATA": str(data), "FIRSTHAND_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    return inherited | ours | more


@asynccontextmanager
async def all_in_one(
    folder: Path, code: Path = THIS_CODE, launched: tuple[str, ...] = COMMAND, *, cold: bool = False
) -> AsyncIterator[System]:
    """`firsthand up` on an empty folder; `code` names the folder of the code that runs, `launched` its program.

    `cold`: started as an operator starts it, and not from a process that has loaded the code already.
    """
    port = free_port()
    url, data = f"http://127.0.0.1:{port}", folder / "data"
    program = Program(("up",), _environment(data, port), f"{url}/readyz", folder / "up.log", launched, code)
    await program.start(cold=cold)
    try:
        yield System(url, data, {"up": program})
    finally:
        await program.stop()


@asynccontextmanager
async def apart(
    folder: Path,
    *,
    mongo_url: str = "",
    replicas: Mapping[str, int] | None = None,
    joined_by: ReverseProxy | None = None,
    servers: Callable[[Path, Path], Servers] = ServerWithUsers,
    stream_replicas: int = 1,
    code: Mapping[str, Path] | None = None,
    cold: bool = False,
) -> AsyncIterator[System]:
    """Every service as a process with its own secrets, its NATS `servers`, and a reverse proxy that joins the prefixes.

    With a database that they share, a service may have several `replicas`: `consent`, `consent-2`, ... `code` names
    the folders of the releases that they begin with, by the same names; this tree's by default. `cold`: as above.
    """
    data = folder / "data"
    make_secrets(data, placement=Placement())
    nats = servers(folder / "nats", data / "nats.conf")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(nats.stop)
        await apply(BusSettings(url=await nats.start(), replicas=stream_replicas))
        places = ",".join(f"nats://{server.rpartition('@')[2]}" for server in nats.url.split(","))
        routes = {service: [free_port() for _ in range((replicas or {}).get(service, 1))] for service in SERVICES}
        url = await stack.enter_async_context((joined_by or small_proxy)(routes))
        programs = {
            f"{service}-{n}" if n > 1 else service: Program(
                ("serve", service),
                _environment(
                    data,
                    port,
                    FIRSTHAND_NATS_URL=places,
                    FIRSTHAND_STREAM_REPLICAS=str(stream_replicas),
                    FIRSTHAND_PUBLIC_URL=url,
                    FIRSTHAND_PROXIED=str(joined_by is not None),
                    FIRSTHAND_SECRETS_DIR=str(data / service),
                    FIRSTHAND_KEYS_DIR=str(data / service),
                    FIRSTHAND_MONGO_URL=mongo_url,
                ),
                f"http://127.0.0.1:{port}/{service}/readyz",
                folder / (f"{service}-{n}.log" if n > 1 else f"{service}.log"),
                code=(code or {}).get(f"{service}-{n}" if n > 1 else service, THIS_CODE),
            )
            for service, ports in routes.items()
            for n, port in enumerate(ports, 1)
        }
        try:
            await asyncio.gather(*(program.start(cold=cold) for program in programs.values()))
            yield System(url, data, programs, nats, routes)
        finally:
            await asyncio.gather(*(program.stop() for program in programs.values() if program.process))


@asynccontextmanager
async def small_proxy(routes: dict[str, list[int]]) -> AsyncIterator[str]:
    """Join the prefixes under one address, which is given; replicas take turns."""
    proxy = await asyncio.start_server(lambda r, w: _join(routes, r, w), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    finally:
        proxy.close()


async def _join(routes: dict[str, list[int]], client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
    """Pass one request to a replica of the service whose prefix it names, as a reverse proxy does."""
    try:
        head = await client.readuntil(b"\r\n\r\n")
        service = head.split(b" ", 2)[1].split(b"/")[1].split(b"?")[0].decode()
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        server, request = await _reached(routes.get(service, routes["portal"]))
        request.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        upstream = asyncio.create_task(_pipe(client, request))
        await _pipe(server, answer)
        upstream.cancel()
        request.close()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        answer.close()


async def _reached(ports: list[int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the next replica in turn, past those that are not there. Raises OSError when none is."""
    for _ in range(len(ports)):
        ports.append(port := ports.pop(0))
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
    raise ConnectionRefusedError


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while block := await source.read(4096):
        sink.write(block)
        await sink.drain()
