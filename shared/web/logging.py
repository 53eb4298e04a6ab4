"""Log lines: one JSON object a line on stderr, without personal data. No exception's message, no raw path."""

import errno
import json
import logging
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthand.shared.tracing import begun, traceparent, within

_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_request_log = logging.getLogger("firsthand.request")
_FILE_BYTES: Final = 10_000_000
_INNERMOST: Final = 8  # frames of a failure that are told: enough to find it, one line still


class JsonLines(logging.Formatter):
    """Formats a record as `{"time", "level", "service", "message", ...extra}`; `firsthand.consent` logs for consent."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": record.name.split(".")[1] if record.name.startswith("firsthand.") else self._service,
            "message": record.getMessage(),
        }
        if trace := traceparent.get():
            line["trace"] = trace[3:35]
        line.update((key, value) for key, value in vars(record).items() if key not in _OWN_FIELDS)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"], line["where"] = _failure(record.exc_info[1])
        return json.dumps(line, default=str, ensure_ascii=False)


def _failure(error: BaseException) -> tuple[str, list[str]]:
    """Tell an exception by its type and frames. Its message may quote what a person wrote, so it stays out."""
    frames = traceback.extract_tb(error.__traceback__)[-_INNERMOST:]
    return type(error).__qualname__, [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class LogFile(RotatingFileHandler):
    """A file in which each line stands whole or not at all, also while its disk is full; once there is room again, a
    line says how many are missing.
    """

    def __init__(self, file: Path, *, largest: int, older: int) -> None:
        """`largest`: bytes of one file, of which `older` ones are kept."""
        self._lost = 0
        super().__init__(file, maxBytes=largest, backupCount=older, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
            if self._lost:
                text = "log lines are missing: they could not be written"
                missing = {"name": "firsthand.log", "levelname": "WARNING", "msg": text, "lines": self._lost}
                line = self._line(logging.makeLogRecord(missing)) + line
            self._append(line)
        except OSError:
            self._lost += 1
        except Exception:  # noqa: BLE001 - as every handler: a line that cannot be made is told on stderr
            self.handleError(record)
        else:
            self._lost = 0

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode("utf-8", "backslashreplace")

    def _append(self, line: bytes) -> None:
        """Write it in one go, or take back what was written of it. Raises OSError."""
        if self.stream is None:  # the new one could not be opened
            self.stream = self._open()
        if os.fstat(self.stream.fileno()).st_size + len(line) > self.maxBytes:
            self.doRollover()
        file = self.stream.fileno()
        before = os.fstat(file).st_size
        if os.write(file, line) < len(line):
            os.ftruncate(file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def configure(service: str, level: str = "INFO", file: Path | None = None) -> None:
    """Send every log line of the process to stderr, or to `file` (five older ones kept, 10 MB each), as JSON.

    `service` is the default of lines that name none.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = LogFile(file, largest=_FILE_BYTES, older=5)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = name != "uvicorn.access"  # it writes raw paths; ours are templated
    logging.getLogger("httpx").setLevel("WARNING")
    logging.getLogger("python_multipart").setLevel("ERROR")  # it quotes what a client sent, a line each time


class TraceMiddleware:
    """Begins or takes over the trace of a request, before anything else happens to it, so that every line names it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with within(begun(Headers(scope=scope).get("traceparent"))):
            await self._app(scope, receive, send)


class RequestLogMiddleware:
    """One line a request: method, route as declared (a raw path may hold a personal link), status, milliseconds; and
    the incident's number if its answer shows one.
    """

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        finally:
            state = scope.get("state", {})
            session = state.get("staff") or state.get("family")
            _request_log.info(
                "request",
                extra={
                    "service": self._service,
                    "method": scope["method"],
                    "route": _template(scope, self._service),
                    "status": status,
                    "milliseconds": round((time.perf_counter() - began) * 1000, 1),
                    "institution": getattr(session, "institution", None),
                    **({"incident": state["incident"]} if "incident" in state else {}),
                },
            )


def _template(scope: Scope, service: str) -> str:
    route = scope.get("route")
    return f"/{service}{route.path}" if isinstance(route, Route) else f"/{service}/(no route)"


__all__ = ["JsonLines", "LogFile", "RequestLogMiddleware", "TraceMiddleware", "configure"]
