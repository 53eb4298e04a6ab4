"""Problems: every error is an RFC 9457 document, or a readable page where the visitor's client prefers HTML."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthand.shared.disk import is_no_room
from firsthand.shared.identifiers import new_id
from firsthand.shared.refused import Kind, NotFound, Refused
from firsthand.shared.store import AlreadyExists, Conflict, NoRoom, NoSuchPlace, StoreUnavailable
from firsthand.shared.texts import N_
from firsthand.shared.vault import KeyErased
from firsthand.shared.web.accept import accepted
from firsthand.shared.web.connection import connection_of
from firsthand.shared.web.languages import Language
from firsthand.shared.web.pages import pages_of

_log = logging.getLogger("firsthand.web")

# What a plain status means, in words that tell what to do.
_PLAIN: Final[Mapping[int, tuple[str, str]]] = {
    400: (N_("We could not read this request"), N_("Go back, check what you entered, and try again.")),
    401: (N_("Sign in"), N_("Your session has ended, or you have not signed in yet. Nothing was changed.")),
    403: (
        N_("You do not have permission to do this"),
        N_("Your role does not allow it. A coordinator at your institution can help."),
    ),
    404: (N_("Page not found"), N_("The address may be incomplete, or the page may have been removed.")),
    405: (N_("This request is not possible here"), N_("This address does not accept that kind of request.")),
    408: (N_("The request took too long"), N_("Nothing was changed. Check your connection and try again.")),
    409: (
        N_("Someone else changed this at the same time"),
        N_("Your changes were not saved. Open the page again to see the current version, and try again."),
    ),
    410: (N_("This has been removed"), N_("It cannot be restored.")),
    413: (N_("This file is too large"), N_("Send a smaller file, or less text.")),
    422: (N_("Some information is missing or wrong"), N_("Check the fields named below and try again.")),
    429: (N_("Too many requests"), N_("Wait a moment and try again.")),
    500: (
        N_("Something went wrong on our side"),
        N_("You did nothing wrong. Try again in a moment. If it happens again, tell us the number %(incident)s."),
    ),
    503: (N_("Not available at the moment"), N_("Nothing was changed. Wait a few seconds and try again.")),
    507: (
        N_("We cannot save this right now"),
        N_("Our storage is full, and nothing was changed. Try again later. If it is urgent, contact the institution."),
    ),
}


class Problem(HTTPException):
    """An error to tell the visitor. `title` says what is the matter, `detail` what to do, in English; both are
    translated where they are shown. `values` fill `%(name)s` places. `errors`: `[("email", "Write an address")]`.
    `way_back`: the address of the list, some part of which was asked for; only pages show it.
    """

    def __init__(
        self,
        status: int,
        title: str = "",
        detail: str = "",
        *,
        type: str = "about:blank",  # noqa: A002 - RFC 9457's own name
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        way_back: str = "",
        **values: object,
    ) -> None:
        plain_title, plain_detail = _PLAIN.get(status, _PLAIN[500 if status >= 500 else 400])  # noqa: PLR2004
        self.title = title or plain_title
        self.text = detail or ("" if title else plain_detail)
        self.type = type
        self.errors = tuple(errors)
        self.way_back = way_back
        self.values = values
        super().__init__(status, self.title, dict(headers or {}))


# What a refusal is over HTTP.
_STATUS: Final[Mapping[Kind, int]] = {
    "not-possible": 409,
    "invalid": 422,
    "forbidden": 403,
    "gone": 410,
    "too-large": 413,
    "unavailable": 503,
    "no-room": 507,
}


def status_of(refused: Refused) -> int:
    return _STATUS[refused.kind]


def problem_of(request: Request, refused: Refused) -> Problem:
    """Make the problem that shows a refusal. Its `type` is `urn:firsthand:<service>:<code>`."""
    service = getattr(request.app.state, "service", "portal")
    return Problem(
        status_of(refused),
        refused.title or (N_("This is not possible now") if refused.kind == "not-possible" else ""),
        refused.text,
        type=f"urn:firsthand:{service}:{refused.code}",
        errors=tuple(refused.fields.items()),
        headers={"Location": refused.known} if refused.known else None,
    )


class ElsewhereFirst(Exception):  # noqa: N818 - not an error: the visitor is sent on
    """The visitor must go to `location` before this page, e.g. to renew a session."""

    def __init__(self, location: str, status: int = 303) -> None:
        super().__init__(location)
        self.location = location
        self.status = status


def install(app: FastAPI | Starlette) -> None:
    """Make the app answer every error with a problem."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(StoreUnavailable, _on_unavailable)
    app.add_exception_handler(NoSuchPlace, _on_no_such_place)
    app.add_exception_handler(Conflict, _on_conflict)
    app.add_exception_handler(AlreadyExists, _on_conflict)
    app.add_exception_handler(ElsewhereFirst, _on_elsewhere)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(NotFound, _on_not_found)
    app.add_exception_handler(KeyErased, _on_erased)
    app.add_middleware(IncidentMiddleware)


