"""The process of its own in which media are decoded and encoded: started, asked of, bounded, ended.

What it says is believed only as far as its shape allows: it may no longer be ours.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from firsthand.services.archive.process import ANSWER, ASK, FINISH, GIVE, HEAD, PROGRESS, STARTED
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.tasks import ended

Still = Callable[[], Awaitable[None]]

_PROGRAM: Final = Path(__file__).with_name("process") / "__main__.py"
_LOOK_EVERY: Final = 0.25  # seconds between two questions whether the work may go on
_PARTING: Final = 2.0  # seconds
_STARTS_WITHIN: Final = 30.0  # seconds; 0.2 where nothing else runs
_MOST_AT_ONCE: Final = 1024 * 1024  # bytes asked for, or given
_LONGEST_ANSWER: Final = 64 * 1024  # bytes
_ALL: Final = 1000  # thousandths


class NotMedia(Exception):  # noqa: N818 - says what is the case
    """It is neither a video nor a sound recording that can be read."""


class TooDemanding(Exception):  # noqa: N818 - says what is the case
    """It needs more memory, time or pixels than it is given."""


class Ended(TooDemanding):
    """The process was ended: by one of its limits, or by somebody who wanted its memory for something else."""


class CannotExamine(StoreUnavailable):
    """The process does not start. That is not the recording's doing."""


@dataclass(frozen=True)
class Limits:
    """What the process may take."""

    memory: int  # bytes of address space, of which an interpreter with FFmpeg takes 120 MB
    seconds: int  # of processor time
    silence: float  # seconds by the clock between two words of it
    whole: float  # seconds by the clock for all of it


class Desk(Protocol):
    """Where the process gets bytes from, and leaves what it makes. Its methods raise what reading and writing raise."""

    async def read(self, file: int, start: int, end: int) -> bytes:
        """Give these bytes. Raises LookupError if the file does not have them."""
        ...

    async def take(self, file: int, piece: bytes) -> None:
        """Take the next bytes of a file. Raises LookupError for a file that is not to be made."""
        ...

    async def finish(self, file: int) -> None:
        """Keep a file that is whole, so that it can be read."""
        ...

    async def progress(self, thousandths: int) -> None: ...


class Answer(BaseModel):
    """What every task may answer; each adds its own."""

    model_config = ConfigDict(frozen=True, strict=True)

    refused: Literal["", "not-media", "too-large", "cannot-tell"] = ""
    why: str = ""  # it cannot tell


A = TypeVar("A", bound=Answer)


async def run(task: str, plan: Mapping[str, Any], desk: Desk, shape: type[A], limits: Limits, still: Still) -> A:
    """Have one task done. `still` raises when the work is no longer wanted: it is asked all the time, and ends it.

    Raises what it raises; NotMedia, TooDemanding, CannotExamine, and what the desk raises.
    """
    work = asyncio.create_task(_run(task, plan, desk, shape, limits), name=task)
    try:
        while not (await asyncio.wait({work}, timeout=_LOOK_EVERY))[0]:
            await still()
        answer = await work
    finally:
        await ended([work])
    match answer.refused:
        case "not-media":
            raise NotMedia
        case "too-large":
            raise TooDemanding
        case "cannot-tell":
            raise CannotExamine(f"the process for media fails: {answer.why[:200]}")
    return answer


async def _run(task: str, plan: Mapping[str, Any], desk: Desk, shape: type[A], limits: Limits) -> A:
    arguments = (str(os.getpid()), str(limits.memory), str(limits.seconds), task, json.dumps(plan))
    try:
        # -I: no environment, no folder of ours among those that modules come from, but the one that it adds itself.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_PROGRAM), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={}, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise CannotExamine(f"the process for media does not start: {error.strerror}") from error
    assert process.stdin
    assert process.stdout
    by_itself = False
    try:
        try:
            async with asyncio.timeout(_STARTS_WITHIN):
                kind, *_ = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
        except (asyncio.IncompleteReadError, TimeoutError):
            raise CannotExamine("the process for media does not start") from None
        if kind != STARTED:
            raise CannotExamine("the process for media is of another release")
        async with asyncio.timeout(limits.whole):
            text = await _talk(process.stdin, process.stdout, desk, limits.silence)
        answer = shape.model_validate_json(text)
        by_itself = True
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
        by_itself = True
        raise Ended from None
    except (ConnectionError, TimeoutError, ValidationError, LookupError):
        raise TooDemanding from None  # it takes too long, or no longer does what we wrote
    else:
        return answer
    finally:
        await asyncio.shield(_end(process, by_itself=by_itself))


async def _talk(
    questions_end: asyncio.StreamWriter, answers: asyncio.StreamReader, desk: Desk, silence: float
) -> bytes:
    while True:
        async with asyncio.timeout(silence):
            kind, file, place, length = HEAD.unpack(await answers.readexactly(HEAD.size))
            if kind == ASK and length <= _MOST_AT_ONCE:
                questions_end.write(await desk.read(file, place, place + length))
                await questions_end.drain()
            elif kind == GIVE and length <= _MOST_AT_ONCE:
                await desk.take(file, await answers.readexactly(length))
            elif kind == FINISH:
                await desk.finish(file)
            elif kind == PROGRESS and place <= _ALL:
                await desk.progress(place)
            elif kind == ANSWER and length <= _LONGEST_ANSWER:
                return await answers.readexactly(length)
            else:
                raise ConnectionAbortedError


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
