"""A webhook consumer's server on a random port of the loopback: it keeps what it is sent and answers as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from tests.patience import PATIENCE


@dataclass(frozen=True)
class Received:
    """One request; names of headers in small letters."""

    target: str
    headers: dict[str, str]
    body: bytes
    connection: int  # which of the server's connections brought it, from 1


@dataclass
class Reply:
    """What is answered. `raw`: these bytes, whatever they are, and the connection is closed."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: Callable[[], Awaitable[object]] | None = None  # awaited first
    raw: bytes | None = None

    def bytes(self) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} Told", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, f"content-length: {len(self.body)}", "", ""]).encode() + self.body


class Receiver:
    """Answers 200 unless `replies` holds something else, the first one first; `always` holds for all."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.replies: list[Reply] = []
        self.always = Reply()
        self.connections = 0
        self.url = ""
        self._changed = asyncio.Condition()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        receiver = cls()
        tasks: set[asyncio.Task[None]] = set()

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            receiver.connections += 1
            task = asyncio.create_task(receiver._serve(reader, writer, receiver.connections))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        try:
            yield receiver
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def got(self, count: int) -> list[Received]:
        """Wait until so many requests came."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                reply = self.replies.pop(0) if self.replies else self.always
                async with self._changed:
                    self.received.append(Received(head[0].split(" ")[1], headers, body, number))
                    self._changed.notify_all()
                if reply.after:
                    await reply.after()
                writer.write(reply.bytes())
                await writer.drain()
                if reply.raw is not None:
                    break
        writer.close()


__all__ = ["Received", "Receiver", "Reply"]
