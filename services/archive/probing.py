"""What a file really is: read and decoded by PyAV from its sealed form, never by its name or what a browser claims.

Everything here blocks: call it off the event loop.
"""

import hashlib
import io
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from firsthand.shared.media import CHUNK, SealedReader

# Containers of recordings; none of them can refer to other files or addresses, as playlists can.
_FORMATS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,wav,mp3,aac,flac,mpegts,avi"
_OPTIONS: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
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
# What today's browsers play in the containers above.
PLAYED_BY_BROWSERS: Final = frozenset(
    {"h264", "vp8", "vp9", "av1", "aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le"}
)


class NotMedia(Exception):  # noqa: N818 - says what is the case
    """It is neither a video nor a sound recording that can be read."""


@dataclass(frozen=True)
class Findings:
    """What was found in a file."""

    has_video: bool
    mime: str
    codecs: list[str]
    duration_seconds: float
    bytes: int
    sha256: str


def examine(reader: SealedReader) -> Findings:
    """Hash the whole content and read what it is. Raises NotMedia, MediaDamaged, OSError."""
    import av  # with FFmpeg, 13 MB, which a process has only once it examines a recording
    from av.error import FFmpegError

    digest = hashlib.sha256()
    for piece in reader.read_range(0, reader.size):
        digest.update(piece)
    try:
        with av.open(io.BufferedReader(reader.file(), CHUNK), mode="r", options=dict(_OPTIONS)) as container:
            return _read(container, reader.size, digest.hexdigest())
    except (FFmpegError, ValueError, EOFError) as error:
        raise NotMedia from error


def _read(container: Any, size: int, sha256: str) -> Findings:
    # A cover picture counts as moving pictures: it may show the person.
    pictures, sounds = list(container.streams.video), list(container.streams.audio)
    if not pictures and not sounds:
        raise NotMedia
    for stream in (pictures[:1], sounds[:1]):
        if stream and not _decodes(container, stream[0]):
            raise NotMedia
    duration = _duration(container)
    if duration < _SHORTEST:
        raise NotMedia
    return Findings(
        has_video=bool(pictures),
        mime=_mime(container.format.name, has_video=bool(pictures)),
        codecs=[stream.codec_context.name for stream in (*pictures, *sounds)],
        duration_seconds=round(duration, 3),
        bytes=size,
        sha256=sha256,
    )


def _decodes(container: Any, stream: Any) -> bool:
    container.seek(0)
    return any(True for _ in islice(container.decode(stream), _FRAMES))


def _duration(container: Any) -> float:
    """In seconds; by the header, or, where a browser's recorder wrote none, by the packets."""
    if container.duration and container.duration > 0:
        return float(container.duration / _TIME_BASE)
    container.seek(0)
    ends = (
        (packet.pts + (packet.duration or 0)) * (packet.time_base or Fraction(0))
        for packet in container.demux()
        if packet.pts is not None
    )
    return float(max(ends, default=Fraction(0)))


def _mime(format_name: str, *, has_video: bool) -> str:
    for part, video, audio in _MIMES:
        if part in format_name:
            return video if has_video else audio
    raise NotMedia
