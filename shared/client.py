"""A client of the public HTTP interfaces, as a browser, a family's phone or an operator's command uses them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx

from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer

Json = Any
_TIMEOUT = 30.0  # seconds
_TRIES = 30  # two seconds apart


class Refused(Exception):  # noqa: N818 - the field's word
    """The system refused a request; the message is its own explanation."""

    def __init__(self, status: int, message: str, body: Json = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Caller:
    """One who calls: with a bearer token, made anew for each call, or with a browser's cookies."""

    def __init__(self, http: httpx.AsyncClient, token: Callable[[], str] | None = None) -> None:
        self._http = http
        self._token = token

    async def call(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        """Send JSON, or bytes with `content=`, and give the JSON answer (None when empty). Raises Refused."""
        answer = await self.send(method, path, body, **options)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise Refused(answer.status_code, f"{method} {path}: {_explained(answer)}", _json(answer))
        return _json(answer)

    async def send(self, method: str, path: str, body: Json = None, **options: Any) -> httpx.Response:
        """Send a request and give the whole answer, whatever its status. Raises Refused when nobody answers.

        What a busy system puts off is sent again, for at most a minute.
        """
        headers = dict(options.pop("headers", {}))
        if self._token:
            headers["Authorization"] = f"Bearer {self._token()}"
        else:
            # a browser says where a form comes from; without it the cookies would not be taken
            headers["Origin"] = str(self._http.base_url).rstrip("/")
        if body is not None:
            options["json"] = body
        try:
            answer = await self._http.request(method, path, headers=headers, **options)
            for _ in range(_TRIES):
                if not _is_put_off(answer):
                    break
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                answer = await self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise Refused(
                0, f"Nobody answers at {self._http.base_url}: {error}. Is Firsthand running there?"
            ) from error
        return answer


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "application/json"}
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, headers=headers, verify=_authorities()) as http:
        yield http


@cache
def _authorities() -> ssl.SSLContext:
    """Read the certificates that are trusted, once a process: it takes longer than many requests."""
    return httpx.create_ssl_context()


@asynccontextmanager
async def operator(url: str, keys: Keys, clock: Clock) -> AsyncIterator[Caller]:
    """Act as the deployment's operator: whoever holds the portal's signing key is."""
    issuer = SessionIssuer({"staff": keys.signing["staff"]}, clock)
    async with _connection(url) as http:
        yield Caller(http, lambda: issuer.staff(DEPLOYMENT, "operator", roles=frozenset({"operator"})))


@asynccontextmanager
async def machine(url: str, token: str) -> AsyncIterator[Caller]:
    """Act as a machine of an institution, by its token (`firsthand token create`). Raises Refused."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Refused(0, "This is no token: it holds other characters. Copy it again, or create another one.")
    async with _connection(url) as http:
        yield Caller(http, lambda: token)


@asynccontextmanager
async def signed_in(url: str, link: str) -> AsyncIterator[Caller]:
    """Act as a person of staff or a student: open a one-time sign-in link and press its button."""
    async with _connection(url) as http:
        person = Caller(http)
        answer = await person.send("POST", urlsplit(link).path)
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise Refused(answer.status_code, f"The sign-in link was not taken: {_explained(answer)}")
        yield person


@asynccontextmanager
async def family(url: str, link: str) -> AsyncIterator[Caller]:
    """Act as a family: open the personal link (`/consent/i/<slug>/<token>`)."""
    *_, slug, token = urlsplit(link).path.split("/")
    async with _connection(url) as http:
        opened = await Caller(http).call("POST", "/consent/api/v1/links/open", {"institution": slug, "token": token})
        yield Caller(http, lambda: str(opened["session"]))


def _is_put_off(answer: httpx.Response) -> bool:
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or "Retry-After" not in answer.headers:
        return False
    problem = _json(answer)
    return isinstance(problem, dict) and problem.get("type") == "urn:firsthand:busy"


def _json(answer: httpx.Response) -> Json:
    return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else None


def _explained(answer: httpx.Response) -> str:
    problem = _json(answer)
    if isinstance(problem, dict) and "title" in problem:
        fields = "; ".join(f"{error.get('field')}: {error.get('text')}" for error in problem.get("errors", []))
        return ". ".join(part.rstrip(".") for part in (problem["title"], problem.get("detail", ""), fields) if part)
    return f"answer {answer.status_code}"
