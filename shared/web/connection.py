"""The server's connection, as far as a response may touch it: what was not yet sent can be taken back."""

import socket
import struct
from asyncio import Transport
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The ASGI extension under which a response finds its connection.
EXTENSION: Final = "firsthand.connection"
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: drop what is queued, then RST


class Connection:
    """One connection to a client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def hold_back(self) -> None:
        """Let the next piece wait until the former one has left the process, so that `abort` leaves little behind."""
        self._transport.set_write_buffer_limits(high=0)

    def abort(self) -> None:
        """End the connection now. What waits in the process and in the system's send buffer is dropped, not sent."""
        connected: socket.socket | None = self._transport.get_extra_info("socket")
        if connected is not None:
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
