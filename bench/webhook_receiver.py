"""A receiver that does next to nothing: `python -m bench.webhook_receiver <count>` prints its port and takes it all.

Once so many came it prints how many of them were different, and when the first and the last one came (monotonic).

What is posted to `/hang` is never answered; what is posted to `/well` is taken, and not counted.

`GET /times` answers when each `webhook-id` came first.
"""

import asyncio
import json
import sys
import time

import uvloop

_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection."""

    came: dict[str, float] = {}
    wanted = 0
    done: asyncio.Event

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1").lower()
            headers = dict(line.partition(": ")[::2] for line in head.split("\r\n")[1:])
            length = int(headers.get("content-length", "0"))
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith("get /times"):
                body = json.dumps(self.came).encode()
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                continue
            if head.startswith(("post /hang", "post /well")):  # not counted
                if head.startswith("post /well"):
                    self._transport.write(_TAKEN)
                continue
            self.came.setdefault(f"{head.split(' ')[1]} {headers['webhook-id']}", time.monotonic())
            self._transport.write(_TAKEN)
            if len(self.came) == self.wanted:
                self.done.set()


async def main() -> None:
    Receiver.wanted, Receiver.done = int(sys.argv[1]), asyncio.Event()
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await Receiver.done.wait()
    times = sorted(Receiver.came.values())
    print(len(times), times[0], times[-1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