class IncidentMiddleware:
    """What nobody expected becomes a problem with an incident's number; the log line under that number says where."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            connection = connection_of(scope)
            if isinstance(error, OSError) and connection and connection.is_closed:
                return  # that the client has left is no fault of ours
            if is_no_room(error) and not started:
                _log.exception("no room on the disk")
                await answer_with(Request(scope, receive), Problem(507))(scope, receive, send)
                return
            incident = scope.setdefault("state", {})["incident"] = new_id()[:12]
            _log.exception("unexpected", extra={"incident": incident})
            if started:
                raise  # too late for an answer: the server cuts the connection, so that nobody takes half for whole
            answer = answer_with(Request(scope, receive), Problem(500, incident=incident))
            await answer(scope, receive, send)


def answer_with(request: Request, problem: Problem, **more: Any) -> Response:
    """Make the response: a page for who reads pages, else `application/problem+json`, with the members `more`."""
    pages = pages_of(getattr(request.app.state, "service", "portal"))
    words = pages.language(request)
    title, text = _say(words, problem.title, problem.values), _say(words, problem.text, problem.values)
    errors = [{"field": field, "text": _say(words, text, problem.values)} for field, text in problem.errors]
    headers = {**(problem.headers or {}), "Vary": "Accept"}
    response: Response
    if prefers_page(request):
        response = pages.render(
            request,
            "error.html",
            status=problem.status_code,
            title=title,
            text=text,
            errors=errors,
            problem_status=problem.status_code,
            way_back=problem.way_back,
        )
        response.headers.update(headers)
        return response
    body: dict[str, Any] = {"type": problem.type, "title": title, "status": problem.status_code, "detail": text} | more
    if errors:
        body["errors"] = errors
    if "incident" in problem.values:
        body["incident"] = problem.values["incident"]
    headers["Content-Language"] = words.code
    return JSONResponse(body, problem.status_code, headers, media_type="application/problem+json")


def prefers_page(request: Request) -> bool:
    """Tell whether the client would rather read HTML than JSON."""
    ranges = accepted(request.headers.get("accept", ""))
    html = ranges.get("text/html", ranges.get("text/*", 0.0))  # who takes anything (`*/*`) is a program
    return html > 0 and html >= max(ranges.get("application/json", 0.0), ranges.get("application/problem+json", 0.0))


def _say(words: Language, text: str, values: Mapping[str, object]) -> str:
    translated = words.gettext(text)
    return translated % values if values else translated


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = error if isinstance(error, Problem) else Problem(error.status_code, headers=error.headers)
    return answer_with(request, problem)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    page = prefers_page(request)
    errors = [
        (".".join(str(part) for part in fault["loc"][1:]), _plain_fault(fault["type"]) if page else str(fault["msg"]))
        for fault in error.errors()
    ]
    return answer_with(request, Problem(422, errors=errors))


def _plain_fault(kind: str) -> str:
    """Say in a visitor's words what pydantic says in a programmer's."""
    if kind in {"missing", "string_too_short", "too_short"}:
        return N_("please fill this in")
    return N_("this is too long") if kind in {"string_too_long", "too_long"} else N_("this is not a valid value")


async def _on_unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreUnavailable)
    status = 507 if isinstance(error, NoRoom) else 503
    return answer_with(request, Problem(status, headers={"Retry-After": str(error.retry_after)}))


async def _on_no_such_place(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's shape
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    first = request.scope["path"] + (f"?{urlencode(others)}" if others else "")
    title, text = N_("This part of the list cannot be found"), N_("Go back to the first page of the list.")
    return answer_with(request, Problem(400, title, text, way_back=first))


async def _on_conflict(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's shape
    return answer_with(request, Problem(409))


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer_with(request, problem_of(request, error))


async def _on_not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotFound)
    return answer_with(request, Problem(404, N_("Page not found"), error.text) if error.text else Problem(404))


async def _on_erased(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's shape
    return answer_with(request, Problem(410))


async def _on_elsewhere(request: Request, error: Exception) -> Response:  # noqa: ARG001 - a handler's shape
    assert isinstance(error, ElsewhereFirst)
    return RedirectResponse(error.location, error.status)


__all__ = [
    "ElsewhereFirst",
    "IncidentMiddleware",
    "Problem",
    "answer_with",
    "install",
    "prefers_page",
    "problem_of",
    "status_of",
]
