"""The process: it confines itself, does its one task, answers, and ends."""

import ctypes
import io
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from firsthand.services.archive.process import ANSWER, ASK, FINISH, GIVE, HEAD, PROGRESS, STARTED

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_AHEAD: Final = 256 * 1024  # bytes asked for, and given, at once
# PyAV imports these only when it meets a stream of their kind.
_LOADED: Final = (
    "av.audio.resampler",
    "av.audio.stream",
    "av.bitstream",
    "av.filter.graph",
    "av.subtitles.codeccontext",
    "av.subtitles.stream",
    "av.subtitles.subtitle",
    "av.video.reformatter",
    "av.video.stream",
    "firsthand.services.archive.process.examining",
    "firsthand.services.archive.process.preparing",
)
_LOADED_FOR_VOICES: Final = ("firsthand.services.archive.process.voice",)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


class NotMedia(Exception):  # noqa: N818 - says what is the case
    """It is neither a video nor a sound recording that can be read."""


class TooLarge(Exception):  # noqa: N818 - says what is the case
    """It is a recording whose pictures have more pixels, or which needs more memory or time, than it is given."""


class Outside:
    """Who started this process: asked for bytes, given bytes, told how far it is."""

    def __init__(self) -> None:
        self._told = -1

    def open(self, file: int, size: int) -> io.BufferedReader:
        """The plain bytes of a file, each piece asked for when it is read."""
        return io.BufferedReader(_Asked(file, size), _AHEAD)

    def make(self, file: int) -> "Given":
        """A new file, which is given away while it is written."""
        return Given(file)

    def progress(self, done: float) -> None:
        """Tell that this share is done, from 0 to 1."""
        thousandths = int(max(0.0, min(1.0, done)) * 1000)
        if thousandths > self._told:
            self._told = thousandths
            _say(PROGRESS, place=thousandths)


class _Asked(io.RawIOBase):
    def __init__(self, file: int, size: int) -> None:
        super().__init__()
        self._file = file
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
            _say(ASK, self._file, self._position, length)
            got = 0
            while got < length:
                piece = os.readv(0, [target[got:length]])
                if not piece:  # who asked us is gone
                    os._exit(1)
                got += piece
            self._position += length
        return length


class Given(io.RawIOBase):
    """A file that is only written, and from its beginning to its end."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._waiting = bytearray()
        self.size = 0  # bytes

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: "ReadableBuffer", /) -> int:
        data = memoryview(piece).cast("B")
        self._waiting += data
        self.size += len(data)
        if len(self._waiting) >= _AHEAD:
            self._give()
        return len(data)

    def finish(self) -> None:
        """Say that this was all of it."""
        self._give()
        _say(FINISH, self._file)

    def _give(self) -> None:
        if self._waiting:
            _say(GIVE, self._file, length=len(self._waiting), bytes_=bytes(self._waiting))
            self._waiting.clear()


def _say(kind: bytes, file: int = 0, place: int = 0, length: int = 0, bytes_: bytes = b"") -> None:
    left = memoryview(HEAD.pack(kind, file, place, length) + bytes_)
    while left:
        left = left[os.write(1, left) :]


def _load(plan: Any) -> None:
    """Load all that is needed, as no file opens any more afterwards."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's; it would begin as many as there are cores
    for module in (*_LOADED, *(_LOADED_FOR_VOICES if plan.get("voice") else ())):
        import_module(module)


def _give_up(memory: int, seconds: int) -> None:
    """Give up what the task does not need. What a system other than Linux does not know is passed over there."""
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


def _done(task: str, plan: Any) -> dict[str, object]:
    from firsthand.services.archive.process.examining import examine
    from firsthand.services.archive.process.preparing import prepare

    outside = Outside()
    return examine(outside, plan) if task == "examine" else prepare(outside, plan)


def main() -> None:
    """Arguments: the parent's process id, bytes of memory, seconds of processor time, the task, its plan as JSON."""
    parent, memory, seconds = (int(argument) for argument in sys.argv[1:4])
    task, plan = sys.argv[4], json.loads(sys.argv[5])
    _end_with(parent)
    _load(plan)
    _give_up(memory, seconds)
    _say(STARTED)
    answer: dict[str, object]
    with suppress(BrokenPipeError):
        try:
            answer = _done(task, plan)
        except NotMedia:
            answer = {"refused": "not-media"}
        except (TooLarge, MemoryError):
            answer = {"refused": "too-large"}
        except (ImportError, OSError) as error:  # it wants a file after all: that is our doing
            answer = {"refused": "cannot-tell", "why": f"{type(error).__name__}: {error}"[:200]}
        except Exception:  # noqa: BLE001 - PyAV's own surprise at what was sent
            answer = {"refused": "not-media"}
        text = json.dumps(answer).encode()
        _say(ANSWER, length=len(text), bytes_=text)
    os._exit(0)  # what decoders hold is the system's to tidy up
