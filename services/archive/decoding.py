"""What a file is, by decoding its beginning: the program of the process that does it, and nothing else.

`probing` starts it with an empty environment, hands it the plain bytes that it asks for, and reads its answer. It knows
no key and no path. Before the first byte comes it gives up what it does not need: files, more memory, more time.

Its standard output says that it has started, then asks (`offset` and `length`), and at last answers. Its standard input
brings exactly as many bytes as each question asks for.
"""

import ctypes
import io
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Also read by `probing`, which speaks the same language.
QUESTION: Final = struct.Struct(">cQI")  # kind, offset, length; of an answer: kind, 0, its length
STARTED, ASK, ANSWER = b"S", b"?", b"!"

_AHEAD: Final = 256 * 1024  # bytes asked for at once
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

# Containers of recordings; none of them can refer to other files or addresses, as playlists can.
_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,wav,mp3,aac,flac,mpegts,avi"
_MOST_STREAMS: Final = 32  # a camera writes two; a meeting's recorder a handful
_OPTIONS: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": "", "max_streams": str(_MOST_STREAMS)}
_TIME_BASE: Final = 1_000_000  # a container counts in microseconds (AV_TIME_BASE)
_FRAMES: Final = 3  # decoded of each kind, at the beginning
_SHORTEST: Final = 0.2  # seconds; less is no recording
_MIMES: Final = (  # the demuxer's name holds it -> with pictures, with sound only
    ("mp4", "video/mp4", "audio/mp4"),
    ("matroska", "video/webm", "audio/webm"),
    ("ogg", "video/ogg", "audio/ogg"),
    ("wav", "audio/wav", "audio/wav"),
    ("mp3", "audio/mpeg", "audio/mpeg"),
    ("flac", "audio/flac", "audio/flac"),
    ("aac", "audio/aac", "audio/aac"),
    ("mpegts", "video/mp2t", "video/mp2t"),
    ("avi", "video/x-msvideo", "video/x-msvideo"),
)


class NotMedia(Exception):  # noqa: N818 - says what is the case
    """It is neither a video nor a sound recording that can be read."""


class TooLarge(Exception):  # noqa: N818 - says what is the case
    """It is a recording whose pictures have more pixels, or which needs more memory, than it is given."""


class _Asked(io.RawIOBase):
    """The plain bytes, each piece asked for when it is read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("a place before the beginning")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        length = max(0, min(len(target), self._size - self._position))
        if length:
            _say(ASK, self._position, length)
            got = 0
            while got < length:
                piece = os.readv(0, [target[got:length]])
                if not piece:  # who asked us is gone
                    os._exit(1)
                got += piece
            self._position += length
        return length


def _say(kind: bytes, offset: int = 0, length: int = 0, text: bytes = b"") -> None:
    left = memoryview(QUESTION.pack(kind, offset, length) + text)
    while left:
        left = left[os.write(1, left) :]


def read(source: Any, most_pixels: int) -> dict[str, object]:
    """Read what it is. Raises NotMedia, TooLarge."""
    import av
    from av.error import FFmpegError

    av.logging.set_level(None)
    # Decoders count the margins that they add: they are given twice as many, and the pictures' own size is seen below.
    bound = {"max_pixels": str(2 * most_pixels)}
    try:
        with av.open(source, mode="r", options=_OPTIONS | bound) as container:
            for stream in (*container.streams.video, *container.streams.audio):
                stream.codec_context.thread_count = 1  # each thread would hold pictures of its own
                stream.codec_context.options = bound  # they may grow after the beginning
            return _read(container, most_pixels)
    except MemoryError as error:  # FFmpeg's own is one of Python's, too
        raise TooLarge from error
    except (FFmpegError, ValueError, EOFError) as error:
        raise NotMedia from error


def _read(container: Any, most_pixels: int) -> dict[str, object]:
    # A cover picture counts as moving pictures: it may show the person.
    pictures, sounds = list(container.streams.video), list(container.streams.audio)
    if not pictures and not sounds:
        raise NotMedia
    if any(stream.codec_context.width * stream.codec_context.height > most_pixels for stream in pictures):
        raise TooLarge
    for kind in (pictures[:1], sounds[:1]):
        if kind and not _decodes(container, kind[0]):
            raise NotMedia
    duration = _duration(container)
    if duration < _SHORTEST:
        raise NotMedia
    return {
        "has_video": bool(pictures),
        "mime": _mime(container.format.name, has_video=bool(pictures)),
        "codecs": [stream.codec_context.name for stream in (*pictures, *sounds)],
        "duration_seconds": round(duration, 3),
    }


def _decodes(container: Any, stream: Any) -> bool:
    container.seek(0)
    return any(True for _ in islice(container.decode(stream), _FRAMES))


def _duration(container: Any) -> float:
    """In seconds; by the header, or, where a browser's recorder wrote none, by the packets."""
    if container.duration and container.duration > 0:
        return float(container.duration / _TIME_BASE)
    container.seek(0)
    return float(max(_ends(container), default=Fraction(0)))


def _ends(container: Any) -> Iterator[Fraction]:
    for packet in container.demux():
        if packet.pts is not None:
            yield (packet.pts + (packet.duration or 0)) * (packet.time_base or Fraction(0))


def _mime(format_name: str, *, has_video: bool) -> str:
    for part, video, audio in _MIMES:
        if part in format_name:
            return video if has_video else audio
    raise NotMedia


def _load() -> None:
    """Load all of PyAV that decoding needs: parts of it are imported when a kind of stream is met, and no file opens
    then.
    """
    import av.audio.stream
    import av.subtitles.codeccontext
    import av.subtitles.stream
    import av.subtitles.subtitle
    import av.video.stream  # noqa: F401


def _give_up(memory: int, seconds: int) -> None:
    """Give up what decoding does not need. What a system other than Linux does not know is passed over there."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,  # no byte goes into any file
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,  # no process and no thread comes from it; root alone is not held to that
        resource.RLIMIT_NOFILE: 0,  # none is opened any more; those that are open stay so
    }
    for which, limit in limits.items():
        try:
            resource.setrlimit(which, (limit, limit))
        except (ValueError, OSError):
            if sys.platform == "linux":
                raise


def _end_with(parent: int) -> None:
    """End when the parent does, however it ends."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    parent, size, memory, seconds, most_pixels = (int(argument) for argument in sys.argv[1:])
    _end_with(parent)
    _load()
    _give_up(memory, seconds)
    _say(STARTED)
    answer: dict[str, object]
    with suppress(BrokenPipeError):
        try:
            answer = read(io.BufferedReader(_Asked(size), _AHEAD), most_pixels)
        except NotMedia:
            answer = {"refused": "not-media"}
        except (TooLarge, MemoryError):
            answer = {"refused": "too-large"}
        except (ImportError, OSError) as error:  # it wants a file after all: that is our doing
            answer = {"refused": "cannot-tell", "why": f"{type(error).__name__}: {error}"[:200]}
        except Exception:  # noqa: BLE001 - PyAV's own surprise at what was sent
            answer = {"refused": "not-media"}
        text = json.dumps(answer).encode()
        _say(ANSWER, 0, len(text), text)
    os._exit(0)  # what decoders hold is the system's to tidy up


if __name__ == "__main__":
    main()
