"""What a file really is: decoded in a process of its own, never by its name or what a browser claims.

A decoder is a million lines of C that read what strangers send. Here it has no key, no file, no environment and no
memory of ours, and is ended when it takes too long, or when the recording may no longer be taken in.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firsthand.services.archive.decoding import ANSWER, ASK, QUESTION, STARTED, NotMedia
from firsthand.shared.media import SealedReader
from firsthand.shared.service import Context
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.tasks import ended

T = TypeVar("T")
Still = Callable[[], Awaitable[None]]

_PROGRAM: Final = Path(__file__).with_name("decoding.py")
_LOOK_EVERY: Final = 0.25  # seconds between two questions whether it may still be taken in
_AT_ONCE: Final = 2
_PATIENCE: Final = 5  # seconds by the clock for each of processor time: the disk and others are served meanwhile
_PARTING: Final = 2.0  # seconds
_STARTS_WITHIN: Final = 30.0  # seconds; 0.2 where nothing else runs
_MOST_ASKED: Final = 1024 * 1024  # bytes
_LONGEST_ANSWER: Final = 16 * 1024  # bytes
_THREADS: Final = ThreadPoolExecutor(2, "examine")  # so that it never takes the threads of players and uploads
# What today's browsers play in the containers that are taken in.
PLAYED_BY_BROWSERS: Final = frozenset(
    {"h264", "vp8", "vp9", "av1", "aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le"}
)


class TooDemanding(Exception):  # noqa: N818 - says what is the case
    """Examining it needs more memory, time or pixels than it is given."""


class CannotExamine(StoreUnavailable):
    """The process that examines does not start. That is not the recording's doing."""


@dataclass(frozen=True)
class Limits:
    """What examining one file may take."""

    memory: int = 1024**3  # bytes of address space, of which an interpreter with FFmpeg takes 120 MB
    seconds: int = 60  # of processor time, and one more for each 16 MiB: some recorders leave no length in the header
    pixels: int = 7680 * 4320  # of one picture: 8K

    def seconds_for(self, size: int) -> int:
        return self.seconds + size // (16 * 1024**2)


class _Answer(BaseModel):
    """What a process says that may no longer be ours."""

    model_config = ConfigDict(frozen=True, strict=True)

    refused: Literal["", "not-media", "too-large", "cannot-tell"] = ""
    why: Annotated[str, Field(max_length=200)] = ""  # it cannot tell
    has_video: bool = False
    mime: Annotated[str, Field(pattern=r"^((video|audio)/[a-z0-9-]{2,12})?$")] = ""
    codecs: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]], Field(max_length=64)] = []
    duration_seconds: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)] = 0.0


@dataclass(frozen=True)
class Findings:
    """What was found in a file."""

    has_video: bool
    mime: str
    codecs: list[str]
    duration_seconds: float
    bytes: int
    sha256: str


class Examiner:
    """Examines files for one replica, so many at once: each may take a gigabyte."""

    def __init__(self, _context: Context) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def examine(self, reader: SealedReader, still: Still, limits: Limits = Limits()) -> Findings:
        """Read what a file is, and hash the whole of it.

        `still` raises when the file is no longer to be taken in: it is asked all the time, and ends the work. Raises
        what it raises; NotMedia, TooDemanding, CannotExamine, MediaDamaged, OSError.
        """
        work = asyncio.create_task(self._examine(reader, limits), name="examine")
        try:
            while not (await asyncio.wait({work}, timeout=_LOOK_EVERY))[0]:
                await still()
            return await work
        finally:
            await ended([work])

    async def _examine(self, reader: SealedReader, limits: Limits) -> Findings:
        async with self._turns:
            answer = await _answer(reader, limits)
            match answer.refused:
                case "not-media":
                    raise NotMedia
                case "too-large":
                    raise TooDemanding
                case "cannot-tell":
                    raise CannotExamine(f"the process that examines recordings fails: {answer.why}")
            return Findings(
                has_video=answer.has_video,
                mime=answer.mime,
                codecs=answer.codecs,
                duration_seconds=answer.duration_seconds,
                bytes=reader.size,
                sha256=await _digest(reader),
            )


async def _answer(reader: SealedReader, limits: Limits) -> _Answer:
    """Have a process decode the file. Raises TooDemanding, CannotExamine, and what reading raises."""
    seconds = limits.seconds_for(reader.size)
    arguments = (os.getpid(), reader.size, limits.memory, seconds, limits.pixels)
    try:
        # -I: no environment, no folder of ours among those that modules come from.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_PROGRAM), *map(str, arguments),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={}, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise CannotExamine(f"the process that examines recordings does not start: {error.strerror}") from error
    assert process.stdin
    assert process.stdout
    by_itself = False
    try:
        try:
            async with asyncio.timeout(_STARTS_WITHIN):
                kind, _, _ = QUESTION.unpack(await process.stdout.readexactly(QUESTION.size))
        except (asyncio.IncompleteReadError, TimeoutError):
            raise CannotExamine("the process that examines recordings does not start") from None
        if kind != STARTED:
            raise CannotExamine("the process that examines recordings is of another release")
        async with asyncio.timeout(_PATIENCE * seconds):
            answer = await _talk(process.stdin, process.stdout, reader)
        by_itself = True
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValidationError) as error:
        by_itself = isinstance(error, asyncio.IncompleteReadError)
        raise TooDemanding from None  # ended by its limits, or no longer doing what we wrote
    else:
        return answer
    finally:
        await asyncio.shield(_end(process, by_itself=by_itself))


async def _end(process: asyncio.subprocess.Process, *, by_itself: bool) -> None:
    """End the process. One that has said its last word ends by itself, and is not killed in that moment."""
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PARTING if by_itself else 0):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PARTING):
            while await process.stdout.read(_LONGEST_ANSWER):  # whatever it said in vain, so that its pipe is closed
                pass


async def _talk(questions_end: asyncio.StreamWriter, answers: asyncio.StreamReader, reader: SealedReader) -> _Answer:
    while True:
        kind, offset, length = QUESTION.unpack(await answers.readexactly(QUESTION.size))
        if kind == ASK and length <= _MOST_ASKED and offset + length <= reader.size:
            questions_end.write(await _in_thread(partial(_piece, reader, offset, offset + length)))
            await questions_end.drain()
        elif kind == ANSWER and length <= _LONGEST_ANSWER:
            return _Answer.model_validate_json(await answers.readexactly(length))
        else:
            raise ConnectionAbortedError


def _piece(reader: SealedReader, start: int, end: int) -> bytes:
    return b"".join(reader.read_range(start, end))


async def _digest(reader: SealedReader) -> str:
    stop = threading.Event()

    def hashed() -> str:
        digest = hashlib.sha256()
        for piece in reader.read_range(0, reader.size):
            if stop.is_set():
                break
            digest.update(piece)
        return digest.hexdigest()

    return await _in_thread(hashed, stop.set)


async def _in_thread(work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """Read the file in a thread of ours, and let go of it before the file is closed, also when we are cancelled."""
    running = asyncio.get_running_loop().run_in_executor(_THREADS, work)
    try:
        return await asyncio.shield(running)
    finally:
        stop()
        await asyncio.wait({running})
