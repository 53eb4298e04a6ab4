"""The server's connections: the bounds of a request's head, and what a response may take back."""

import contextlib
import socket
import struct
from asyncio import TimerHandle, Transport
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# The request line and all header fields together. Browsers send a few kilobytes, most of it cookies.
HEAD_LIMIT: Final = 64 * 1024  # bytes
HEAD_WITHIN: Final = 20.0  # seconds from the connection, or from the first byte, to the end of the head

# The ASGI extension under which a response finds its connection.
EXTENSION: Final = "firsthand.connection"
_UNSENT: Final = 16 * 1024  # bytes that may lie in the system and are not yet sent
_SEND_BUFFER: Final = 64 * 1024  # bytes, where the system cannot tell the unsent from the sent
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: drop what is queued, then RST


class Connection:
    """One connection to a client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def hold_back(self) -> None:
        """Let each piece wait until the former one is on its way, so that `abort` leaves little behind.

        What the client has not yet room for stays with us. What is on its way is not bounded: with a small send buffer
        instead, a client 300 ms away would get 100 KB a second.
        """
        if self.is_closed:
            return
        self._transport.set_write_buffer_limits(high=0)
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is None:
            return
        with contextlib.suppress(OSError):  # the client has just left
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
            else:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is left to read a response."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """End the connection now. What waits in the process and in the system's send buffer is dropped, not sent."""
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is not None:
            with contextlib.suppress(OSError):  # the client has reset it
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        self._transport.abort()


class _HeadTooLargeError(Exception):
    """A request's head is longer than `HEAD_LIMIT`."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with bounds on what comes before a body; it shows each request its connection.

    uvicorn itself reads headers of any length for any time, and the parser copies a header each time that it grows.
    """

    head_within = HEAD_WITHIN

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._unread = 0  # bytes since the parser last got on: a head began, or a piece of a body came
        self._named = 0  # bytes of the request line and the header fields that were read
        self._in_head = False
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > HEAD_LIMIT:
            self._refuse(431, "The request's head is larger than 64 KiB.")
        elif self._in_head or self._is_idle():
            self._time_head()
        else:
            self._stop_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unread = self._named = 0
        self._in_head = True
        scope: Any = self.scope
        scope.setdefault("extensions", {})[EXTENSION] = Connection(self.transport)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if self._named > HEAD_LIMIT:
            self._refuse(431, "The request's head is larger than 64 KiB.")
        elif not self.transport.is_closing():
            super().send_400_response(msg)

    def _count(self, more: int) -> None:
        """Also fields after a chunked body count: they are as little bounded."""
        self._named += more
        if self._named > HEAD_LIMIT:
            raise _HeadTooLargeError

    def _is_idle(self) -> bool:
        """Tell whether no request is being answered, so that whatever comes is to begin one."""
        return self.cycle is None or self.cycle.response_complete

    def _time_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_within, self._head_overdue)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._in_head:
            self._refuse(408, "The request took too long.")
        else:
            self.transport.close()

    def _refuse(self, status: int, text: str) -> None:
        if self.transport.is_closing():
            return
        if not self._is_idle() and self.cycle.response_started:
            self.transport.close()
            return
        fields = (
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(text)}",
            "connection: close",
            "",
            text,
        )
        self.transport.write(STATUS_LINE[status] + "\r\n".join(fields).encode())
        self.transport.close()


def connection_of(scope: Any) -> Connection | None:
    """Give the connection of a request; None under a server that does not show it, e.g. a test client."""
    found: Connection | None = scope.get("extensions", {}).get(EXTENSION)
    return found


__all__ = ["EXTENSION", "HEAD_LIMIT", "HEAD_WITHIN", "BoundedProtocol", "Connection", "connection_of"]
