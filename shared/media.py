"""Sealed media: a recording in chunks, each encrypted, that can be sought without a plain byte on disk.

    header    magic (8), chunk size (4), file id (16)
    chunks    nonce (12), ciphertext (64 KiB, the last one shorter), tag (16); bound to the header and their place
    trailer   plain size (8), nonce (12), tag (16); proves that the file is whole

While an upload runs, the file holds full chunks only, and beside it `<name>.part` is the commit record: how many chunks
are safe, and the sealed rest that does not fill one yet. It is replaced as a whole at each `sync`, so that a crash at
any instruction leaves the last acknowledged offset readable. Nonces are random and each file has a key of its own.

Writing is to a local file always; reading is from a `Source`: a local file, or an object in a bucket (`shared.bucket`).

Everything here blocks: call it off the event loop.
"""

import fcntl
import glob
import io
import os
import secrets
import struct
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firsthand.shared.files import sync_folder, write_whole
from firsthand.shared.keys import derive

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK: Final = 64 * 1024  # plain bytes a chunk
SLOT: Final = 12 + CHUNK + 16  # sealed bytes that a full chunk takes: nonce, ciphertext, tag

_MAGIC: Final = b"FHMEDIA1"
_HEADER: Final = struct.Struct(">8sI16s")
_COUNT: Final = struct.Struct(">Q")
_NONCE: Final = 12
_TAG: Final = 16
_TRAILER: Final = _COUNT.size + _NONCE + _TAG


class MediaDamaged(Exception):  # noqa: N818 - says what is the case
    """The file was changed, cut short, is not finished, or belongs to another key."""


class MediaBusy(Exception):  # noqa: N818 - says what is the case
    """Another request is writing this file now."""


class Source(Protocol):
    """Where the bytes of a sealed file come from; threads may share it. Raises OSError, or BucketUnavailable."""

    size: int  # sealed bytes
    threads: Executor | None  # where to read without blocking the event loop; None: the loop's own threads

    def read(self, offset: int, length: int) -> bytes:
        """Give `length` bytes from `offset`; fewer at the end."""
        ...

    def close(self) -> None: ...


class FileSource:
    """A local file, by its descriptor."""

    def __init__(self, fd: int, threads: Executor | None = None) -> None:
        self._fd = fd
        self.threads = threads
        self.size = os.fstat(fd).st_size

    @classmethod
    def at(cls, path: Path, threads: Executor | None = None) -> Self:
        return cls(os.open(path, os.O_RDONLY), threads)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _Seal:
    """The cipher of one file: every piece is bound to the header, to what it is, and to its place."""

    def __init__(self, header: bytes, key: bytes) -> None:
        magic, chunk, file_id = _HEADER.unpack(header)
        if magic != _MAGIC or chunk != CHUNK:
            raise MediaDamaged("the file does not begin as sealed media do")
        self.header = header
        self._cipher = AESGCM(derive(key, "firsthand media file v1", salt=file_id))

    @classmethod
    def new(cls, key: bytes) -> Self:
        return cls(_HEADER.pack(_MAGIC, CHUNK, secrets.token_bytes(16)), key)

    def close(self, what: bytes, place: int, plain: bytes | memoryview) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, self._bound(what, place))

    def open(self, what: bytes, place: int, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._bound(what, place))
        except (InvalidTag, ValueError):
            raise MediaDamaged(f"the {what.decode()} {place} does not open") from None

    def _bound(self, what: bytes, place: int) -> bytes:
        return self.header + what + _COUNT.pack(place)


