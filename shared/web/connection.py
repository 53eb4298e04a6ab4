"""The server's connection, as far as a response may touch it: what was not yet sent can be taken back."""

import contextlib
import socket
import struct
from asyncio import Transport
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
        self._transport.set_write_buffer_limits(high=0)
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        elif connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def abort(self) -> None:
        """End the connection now. What waits in the process and in the system's send buffer is dropped, not sent."""
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is not None:
            with contextlib.suppress(OSError):  # the client has reset it
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        self._transport.abort()


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that shows each request its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope.setdefault("extensions", {})[EXTENSION] = Connection(self.transport)


def connection_of(scope: Any) -> Connection | None:
    """Give the connection of a request; None under a server that does not show it, e.g. a test client."""
    found: Connection | None = scope.get("extensions", {}).get(EXTENSION)
    return found


__all__ = ["EXTENSION", "AbortableProtocol", "Connection", "connection_of"]
