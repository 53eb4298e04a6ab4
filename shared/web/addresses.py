"""Addresses as people send them: what a messenger, a sentence or a proxy added to a path does not lose the page.

Nothing here redirects. A redirect that a framework makes for a slash names the scheme and the host of the request that
reached us, which behind a proxy is not where the visitor is.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthand.shared.web.problems import Problem, answer_with

# What stands behind an address in a sentence, in brackets or between quotation marks. No address of ours ends so.
_BEHIND: Final = "/.,;:!?()[]{}<>\"'*،؛؟’”»…"
_PLAIN: Final = re.compile(r"/|(?:/[A-Za-z0-9_.{}-]*[A-Za-z0-9_-])+")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def as_meant(path: str) -> str:
    """Give the path without invisible characters, spaces, and what stands behind it."""
    if _PLAIN.fullmatch(path):
        return path
    seen = "".join(one for one in path if not one.isspace() and unicodedata.category(one) != "Cf")
    return seen.rstrip(_BEHIND) or "/"


def is_host(host: str) -> bool:
    """Tell whether a Host header names a host, with or without a port."""
    try:
        return _HOST.fullmatch(host) is not None and urlsplit(f"//{host}").port != 0
    except ValueError:
        return False


class AddressMiddleware:
    """Answers the page that was meant, and refuses a Host header that is none.

    `roots` are the paths of the mounted services, which alone end with a slash.
    """

    def __init__(self, app: ASGIApp, *, roots: Sequence[str]) -> None:
        self._app = app
        self._roots = frozenset(roots)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")
        if host and not is_host(host):
            scope["headers"] = [one for one in scope["headers"] if one[0].lower() != b"host"]
            await answer_with(Request(scope, receive), Problem(400))(scope, receive, send)
            return
        path = as_meant(scope["path"])
        if path in self._roots:
            path += "/"
        if path != scope["path"]:
            scope = {**scope, "path": path, "raw_path": quote(path).encode()}
        await self._app(scope, receive, send)


class HeadMiddleware:
    """Answers HEAD wherever GET is answered, without the body; a route that declares HEAD answers for itself."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or self._declared(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:  # at the first piece: what streams without an end has no other
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def receive_until_ended() -> Message:
            return {"type": "http.disconnect"} if ended else await receive()

        await self._app({**scope, "method": "GET"}, receive_until_ended, send_head)

    def _declared(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


__all__ = ["AddressMiddleware", "HeadMiddleware", "as_meant", "is_host"]
