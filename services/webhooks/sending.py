"""How a webhook leaves the house: one POST, bounded in time and size, to an address that the guard let pass.

httpcore, because its connections can be opened by the guard (`network_backend`), because it follows no redirect and
reads no environment, and because it costs half of what httpx does around it (docs/decisions, "Sending webhooks").
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpcore
from ssrfguard.errors import SSRFGuardError

from firsthand.services.webhooks.guard import Guard, RefusedAddress

KEPT: Final = 1024  # bytes of an answer
_READ: Final = 64 * 1024  # after so much the connection is closed rather than used again
_CONNECTIONS: Final = 256
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
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(cafile=str(ca_file))
        self._guard = guard
        self._time_limit = time_limit
        self._pool: httpcore.AsyncConnectionPool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=httpcore.Proxy(proxy) if proxy else None,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE,
            network_backend=None if proxy else guard.backend(),
        )

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body. Never raises, except when it is cancelled."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._time_limit):
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
        await self._pool.aclose()

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._guard.refuse(url)
        told = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        target = httpcore.URL(url)
        host = target.host if target.port in (None, 443, 80) else target.host + b":%d" % target.port
        async with self._pool.stream(
            "POST",
            target,
            headers=[(b"host", host), (b"content-length", b"%d" % len(body)), *told],
            content=body,
        ) as response:
            kept = await _beginning_of(response)
            known = {name.decode("latin-1").lower(): value for name, value in response.headers}
            return Answer(
                status=response.status,
                headers={
                    name: value[:_LONGEST_HEADER].decode("latin-1") for name, value in known.items() if name in _HEADERS
                },
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
