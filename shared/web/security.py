"""Guards around every service: headers of the answers, requests from other sites, the size of what is sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import Depends
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthand.shared.inputs import length_of
from firsthand.shared.texts import N_
from firsthand.shared.web.languages import COOKIE as LANGUAGE_COOKIE
from firsthand.shared.web.problems import Problem, answer_with
from firsthand.shared.web.shedding import refuse_bulk

# A form or a JSON document of ours is a few kilobytes; a consent text in one language under 100 (measured generously).
BODY_LIMIT: Final = 1024 * 1024  # bytes
BODY_WITHIN: Final = 60.0  # seconds: 1 MiB at the pace of an old phone network
_UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_FORWARDED: Final = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"x-original-", b"x-rewrite-")

_CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    # To other sites nothing; our own forms still send Origin, which browsers without Sec-Fetch-Site are judged by.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}


class SecurityHeadersMiddleware:
    """Adds the headers to every answer; nothing but the static files may be kept by a cache unless a route says so."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_guarded)


class SameSiteMiddleware:
    """Refuses what another site makes a visitor's browser send with our cookies.

    Browsers tell where a request comes from (Sec-Fetch-Site, else Origin); a request with one of our cookies and
    without either is refused. Requests without our cookies, e.g. with a Bearer token, carry no authority of a visitor.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _UNSAFE and not _is_ours(Request(scope)):
            refused = Problem(
                403,
                N_("This request did not come from our own page"),
                N_("To protect you, nothing was changed. Open the page here again and try again."),
            )
            await answer_with(Request(scope, receive), refused)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_ours(request: Request) -> bool:
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is not None:
        return origin.partition("://")[2] == headers.get("host")  # an origin is a scheme and a host, or `null`
    ours = {name.removeprefix("__Host-") for name in request.cookies} - {LANGUAGE_COOKIE}
    return not any(name.startswith("fh_") for name in ours)


class BodyLimitMiddleware:
    """Stops reading a body beyond `BODY_LIMIT`, unless the route takes it as `Streamed`, and one that does not come.

    `within`: seconds for a whole body; for each piece of one that is streamed.
    """

    def __init__(self, app: ASGIApp, *, within: float = BODY_WITHIN) -> None:
        self._app = app
        self._within = within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["streamed"] = False
        declared = Headers(scope=scope).get("content-length", "0")
        taken, complete = 0, False
        end = asyncio.get_running_loop().time() + self._within

        async def receive_limited() -> Message:
            nonlocal taken, complete
            if complete:  # from now on somebody waits for the client to leave
                return await receive()
            if not state["streamed"] and (length_of(declared) or 0) > BODY_LIMIT:
                raise Problem(413)
            try:
                async with asyncio.timeout(self._within) if state["streamed"] else asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise Problem(408) from None
            complete = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > BODY_LIMIT and not state["streamed"]:
                raise Problem(413)
            return message

        await self._app(scope, receive_limited, send)


# What a browser sends by itself (Fetch, and Client Hints). Proxies and tunnels give themselves away by some header, but
# nobody knows the names of all: whatever else comes along may be one's.
_OF_BROWSERS: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language authorization cache-control connection content-length"
    b" content-type cookie device-memory dnt downlink dpr ect host if-modified-since if-none-match keep-alive origin"
    b" pragma priority purpose range referer rtt save-data te upgrade-insecure-requests user-agent"
    b" viewport-width".split()
)
_OF_ALL_BROWSERS: Final = b"sec-"  # no page and no extension may set these


def came_through_a_proxy(scope: Scope) -> bool:
    """Return whether somebody may have passed a request on, so that its client is not who asks."""
    return bool(scope.get("state", {}).get("passed_on"))


def _note_proxy(scope: Scope) -> None:
    names = (name.lower() for name, _ in scope.get("headers", ()))
    passed_on = any(name not in _OF_BROWSERS and not name.startswith(_OF_ALL_BROWSERS) for name in names)
    scope.setdefault("state", {})["passed_on"] = passed_on


class ForwardedMiddleware:
    """Drops what a client claims about proxies: only where a proxy of ours is configured does it mean anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:
            _note_proxy(scope)
            kept = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(_FORWARDED)]
            scope = {**scope, "headers": kept}
        await self._app(scope, receive, send)


class ProxiedMiddleware:
    """Takes the client from our reverse proxy: the last address of X-Forwarded-For, which the proxy itself added.

    Limits are counted by client; without this, all visitors behind the proxy would be one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _note_proxy(scope)
        if scope["type"] == "http" and (named := Headers(scope=scope).getlist("x-forwarded-for")):
            scope = {**scope, "client": (named[-1].rpartition(",")[2].strip(), 0)}
        await self._app(scope, receive, send)


async def _stream(request: Request) -> AsyncIterator[bytes]:
    refuse_bulk(request)
    request.state.streamed = True
    return request.stream()


# A route's body as it comes, without a limit but the route's own: `async def take(chunks: Streamed) -> ...`.
# Such a route declares no other body (no form, no model), or it would be read before. It is a bulk door.
Streamed = Annotated[AsyncIterator[bytes], Depends(_stream)]

STREAMS: Final = _stream  # what the route lint looks for

__all__ = [
    "BODY_LIMIT",
    "STREAMS",
    "BodyLimitMiddleware",
    "ForwardedMiddleware",
    "ProxiedMiddleware",
    "SameSiteMiddleware",
    "SecurityHeadersMiddleware",
    "Streamed",
    "came_through_a_proxy",
]
