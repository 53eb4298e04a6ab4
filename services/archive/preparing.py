"""Making the viewing copy of a file, in a process of its own: what it is given, and where what it makes is kept.

Nothing is ever on the disk in the clear: what the process gives away is sealed as it comes.
"""

import hashlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Annotated, Final, Self

from pydantic import Field

from firsthand.services.archive.apart import Answer, Limits, Still, TooDemanding, run
from firsthand.services.archive.model import Version
from firsthand.services.archive.model.edits import blurs_of, cuts_of, silences_of
from firsthand.services.archive.probing import MOST_MEMORY, MOST_PIXELS, in_thread
from firsthand.services.archive.process import PICTURES, RESULT, SOUND, SOURCE
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.services.archive.storage import Shelf
from firsthand.shared.disk import Disk
from firsthand.shared.media import MediaDamaged, SealedReader, SealedWriter

LONGEST: Final = 12 * 3600  # seconds of a recording
_SEGMENT: Final = 60  # seconds of pictures that are lost at most when the work is interrupted
_SILENCE: Final = 120.0  # seconds by the clock within which something comes of it
_MOST_SEGMENTS: Final = LONGEST // _SEGMENT
# Processor time: pictures that are hard to encode take ten seconds for each of theirs; what takes longer is no meeting.
_SECONDS: Final = 600 + 20 * LONGEST


class Made(Answer):
    """What the process answers."""

    has_video: bool = False
    codecs: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}$")]], Field(max_length=2)] = []
    duration_seconds: Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)] = 0.0
    broke_off: bool = False
    copied: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=2)] = []


class Prepared(Made):
    """The same, and what archive itself found out."""

    bytes: int
    sha256: str


class Bench:
    """Where one version is made: its sealed parts, each a file of its own until all of it is whole."""

    def __init__(self, shelf: Shelf, disk: Disk, version_id: str, key: bytes, still: Still) -> None:
        """`still` raises when the version is no longer to be made."""
        self._shelf = shelf
        self._disk = disk
        self._name = version_id
        self._key = key
        self._still = still
        self._readers: dict[int, SealedReader] = {}
        self._writers: dict[int, SealedWriter] = {}
        self.source: SealedReader | None = None
        self.told: Callable[[int], None] = lambda _: None

    async def __aenter__(self) -> Self:
        """Find the parts that an earlier run left whole."""
        for name in await self._shelf.parts(self._name):
            file = int(name.rpartition(".")[2])
            try:
                self._readers[file] = await self._shelf.reader(name, self._key)
            except MediaDamaged:
                await self._shelf.remove(name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        for reader in self._readers.values():
            reader.close()

    def sizes(self) -> dict[int, int]:
        """Bytes of the files that are there, by their numbers."""
        return {file: reader.size for file, reader in self._readers.items()}

    # -- as a desk

    async def read(self, file: int, start: int, end: int) -> bytes:
        reader = self.source if file == SOURCE else self._readers[file]
        if reader is None or end > reader.size:
            raise LookupError(file)
        return await in_thread(lambda: b"".join(reader.read_range(start, end)))

    async def take(self, file: int, piece: bytes) -> None:
        writer = self._writers.get(file) or await self._begin(file)

        def write() -> None:
            self._disk.admit_bulk(len(piece))
            writer.write(piece)

        await in_thread(write)

    async def finish(self, file: int) -> None:
        writer = self._writers.get(file) or await self._begin(file)
        await in_thread(writer.finish)
        if file != RESULT:  # that one stays in hand, until it is where it stays
            del self._writers[file]
            writer.close()
            self._readers[file] = await self._shelf.reader(self._file(file), self._key)

    async def progress(self, thousandths: int) -> None:
        self.told(thousandths)

    # -- the result

    async def kept(self, still: Still) -> tuple[int, str]:
        """Bring the result to where it stays; gives its size in bytes and its SHA-256, in hexadecimal."""
        writer = self._writers.get(RESULT)
        if writer is None or not writer.finished:
            raise TooDemanding
        with await self._shelf.reader(self._name, self._key) as reader:
            found = reader.size, await _digest(reader)
        await self._shelf.put(self._name, writer, still)
        return found

    async def _begin(self, file: int) -> SealedWriter:
        if file not in (RESULT, SOUND) and not PICTURES <= file <= PICTURES + _MOST_SEGMENTS:
            raise LookupError(file)
        if file in self._readers:
            raise LookupError(file)
        name = self._file(file)
        await self._still()  # what is held by now is not removed
        await self._shelf.remove(name)  # what an earlier run left unfinished
        await self._shelf.begin(name, self._key)
        writer = self._writers[file] = await self._shelf.writer(name, self._key)
        return writer

    def _file(self, file: int) -> str:
        return self._name if file == RESULT else f"{self._name}.{file}"


async def prepare(
    source: SealedReader, bench: Bench, version: Version, still: Still, told: Callable[[int], None]
) -> Prepared:
    """Make a version of `source`. Raises as `apart.run`, and what reading and writing sealed files raises."""
    bench.source, bench.told = source, told
    whole = float(_SECONDS)
    limits = Limits(memory=MOST_MEMORY, seconds=_SECONDS, silence=_SILENCE, whole=5 * whole)
    plan = {
        "sizes": {SOURCE: source.size, **bench.sizes()},
        "picture": version.picture,
        "sound": version.sound,
        "into": ArchiveSettings().codecs,
        "pixels": MOST_PIXELS,
        "longest": LONGEST,
        "segment": _SEGMENT,
        "cuts": cuts_of(version.edits),
        "silences": silences_of(version.edits),
        "blurs": blurs_of(version.edits),
        "voice": any(edit.kind == "voice" for edit in version.edits),
    }
    made = await run("prepare", plan, bench, Made, limits, still)
    size, sha256 = await bench.kept(still)
    return Prepared(**dict(made), bytes=size, sha256=sha256)


async def _digest(reader: SealedReader) -> str:
    stop = threading.Event()

    def hashed() -> str:
        digest = hashlib.sha256()
        for piece in reader.read_range(0, reader.size):
            if stop.is_set():
                break
            digest.update(piece)
        return digest.hexdigest()

    return await in_thread(hashed, stop.set)
