"""How a webhook leaves the house: one POST, bounded in time and size, to an address that the guard let pass.

httpcore speaks HTTP, over connections that the guard opens. Its own pool looks at every connection at every request,
which took nine tenths of the time (docs/decisions/0034-webhook-lanes.md), so what is kept alive is kept here.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpcore
from ssrfguard.errors import SSRFGuardError

from firsthand.services.webhooks.guard import Guard, RefusedAddress

_Key = tuple[bytes, bytes, int]  # scheme, host, port

KEPT: Final = 1024  # bytes of an answer
_READ: Final = 64 * 1024  # after so much the connection is closed rather than used again
_CONNECTIONS: Final = 256
_KEPT_EACH: Final = 32  # idle ones of one origin
_KEEPALIVE: Final = 30.0  # seconds
_HEADERS: Final = frozenset({"retry-after", "webhook-delivery"})
_LONGEST_HEADER: Final = 200


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # those that mean something to us, in small letters
    text: str = ""  # the first KiB
    error: str = ""  # a word of `model.delivery.Failure`; empty when there is a status
    duration: timedelta = timedelta()


class Sender:
    """Sends requests over kept connections. One a process."""

    def __init__(self, guard: Guard, *, proxy: str = "", ca_file: Path | None = None, time_limit: float) -> None:
        """`proxy`: everything goes through it, and it resolves the names. `time_limit`: seconds for one request."""
        self._guard = guard
        self._time_limit = time_limit
        self._context = ssl.create_default_context()
        if ca_file:
            self._context.load_verify_locations(cafile=str(ca_file))
        self._backend = guard.backend()
        self._proxy = httpcore.AsyncHTTPProxy(proxy, ssl_context=self._context) if proxy else None
        self._slots = asyncio.Semaphore(_CONNECTIONS)
        # What may be used again, the last used at the end; of each origin, and in all, so that there is an end to it.
        self._kept: dict[_Key, deque[httpcore.AsyncHTTP11Connection]] = {}

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body. Never raises, except when it is cancelled."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._time_limit), self._slots:
                answer = await self._send(url, headers, body)
        except TimeoutError:
            answer = Answer(error="timeout")
        except (RefusedAddress, SSRFGuardError):
            answer = Answer(error="refused-address")
        except httpcore.TimeoutException:
            answer = Answer(error="timeout")
        except httpcore.ConnectError as error:
            answer = Answer(error=_of_connecting(error))
        except httpcore.ProxyError:
            answer = Answer(error="connect")
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError):
            answer = Answer(error="protocol")
        except (httpcore.NetworkError, OSError):
            answer = Answer(error="closed")
        took = timedelta(seconds=time.perf_counter() - began)
        return Answer(answer.status, answer.headers, answer.text, answer.error, took)

    async def close(self) -> None:
        for kept in self._kept.values():
            for connection in kept:
                await connection.aclose()
        self._kept.clear()
        if self._proxy:
            await self._proxy.aclose()

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._guard.refuse(url)
        target = httpcore.URL(url)
        host = target.host if target.port in (None, 443, 80) else target.host + b":%d" % target.port
        told = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        request = httpcore.Request(
            "POST", target, headers=[(b"host", host), (b"content-length", b"%d" % len(body)), *told], content=body
        )
        if self._proxy:
            return await _read(await self._proxy.handle_async_request(request))
        if connection := await self._reusable(target.origin):
            try:
                return await self._over(connection, request)
            except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
                pass  # it was closed at this moment; a new one tells whether the receiver is there
        return await self._over(await self._connect(target.origin), request)

    async def _over(self, connection: httpcore.AsyncHTTP11Connection, request: httpcore.Request) -> Answer:
        """Send over one connection, and keep it if it can be used again."""
        try:
            answer = await _read(await connection.handle_async_request(request))
        except BaseException:
            await connection.aclose()
            raise
        kept = self._kept.setdefault(_key(request.url.origin), deque())
        if connection.is_idle() and len(kept) < _KEPT_EACH:
            kept.append(connection)
        else:
            await connection.aclose()
        return answer

    async def _reusable(self, origin: httpcore.Origin) -> httpcore.AsyncHTTP11Connection | None:
        kept = self._kept.get(_key(origin))
        while kept:
            connection = kept.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        self._kept.pop(_key(origin), None)
        await self._let_go()
        return None

    async def _let_go(self) -> None:
        """Close what nobody used for a while, once there is much of it."""
        if sum(map(len, self._kept.values())) < _CONNECTIONS:
            return
        for key, kept in list(self._kept.items()):
            for connection in [one for one in kept if one.has_expired()]:
                kept.remove(connection)
                await connection.aclose()
            if not kept:
                del self._kept[key]

    async def _connect(self, origin: httpcore.Origin) -> httpcore.AsyncHTTP11Connection:
        """Open a connection to an address that the guard checked; TLS goes by the name."""
        host = origin.host.decode("ascii")
        stream = await self._backend.connect_tcp(host, origin.port, timeout=self._time_limit)
        if origin.scheme == b"https":
            stream = await stream.start_tls(self._context, server_hostname=host, timeout=self._time_limit)
        return httpcore.AsyncHTTP11Connection(origin=origin, stream=stream, keepalive_expiry=_KEEPALIVE)


def _key(origin: httpcore.Origin) -> _Key:
    return origin.scheme, origin.host, origin.port


async def _read(response: httpcore.Response) -> Answer:
    try:
        kept = await _beginning_of(response)
    finally:
        await response.aclose()
    known = {name.decode("latin-1").lower(): value for name, value in response.headers}
    return Answer(
        status=response.status,
        headers={name: value[:_LONGEST_HEADER].decode("latin-1") for name, value in known.items() if name in _HEADERS},
        text=_readable(kept),
    )


async def _beginning_of(response: httpcore.Response) -> bytes:
    """Read an answer as far as it is kept. What is longer than 64 KiB is left unread, which ends its connection."""
    kept, read = b"", 0
    async for chunk in response.aiter_stream():
        kept += chunk[: KEPT - len(kept)]
        read += len(chunk)
        if read > _READ:
            break
    return kept


def _readable(answer: bytes) -> str:
    """Make a text of what a stranger answered: whatever cannot be shown becomes a mark."""
    text = answer.decode("utf-8", "replace")
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _of_connecting(error: httpcore.ConnectError) -> str:
    """Say at which step no connection came about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        if type(cause).__name__ == "gaierror":
            return "dns"
        cause = cause.__cause__ or cause.__context__
    return "connect"


__all__ = ["KEPT", "Answer", "Sender"]