class SealedWriter:
    """Writes one sealed file, over as many interruptions as it takes.

    `write` takes bytes, `sync` makes them safe and gives the offset to acknowledge, `finish` completes the file.
    What was written and not synced is not there after an interruption. Raises MediaBusy, MediaDamaged, OSError; without
    `create` FileNotFoundError where there is no file.
    """

    def __init__(self, path: Path, key: bytes, *, resume: bool = True, create: bool = True) -> None:
        self._path = path
        self._key = key
        self.finished = False
        self._fd = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            self._lock()
            if not (resume and self._continue()):
                self._begin()
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def offset(self) -> int:
        """How many plain bytes were given so far; after `sync` they are safe, and a resumed writer begins there."""
        return self._chunks * CHUNK + len(self._rest)

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Full chunks go to disk sealed; the rest waits in memory for more, or for `sync`."""
        if self.finished:
            raise ValueError("the file is finished")
        view = memoryview(data)
        while view:
            taken = min(CHUNK - len(self._rest), len(view))
            self._rest += view[:taken]
            view = view[taken:]
            if len(self._rest) == CHUNK:
                self._write(self._seal.close(b"chunk", self._chunks, bytes(self._rest)))
                self._rest.clear()
                self._chunks += 1

    def sync(self) -> int:
        """Make everything written so far safe against a crash; returns the offset that may be acknowledged."""
        if not self.finished:
            os.fsync(self._fd)
            rest = self._seal.close(b"rest", self._chunks, bytes(self._rest))
            write_whole(_part(self._path), self._seal.header + _COUNT.pack(self._chunks) + rest, replace=True)
        return self.offset

    def finish(self) -> int:
        """Complete the file so that it can be read; returns its plain size. May be repeated after a crash."""
        if self.finished:
            return self.offset
        size = self.sync()
        if self._rest:
            self._write(self._seal.close(b"chunk", self._chunks, bytes(self._rest)))
        self._write(_COUNT.pack(size) + self._seal.close(b"trailer", size, b""))
        os.fsync(self._fd)
        self.finished = True
        _forget_upload(self._path)
        return size

    def sealed(self) -> FileSource:
        """The finished file as it lies there. Nobody else writes or removes it before this, too, is closed."""
        return FileSource(os.dup(self._fd))

    def close(self) -> None:
        """Let go of the file. What was not synced is forgotten."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MediaBusy("another request is writing this recording") from None
        try:  # the file may have been removed between opening and locking it
            same = os.path.samestat(os.fstat(self._fd), os.stat(self._path))  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            same = False
        if not same:
            raise MediaBusy("the recording is being removed")

    def _begin(self) -> None:
        _forget_upload(self._path)
        os.ftruncate(self._fd, 0)
        self._seal = _Seal.new(self._key)
        self._chunks = 0
        self._rest = bytearray()
        self._write(self._seal.header)
        self.sync()

    def _continue(self) -> bool:
        """Take up where the last sync, or finish, left it. False if nothing was ever acknowledged."""
        header = os.pread(self._fd, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            return False
        self._seal = _Seal(header, self._key)
        if (size := _whole(FileSource(self._fd), self._seal)) is not None:
            self._chunks, rest = divmod(size, CHUNK)
            self._rest = bytearray(rest)  # only its length counts: nothing is written any more
            self.finished = True
            _forget_upload(self._path)
            return True
        try:
            record = _part(self._path).read_bytes()
        except FileNotFoundError:
            if os.fstat(self._fd).st_size > _HEADER.size:
                raise MediaDamaged("the file is cut short, or the record of what was uploaded is gone") from None
            return False
        start = _HEADER.size + _COUNT.size
        if len(record) < start or record[: _HEADER.size] != header:
            raise MediaDamaged("the record of what was uploaded belongs to another file")
        (self._chunks,) = _COUNT.unpack(record[_HEADER.size : start])
        self._rest = bytearray(self._seal.open(b"rest", self._chunks, record[start:]))
        end = _HEADER.size + self._chunks * SLOT
        if os.fstat(self._fd).st_size < end:
            raise MediaDamaged("chunks that were acknowledged are missing")
        os.ftruncate(self._fd, end)
        os.lseek(self._fd, end, os.SEEK_SET)
        return True

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SealedReader:
    """Reads a finished sealed file from any place, one chunk in memory at a time; threads may share it.

    Raises MediaDamaged at once when the file is not whole, and for each chunk that was changed.
    """

    def __init__(self, source: Source, key: bytes) -> None:
        self._source = source
        try:
            header = source.read(0, _HEADER.size)
            if len(header) < _HEADER.size:
                raise MediaDamaged("the file is shorter than its header")  # noqa: TRY301 - closed below
            self._seal = _Seal(header, key)
            size = _whole(source, self._seal)
            if size is None:
                raise MediaDamaged("the file is not whole, or was sealed with another key")  # noqa: TRY301
        except BaseException:
            source.close()
            raise
        self.size: Final = size  # plain bytes

    @property
    def threads(self) -> Executor | None:
        """Where to read without blocking the event loop."""
        return self._source.threads

    def chunk(self, index: int) -> bytes:
        """Open one chunk."""
        length = min(CHUNK, self.size - index * CHUNK)
        if index < 0 or length <= 0:
            raise IndexError(index)
        sealed = self._source.read(_HEADER.size + index * SLOT, _NONCE + length + _TAG)
        return self._seal.open(b"chunk", index, sealed)

    def read_range(self, start: int, end: int) -> Iterator[bytes]:
        """Give the plain bytes from `start` up to, not including, `end`, in pieces of at most a chunk each."""
        end = min(end, self.size)
        while start < end:
            index, skip = divmod(start, CHUNK)
            piece = self.chunk(index)[skip : skip + end - start]
            yield piece
            start += len(piece)

    def file(self) -> "SealedFile":
        """A file-like object over the plain bytes, for libraries that want one (PyAV). Close the reader after it."""
        return SealedFile(self)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SealedFile(io.RawIOBase):
    """A seekable, read-only file over a sealed one; it keeps the chunk it is in, so that small reads are cheap."""

    def __init__(self, reader: SealedReader) -> None:
        super().__init__()
        self._reader = reader
        self._position = 0
        self._index = -1
        self._chunk = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}[whence]
        if origin + offset < 0:
            raise ValueError("a place before the beginning")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if self._position >= self._reader.size:
            return 0
        index, skip = divmod(self._position, CHUNK)
        if index != self._index:
            self._chunk, self._index = self._reader.chunk(index), index
        target = memoryview(buffer).cast("B")
        piece = self._chunk[skip : skip + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def remove_media(path: Path) -> None:
    """Remove a sealed file and the record of its upload. Nothing happens if they are gone already."""
    _forget_upload(path)
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def in_hand(path: Path) -> bool:
    """Whether somebody holds this file though all its bytes have come: it is being looked at, or put elsewhere."""
    if _part(path).exists():
        return False
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _whole(source: Source, seal: _Seal) -> int | None:
    """The plain size, if the trailer is there, true, and where it must be for that size."""
    length = source.size
    trailer = source.read(max(0, length - _TRAILER), _TRAILER)
    if len(trailer) < _TRAILER:
        return None
    (size,) = _COUNT.unpack(trailer[: _COUNT.size])
    full, rest = divmod(size, CHUNK)
    if length != _HEADER.size + full * SLOT + (rest + _NONCE + _TAG if rest else 0) + _TRAILER:
        return None
    try:
        seal.open(b"trailer", size, trailer[_COUNT.size :])
    except MediaDamaged:
        return None
    return int(size)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _forget_upload(path: Path) -> None:
    for record in path.parent.glob(glob.escape(_part(path).name) + "*"):  # with drafts that a crash left
        record.unlink(missing_ok=True)
