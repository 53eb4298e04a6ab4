"""Where the sealed files lie: `<media>/<institution>/<contact>/<random id>`. The one place that knows.

A folder a contact, so that erasing leaves nothing behind: unfinished uploads and what a crash left go with it. Methods
block and raise OSError; call them off the event loop.
"""

import shutil
from pathlib import Path

from shared.files import sync_folder
from shared.identifiers import InstitutionId
from shared.media import FileSource, SealedReader, SealedWriter, remove_media


class Shelf:
    """The sealed files of one contact."""

    def __init__(self, media: Path, institution: InstitutionId, contact_id: str) -> None:
        self._folder = media / institution / contact_id

    def prepare(self) -> None:
        """Make the folder, for a first upload. A writer never makes it, so that none comes back after an erasure."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def writer(self, file: str, key: bytes) -> SealedWriter:
        """Open a file for writing, where the last acknowledged byte left it."""
        return SealedWriter(self._folder / file, key, resume=True)

    def reader(self, file: str, key: bytes) -> SealedReader:
        """Open a complete file for reading. Raises MediaDamaged."""
        return SealedReader(FileSource.at(self._folder / file), key)

    def remove(self, file: str) -> None:
        if self._folder.is_dir():
            remove_media(self._folder / file)

    def clear(self) -> None:
        """Remove everything of this contact."""
        if self._folder.is_dir():
            shutil.rmtree(self._folder)
            sync_folder(self._folder.parent)
