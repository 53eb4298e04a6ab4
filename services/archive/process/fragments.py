"""Fragmented MP4 with an index at its beginning, written from the first byte to the last.

FFmpeg writes fragments without one to a file in which it cannot go back: browsers then know neither how long it is
nor where to jump. So the same fragments are muxed twice: once to measure them, once to give them away behind an index
(`sidx`) and a length (`mehd`), as ISO/IEC 14496-12 has them.
"""

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BOX: Final = struct.Struct(">I4s")
_SAP: Final = 0x90000000  # each fragment begins with a picture that needs no other
_TRACK: Final = 1  # the one whose times count: the pictures, or the sound where there are none


@dataclass
class Index:
    """What the first muxing measured."""

    head: bytes = b""  # `ftyp` and `moov`
    sizes: list[int] = field(default_factory=list)  # bytes of each fragment
    begins: list[int] = field(default_factory=list)  # by the clock of the track that counts


class Measure(io.RawIOBase):
    """Takes what the muxer writes, and keeps only how much it is."""

    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self._boxes = _Boxes(self._take, lambda _: None)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: "ReadableBuffer", /) -> int:
        return self._boxes.write(piece)

    def _take(self, kind: bytes, size: int, box: bytes) -> None:
        if kind in (b"ftyp", b"moov"):
            self.index.head += box
        elif kind == b"moof":
            self.index.sizes.append(size)
            begin = _begin(box)
            self.index.begins.append(begin if begin is not None else max(self.index.begins, default=0))
        else:
            self.index.sizes[-1] += size


class Indexed(io.RawIOBase):
    """Passes the fragments on behind the index of all of them."""

    def __init__(self, out: Callable[[bytes], object], index: Index, end: int) -> None:
        """`end`: when the track that counts ends, by its clock."""
        super().__init__()
        self._out = out
        self._sizes: list[int] = []
        self._index = index
        self._boxes = _Boxes(self._take, out)
        out(_with_index(index, end))

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: "ReadableBuffer", /) -> int:
        return self._boxes.write(piece)

    def check(self) -> None:
        """Raises ValueError if it was muxed otherwise than when it was measured."""
        if self._sizes != self._index.sizes:
            raise ValueError("the fragments differ from those that were measured")

    def _take(self, kind: bytes, size: int, box: bytes) -> None:
        if kind in (b"ftyp", b"moov"):
            return
        if kind == b"moof":
            self._sizes.append(size)
        else:
            self._sizes[-1] += size
        self._out(box)


class _Boxes:
    """Splits a stream into the boxes of its highest level; the content of `mdat` is passed on as it comes."""

    def __init__(self, take: Callable[[bytes, int, bytes], None], content: Callable[[bytes], object]) -> None:
        self._take = take
        self._content = content
        self._waiting = bytearray()
        self._left = 0  # bytes of an `mdat`

    def write(self, piece: "ReadableBuffer") -> int:
        data = memoryview(piece).cast("B")
        self._waiting += data
        while self._waiting:
            if self._left:
                content = bytes(self._waiting[: self._left])
                del self._waiting[: len(content)]
                self._left -= len(content)
                self._content(content)
                continue
            if len(self._waiting) < _BOX.size:
                break
            size, kind = _BOX.unpack_from(self._waiting)
            if kind == b"mdat":
                head = bytes(self._waiting[: _BOX.size])
                del self._waiting[: _BOX.size]
                self._left = size - _BOX.size
                self._take(kind, size, head)
                continue
            if len(self._waiting) < size:
                break
            box = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._take(kind, size, box)
        return len(data)


def clock_of(index: Index) -> int:
    """How often the clock of the track that counts ticks in a second."""
    for track in _inside(_one(index.head, b"moov"), b"trak"):
        if _track_id(_one(track, b"tkhd")) == _TRACK:
            header = _one(_one(track, b"mdia"), b"mdhd")
            return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])
    raise ValueError("the muxer wrote no such track")


def _with_index(index: Index, end: int) -> bytes:
    clock = clock_of(index)
    length = end * 1000 // clock  # in the clock of the whole file, which ticks a thousand times a second
    mehd = _box(b"mehd", struct.pack(">IQ", 1 << 24, length))
    movie = b""
    for kind, content in _boxes(_one(index.head, b"moov")):
        if kind == b"udta":  # the muxer's own name
            continue
        movie += _box(kind, mehd + content if kind == b"mvex" else content)
    ends = [*index.begins[1:], end]
    spans = [max(0, after - begin) for begin, after in zip(index.begins, ends, strict=True)]
    parts = b"".join(struct.pack(">III", size, span, _SAP) for size, span in zip(index.sizes, spans, strict=True))
    head = struct.pack(">IIIQQHH", 1 << 24, _TRACK, clock, index.begins[0] if index.begins else 0, 0, 0, len(spans))
    return _box(b"ftyp", _one(index.head, b"ftyp")) + _box(b"moov", movie) + _box(b"sidx", head + parts)


def _begin(fragment: bytes) -> int | None:
    """When the track that counts goes on in this fragment (`moof`); None if it has nothing there."""
    for track in _inside(fragment[_BOX.size :], b"traf"):
        if struct.unpack_from(">I", _one(track, b"tfhd"), 4)[0] == _TRACK:
            time = _one(track, b"tfdt")
            return int(struct.unpack_from(">Q" if time[0] else ">I", time, 4)[0])
    return None


def _track_id(header: bytes) -> int:
    return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])


def _box(kind: bytes, content: bytes) -> bytes:
    return _BOX.pack(_BOX.size + len(content), kind) + content


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(content):
        size, kind = _BOX.unpack_from(content, place)
        yield kind, content[place + _BOX.size : place + size]
        place += size


def _inside(content: bytes, kind: bytes) -> Iterator[bytes]:
    return (inner for found, inner in _boxes(content) if found == kind)


def _one(content: bytes, kind: bytes) -> bytes:
    return next(_inside(content, kind))
