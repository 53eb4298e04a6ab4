"""Where the sealed files lie: `<institution>/<contact>/<random id>`, in the media folder, or, once they are finished,
in the bucket. The one place that knows.

A folder a contact, so that erasing leaves nothing behind: unfinished uploads and what a crash left go with it. The
media folder is asked first: a file leaves it only after it is in the bucket.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firsthand.shared.files import remove_folder
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import FileSource, MediaBusy, SealedReader, SealedWriter, in_hand, remove_media

if TYPE_CHECKING:
    from firsthand.shared.bucket_objects import Bucket

# Of players: uploads that wait for the disk, or a file that is examined, take none of them.
_THREADS: Final = ThreadPoolExecutor(16, "play")
_TRIES: Final = 20
_PART: Final = re.compile(r"\.\d+")  # what follows the name of a file that is made of parts
_TRY_EVERY: Final = 0.05  # seconds; a connection that broke off lets go of the file in less than one


class Shelf:
    """The sealed files of one contact. Methods raise OSError; with a bucket also BucketUnavailable."""

    def __init__(self, media: Path, bucket: "Bucket | None", institution: InstitutionId, contact_id: str) -> None:
        self._key = f"{institution}/{contact_id}"
        self._folder = media / institution / contact_id
        self._bucket = bucket

    async def begin(self, file: str, key: bytes) -> None:
        """Make the file of a new upload. Nothing else makes one, so that none comes back after it was removed."""

        def make() -> None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            SealedWriter(self._folder / file, key).close()

        await asyncio.to_thread(make)

    async def writer(self, file: str, key: bytes) -> SealedWriter:
        """Open a file for writing, where the last acknowledged byte left it, as soon as nobody else has it in hand.

        Raises FileNotFoundError; MediaBusy when somebody goes on having it.
        """
        for left in reversed(range(_TRIES)):
            try:
                return await asyncio.to_thread(SealedWriter, self._folder / file, key, create=False)
            except MediaBusy:
                if not left:
                    raise
            await asyncio.sleep(_TRY_EVERY)
        raise AssertionError

    async def reader(self, file: str, key: bytes) -> SealedReader:
        """Open a complete file for reading, wherever it is. Raises FileNotFoundError, MediaDamaged."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                _THREADS, lambda: SealedReader(FileSource.at(self._folder / file, _THREADS), key)
            )
        except FileNotFoundError:
            if self._bucket is None:
                raise
        bucket, place = self._bucket, self._place(file)
        return await loop.run_in_executor(bucket.threads, lambda: SealedReader(bucket.open(place), key))

    async def put(self, file: str, writer: SealedWriter, still: Callable[[], Awaitable[None]]) -> None:
        """Bring a finished file, which `writer` holds, to where it is to stay. Raises as `Bucket.put`."""
        if self._bucket:
            await self._bucket.put(self._place(file), writer.sealed(), still)

    async def parts(self, file: str) -> list[str]:
        """The files beside `file` that it is being made of, in the media folder of this replica."""

        def found() -> list[str]:
            with contextlib.suppress(FileNotFoundError):
                return sorted(path.name for path in self._folder.iterdir() if _PART.fullmatch(path.name, len(file)))
            return []

        return [name for name in await asyncio.to_thread(found) if name.startswith(f"{file}.")]

    async def remove_parts(self, file: str) -> None:
        """Remove what `file` was made of."""
        for part in await self.parts(file):
            await self.remove(part)

    async def settle(self, file: str) -> None:
        """Keep a file in one place only: once complete in the bucket, it leaves the folder."""
        path = self._folder / file
        if self._bucket is None or not path.exists():
            return
        if await self._bucket.size(self._place(file)) == path.stat().st_size:
            await asyncio.to_thread(remove_media, path)

    async def remove(self, file: str) -> None:
        """Remove a file, finished or not. Raises MediaBusy while it is being put into the bucket."""
        await asyncio.to_thread(self._remove, file)
        if self._bucket:
            await self._bucket.remove(self._place(file))

    async def clear(self) -> None:
        """Remove everything of this contact. Raises MediaBusy while something of it is being put into the bucket."""
        await self.clear_folder()
        if self._bucket:
            await self._bucket.clear(self._key)

    async def clear_folder(self) -> None:
        """Remove this contact's files from the media folder. Raises as `clear`."""
        await asyncio.to_thread(self._clear_folder)

    def _place(self, file: str) -> str:
        return f"{self._key}/{file}"

    def _remove(self, file: str) -> None:
        if self._folder.is_dir():
            self._must_be_free(self._folder / file)
            remove_media(self._folder / file)

    def _clear_folder(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # another replica removes it too
            for path in self._folder.iterdir():
                self._must_be_free(path)
        remove_folder(self._folder)

    def _must_be_free(self, path: Path) -> None:
        """An object that appears after its file was removed would be left behind."""
        if self._bucket and in_hand(path):
            raise MediaBusy("the recording is being put into the bucket")
