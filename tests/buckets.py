"""A real S3 server for tests, and a way to it that can be cut, or made slow.

`FIRSTHAND_TEST_S3_URL=http://<key id>:<secret>@<host>:<port>/<bucket>` names it; `.ci/s3` builds and starts one.
Without it these tests are skipped and say so.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from tests.ports import free_port

URL_SETTING: Final = "FIRSTHAND_TEST_S3_URL"


@dataclass(frozen=True)
class S3Server:
    """Where the server is, and a prefix of one test's own in its bucket."""

    url: str
    prefix: str

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 80

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).path.strip("/")

    @property
    def store(self) -> S3Store:
        """The test's own look at the objects."""
        told = self.settings(self.port)
        return S3Store(
            self.bucket,
            prefix=self.prefix,
            endpoint=told["media_endpoint"],
            access_key_id=told["media_access_key_id"],
            secret_access_key=told["media_secret_access_key"],
            client_options={"allow_http": True},
        )

    def settings(self, port: int, **other: str) -> dict[str, str]:
        """What `Settings` is told, the server being reached at `port` of loopback."""
        parts = urlsplit(self.url)
        return {
            "media_url": f"s3://{self.bucket}/{self.prefix}",
            "media_endpoint": f"http://{parts.hostname}:{port}",
            "media_access_key_id": parts.username or "",
            "media_secret_access_key": parts.password or "",
            **other,
        }

    def objects(self) -> dict[str, bytes]:
        paths = [one["path"] for one in obstore.list(self.store).collect()]
        return {path: bytes(obstore.get(self.store, path).bytes()) for path in paths}


@dataclass
class Way:
    """A port that leads to the server while it is open. What was sent through it is counted."""

    target: int
    port: int = field(default_factory=free_port)
    from_server: int = 0  # bytes
    cut_after: int | None = None  # bytes from the server, after which the way is cut
    requests: list[bytes] = field(default_factory=list)  # first lines
    flowing: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: what is held does not go to the server
    held: Callable[[bytes], bool] = lambda _: True  # by the request's first line
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def restore(self) -> None:
        self.cut_after = None
        self._server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Nobody listens any more, and every connection is reset."""
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _lead(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        self._open |= {to_client, to_server}
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._up(client, to_server), self._down(server, to_client))
        self._open -= {to_client, to_server}
        for writer in (to_client, to_server):
            writer.transport.abort()

    async def _up(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        line = b""
        while piece := await client.read(65536):
            first = piece.partition(b"\r\n")[0]
            if first.endswith(b"HTTP/1.1"):
                line = first
                self.requests.append(line)
            if self.held(line):
                await self.flowing.wait()
            to_server.write(piece)
            await to_server.drain()
        to_server.transport.abort()

    async def _down(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while piece := await server.read(65536):
            self.from_server += len(piece)
            if self.cut_after is not None and self.from_server > self.cut_after:
                await self.cut()
                return
            to_client.write(piece)
            await to_client.drain()
        to_client.transport.abort()
