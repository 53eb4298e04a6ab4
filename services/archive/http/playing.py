"""Sending a recording: in ranges, chunk by chunk, each one only while the gate admits the viewer."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from firsthand.services.archive.gate import CATCH_UP, CannotTell, Gate, NotOpen
from firsthand.services.archive.model import Media, Recording, Viewer
from firsthand.shared.media import CHUNK, SealedReader
from firsthand.shared.web.connection import connection_of

_log = logging.getLogger("firsthand.archive")

_LOOK_EVERY: Final = 0.5  # seconds; while a client takes nothing, the gate is asked all the same
_RANGE: Final = re.compile(r"^bytes=([0-9]{0,18})-([0-9]{0,18})$")


class NotSatisfiable(Exception):  # noqa: N818 - the field's word
    """The range lies outside of the recording."""


@dataclass(frozen=True)
class Span:
    """Bytes from `start` up to, not including, `end`. `partial`: the answer is a 206."""

    start: int
    end: int
    partial: bool


def span_of(size: int, range_header: str | None, if_range: str | None, etag: str) -> Span:
    """Read a Range header (RFC 9110): one range is honoured, anything else means the whole. Raises NotSatisfiable."""
    whole = Span(0, size, partial=False)
    if not range_header or (if_range is not None and if_range != etag):
        return whole
    found = _RANGE.match(range_header.replace(" ", ""))
    if not found or found.groups() == ("", ""):
        return whole
    first, last = found.groups()
    if not first:
        if int(last) == 0:
            raise NotSatisfiable
        return Span(max(0, size - int(last)), size, partial=True)
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return whole
    if start >= size:
        raise NotSatisfiable
    return Span(start, end, partial=True)


@dataclass(frozen=True)
class Showing:
    """The recording, as it was admitted, and its viewer. One that was replaced meanwhile is no longer admitted, nor a
    viewer who has signed out (`is_void`).
    """

    gate: Gate
    recording: Recording
    viewer: Viewer
    media: Media
    download: bool
    is_void: Callable[[], bool]

    async def still_admitted(self) -> None:
        """Raises CannotTell, NotOpen."""
        if self.is_void():
            raise NotOpen
        admitted = self.recording
        recording = await self.gate.admit(
            admitted.institution, admitted.id, self.viewer, download=self.download, within=CATCH_UP
        )
        if recording.media is None or recording.media.file != self.media.file:
            raise NotOpen


class PlayResponse(Response):
    """Streams a span of a sealed recording and stops, whatever the client does, when the gate closes.

    `seen` is told at the end how many bytes were handed over.
    """

    def __init__(
        self, showing: Showing, reader: SealedReader, span: Span, *, seen: Callable[[int], Awaitable[None]],
        note: bytes = b"",
    ) -> None:  # fmt: skip
        """`note`: bytes that follow the recording's own."""
        super().__init__(status_code=206 if span.partial else 200)
        self._showing = showing
        self._reader = reader
        self._span = span
        self._seen = seen
        self._note = note
        self._sent = 0
        media = showing.media
        self.headers.update(
            {
                "content-type": media.mime,
                "content-length": str(span.end - span.start),
                "accept-ranges": "bytes",
                "etag": etag_of(media, note),
                "cache-control": "no-store",
                "content-disposition": "attachment" if showing.download else "inline",
                "x-accel-buffering": "no",  # a proxy must not keep what we may want to take back
            }
        )
        if span.partial:
            self.headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{media.bytes + len(note)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = connection_of(scope)
        if connection:
            connection.hold_back()
        sending = asyncio.create_task(self._send(send, head=scope["method"] == "HEAD"))
        gone = asyncio.create_task(_until_gone(receive))
        ends = {sending, gone, asyncio.create_task(self._until_shut(connection.abort if connection else _nothing))}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            failure = next((error for task in done if (error := task.exception())), None)
            if failure and not isinstance(failure, CannotTell | NotOpen):
                _log.warning("a recording could not be sent to its end", extra={"reason": type(failure).__name__})
            if failure and connection:
                connection.abort()
                await asyncio.wait({gone}, timeout=1)  # until the server has seen it
            elif failure:
                raise failure
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            self._reader.close()
            if self._sent:
                await self._seen(self._sent)

    async def _send(self, send: Send, *, head: bool) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        position = self._span.end if head else self._span.start
        reading = asyncio.get_running_loop()
        while position < self._span.end:
            own = self._showing.media.bytes
            if position < own:
                end = min(self._span.end, own, (position // CHUNK + 1) * CHUNK)
                piece = await reading.run_in_executor(self._reader.threads, self._read, position, end)
            else:
                end = self._span.end
                piece = self._note[position - own : end - own]
            await self._showing.still_admitted()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            self._sent += len(piece)
            position = end
        # The empty last piece waits until the others have left the process: until then they can be taken back.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _read(self, start: int, end: int) -> bytes:
        return b"".join(self._reader.read_range(start, end))

    async def _until_shut(self, cut_off: Callable[[], None]) -> None:
        """Ask the gate whenever this consent changes, and twice a second. Raises CannotTell, NotOpen."""
        showing = self._showing
        with showing.gate.watch(showing.recording, showing.viewer, cut_off) as changed:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await changed.wait()
                changed.clear()
                await showing.still_admitted()


def etag_of(media: Media, note: bytes = b"") -> str:
    return f'"{media.sha256}-{sha256(note).hexdigest()[:16]}"' if note else f'"{media.sha256}"'


def _nothing() -> None:
    """Cut off nothing: the gate is asked in the next turn."""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


__all__ = ["CannotTell", "NotOpen", "NotSatisfiable", "PlayResponse", "Showing", "Span", "etag_of", "span_of"]
