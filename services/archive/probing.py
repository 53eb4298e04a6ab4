"""What a file really is: its tracks, and what else is in it. Its beginning is decoded in a process of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, TypeVar

from pydantic import Field

from firsthand.services.archive.apart import Answer, Limits, Still, run
from firsthand.services.archive.model import Extra, Track
from firsthand.services.archive.process import SOURCE
from firsthand.shared.media import SealedReader
from firsthand.shared.service import Context

T = TypeVar("T")

_AT_ONCE: Final = 2
_SECONDS: Final = 60  # of processor time, and one more for each 16 MiB: some recorders leave no length in the header
_MORE_PER: Final = 16 * 1024**2  # bytes
_PATIENCE: Final = 5  # seconds by the clock for each of processor time: the disk and others are served meanwhile
MOST_MEMORY: Final = 1024**3  # bytes
MOST_PIXELS: Final = 7680 * 4320  # of one picture: 8K
# So that it never takes the threads of players and uploads.
THREADS: Final = ThreadPoolExecutor(2, "media")


class Findings(Answer):
    """What was found in a file."""

    tracks: Annotated[list[Track], Field(max_length=32)] = []
    extras: Annotated[list[Extra], Field(max_length=16)] = []
    duration_seconds: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)] = 0.0


class Examiner:
    """Examines files for one replica, so many at once: each may take a gigabyte."""

    def __init__(self, _context: Context) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def examine(
        self, reader: SealedReader, still: Still, *, memory: int = MOST_MEMORY, pixels: int = MOST_PIXELS
    ) -> Findings:
        """Read what a file is, with so many bytes of memory, and pixels of one picture. Raises as `apart.run`,
        MediaDamaged, OSError.
        """
        seconds = _SECONDS + reader.size // _MORE_PER
        whole = _PATIENCE * seconds
        limits = Limits(memory=memory, seconds=seconds, silence=whole, whole=whole)
        plan = {"size": reader.size, "pixels": pixels}
        async with self._turns:
            return await run("examine", plan, Reading(reader), Findings, limits, still)


async def in_thread(work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """Read or write a file in a thread of ours, and let go of it before it is closed, also when we are cancelled."""
    running = asyncio.get_running_loop().run_in_executor(THREADS, work)
    try:
        return await asyncio.shield(running)
    finally:
        stop()
        await asyncio.wait({running})


class Reading:
    """A desk at which one file is read, and nothing is made."""

    def __init__(self, reader: SealedReader) -> None:
        self._reader = reader

    async def read(self, file: int, start: int, end: int) -> bytes:
        if file != SOURCE or end > self._reader.size:
            raise LookupError(file)
        return await in_thread(lambda: b"".join(self._reader.read_range(start, end)))

    async def take(self, file: int, piece: bytes) -> None:  # noqa: ARG002 - it makes nothing
        raise LookupError(file)

    async def finish(self, file: int) -> None:
        raise LookupError(file)

    async def progress(self, thousandths: int) -> None:
        pass
