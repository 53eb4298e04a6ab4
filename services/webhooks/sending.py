"""How a webhook leaves the house: one POST, bounded in time and size, to an address that the guard let pass.

aiohttp speaks HTTP; every socket that it opens comes from the guard. Why aiohttp: docs/decisions/0034-webhook-lanes.md.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

from firsthand.services.webhooks.guard import ForbiddenAddress, Guard, RefusedAddress
from firsthand.services.webhooks.model.delivery import KEPT, Answer

_READ: Final = 64 * 1024  # after so much the connection is closed rather than used again
_KEEPALIVE: Final = 30.0  # seconds
_HEADERS: Final = ("retry-after", "webhook-delivery")
_LONGEST_HEADER: Final = 200
_NOT_OURS: Final = ("accept", "accept-encoding", "user-agent")  # which aiohttp would add


class Sender:
    """Sends requests over kept connections. One a process; who calls bounds how many there are at once."""

    def __init__(self, guard: Guard, *, proxy: str = "", ca_file: Path | None = None, time_limit: float) -> None:
        """To be made in the event loop. `proxy`: everything goes through it, and it resolves the names. `time_limit`:
        seconds for one request.
        """
        self._guard = guard
        self._proxy = proxy or None
        self._ca_file = ca_file
        self._time_limit = time_limit
        self._http = self._session()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body. Never raises, except when it is cancelled."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await self._send(url, headers, body)
        except TimeoutError:
            answer = Answer(error="timeout")
        except (RefusedAddress, aiohttp.ClientError, OSError, ValueError) as error:
            answer = Answer(error=_word_of(error))
        took = timedelta(seconds=time.perf_counter() - began)
        return Answer(answer.status, answer.headers, answer.text, answer.error, took)

    async def close(self) -> None:
        await self._http.close()

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._guard.refuse(url)
        while True:
            connection: dict[str, bool] = {}
            try:
                async with self._http.post(
                    url,
                    data=body,
                    headers=headers,
                    proxy=self._proxy,
                    allow_redirects=False,
                    trace_request_ctx=connection,
                ) as response:
                    return await _read(response)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A kept connection was closed at this moment: a new one tells whether the receiver is there.
                if "kept" not in connection:
                    raise

    def _session(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context()
        if self._ca_file:
            context.load_verify_locations(cafile=str(self._ca_file))
        traces = aiohttp.TraceConfig()
        traces.on_connection_reuseconn.append(_note_kept)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context,
                limit=0,  # waiting here would be taken for a receiver that does not answer
                keepalive_timeout=_KEEPALIVE,
                # A proxy stands where the operator says; what it may reach is its own business.
                socket_factory=None if self._proxy else self._guard.socket,
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_OURS,
            auto_decompress=False,
            trace_configs=[traces],
        )


async def _note_kept(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    context.trace_request_ctx["kept"] = True


async def _read(response: aiohttp.ClientResponse) -> Answer:
    """Read an answer as far as it is kept. What is longer than 64 KiB is left unread, which ends its connection."""
    kept, read = b"", 0
    async for chunk in response.content.iter_any():
        kept += chunk[: KEPT - len(kept)]
        read += len(chunk)
        if read > _READ:
            response.close()
            break
    return Answer(
        status=response.status,
        headers={name: _plain(response.headers[name]) for name in _HEADERS if name in response.headers},
        text=_readable(kept),
    )


def _plain(value: str) -> str:
    return value[:_LONGEST_HEADER].encode("ascii", "replace").decode("ascii")


def _readable(answer: bytes) -> str:
    """Make a text of what a stranger answered: whatever cannot be shown becomes a mark."""
    text = answer.decode("utf-8", "replace")
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)


def _word_of(error: Exception) -> str:
    """Say in a word of `model.delivery.Failure` why there was no answer; special errors come before general ones."""
    connecting = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    if isinstance(error, RefusedAddress) or isinstance(connecting, ForbiddenAddress):
        return "refused-address"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "tls"
    if connecting or isinstance(error, aiohttp.ClientHttpProxyError):
        return "connect"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | OSError):
        return "closed"
    return "protocol"


__all__ = ["Sender"]
