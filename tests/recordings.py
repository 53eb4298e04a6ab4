"""Recordings as phones, cameras, meeting providers and browsers make them, odd and broken ones included.

Each is made by the real encoders and muxers of FFmpeg. Its picture is bright in the upper left corner, once it is
upright; its sound is a tone, which begins when the picture turns from dark to grey where a table entry says so.
What should never reach anybody is marked with `CANARY`.
"""

import io
import math
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

CANARY: Final = "CANARY7F3"
_PERSONAL: Final = {
    "title": f"Meeting with {CANARY}",
    "artist": CANARY,
    "comment": f"call {CANARY} at +974 5555 0100",
    "location": "+25.3164+051.4871/",
    "com.apple.quicktime.location.ISO6709": "+25.3164+051.4871/",
    "creation_time": "2026-11-20T09:00:00.000000Z",
}


@dataclass(frozen=True)
class Picture:
    """A track of moving pictures, as it is stored."""

    codec: str = "libx264"
    width: int = 160
    height: int = 96
    rate: Fraction = Fraction(25)
    pix_fmt: str = "yuv420p"
    turned: int = 0  # degrees counter-clockwise that a player is told to turn it
    ratio: Fraction = Fraction(1)  # of the sides of its pixels
    options: Mapping[str, str] = field(default_factory=dict)
    times: Callable[[int], Fraction] | None = None  # when each picture is shown, in seconds; else evenly
    cover: bool = False
    stripes: int | None = None  # all over it, four points wide, the first one as many points from the left


@dataclass(frozen=True)
class Sound:
    """A track of sound."""

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "stereo"
    pitch: float = 330.0  # Hz
    begins: float = 0.0  # seconds
    gap: tuple[float, float] | None = None  # seconds, in which there are no packets


def made(
    container: str,
    *tracks: Picture | Sound,
    seconds: float = 3.0,
    options: Mapping[str, str] | None = None,
    seekable: bool = True,
    **extras: bool,
) -> bytes:
    """Make a file. `seekable`: as a recorder writes that can go back to the header, or as one that cannot.

    `extras`: what is in it besides: `personal` words and a place, `subtitles`, `chapters`, an `attachment`.
    """
    if options and "faststart" in options.get("movflags", ""):  # FFmpeg opens the file anew to move the header
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "made"
            _write(str(path), container, tracks, seconds, options, **extras)
            return path.read_bytes()
    out = io.BytesIO() if seekable else _Pipe()
    _write(out, container, tracks, seconds, options or {}, **extras)
    return out.getvalue() if isinstance(out, io.BytesIO) else bytes(out.written)


def _write(
    out: Any,
    container: str,
    tracks: Sequence[Picture | Sound],
    seconds: float,
    options: Mapping[str, str],
    *,
    personal: bool = False,
    subtitles: bool = False,
    chapters: bool = False,
    attachment: bool = False,
) -> None:
    with av.open(out, mode="w", format=container, options=dict(options)) as file:
        streams = [(_stream(file, track), track) for track in tracks]
        words = _words(file) if subtitles else None
        if personal:
            file.metadata.update(_PERSONAL)
            for stream, _ in streams:
                stream.metadata["title"] = f"camera of {CANARY}"
        if attachment:
            file.add_attachment(f"notes on {CANARY}.txt", "text/plain", f"{CANARY} lives there".encode())
        if chapters:
            file.set_chapters(
                [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": CANARY}}]
            )
        queue: list[tuple[Fraction, int, Callable[[], None]]] = []
        for number, (stream, track) in enumerate(streams):
            queue += _work(file, stream, track, seconds, number)
        for _, _, work in sorted(queue, key=lambda one: one[:2]):
            work()
        for stream, _ in streams:
            file.mux(stream.encode(None))
        if words:
            _say(file, words)


class _Pipe(io.RawIOBase):
    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, piece: Any, /) -> int:
        self.written += bytes(piece)
        return len(piece)


def _stream(file: Any, track: Picture | Sound) -> Any:
    if isinstance(track, Picture):
        stream = file.add_stream(track.codec, rate=track.rate)
        stream.width, stream.height, stream.pix_fmt = track.width, track.height, track.pix_fmt
        stream.codec_context.time_base = 1 / track.rate
        if track.times:
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = track.ratio
        if track.codec in _QUICK:
            stream.options = _QUICK[track.codec] | dict(track.options)
        else:
            stream.options = dict(track.options)
        if track.turned:
            stream.set_display_rotation(track.turned)
        if track.cover:
            stream.disposition = type(stream.disposition).attached_pic
        return stream
    stream = file.add_stream(track.codec, rate=track.rate)
    stream.layout = track.layout
    stream.bit_rate = 64_000
    if stream.codec_context.codec.experimental:
        stream.codec_context.options = {"strict": "experimental"}
    return stream


_QUICK: Final[Mapping[str, dict[str, str]]] = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def _work(
    file: Any, stream: Any, track: Picture | Sound, seconds: float, number: int
) -> list[tuple[Fraction, int, Callable[[], None]]]:
    work: list[tuple[Fraction, int, Callable[[], None]]] = []

    def mux(frame: Any) -> Callable[[], None]:
        return lambda: file.mux(stream.encode(frame()))

    if isinstance(track, Picture):
        for index in range(1 if track.cover else int(seconds * track.rate)):
            at = track.times(index) if track.times else Fraction(index) / track.rate
            if at < seconds:
                work.append((at, number, mux(_Drawn(track, index, at))))
        return work
    size = stream.codec_context.frame_size or 1024
    for index in range(int(seconds * track.rate / size)):
        at = Fraction(index * size, track.rate)
        silent = track.gap and track.gap[0] <= at < track.gap[1]
        if at >= track.begins and not silent:
            work.append((at, number, mux(_Played(stream, track, index, size))))
    return work


@dataclass
class _Drawn:
    track: Picture
    index: int
    at: Fraction

    def __call__(self) -> Any:
        track = self.track
        frame = av.VideoFrame(track.width, track.height, "yuv420p")
        for number, plane in enumerate(frame.planes):
            lines, length = plane.height, plane.line_size
            rows = []
            for line in range(lines):
                row = bytearray((128,)) * length if number else bytearray((40 + self.index % 20,)) * length
                if not number and track.stripes is not None:
                    row = bytearray((40, 220)[(at + track.stripes) // 4 % 2] for at in range(length))
                elif not number and line < lines // 3:
                    row[: plane.width // 3] = b"\xdc" * (plane.width // 3)
                rows.append(bytes(row))
            plane.update(b"".join(rows))
        frame = frame.reformat(format=track.pix_fmt) if track.pix_fmt != "yuv420p" else frame
        base = Fraction(1, 1000) if track.times else 1 / track.rate
        frame.pts, frame.time_base = round(self.at / base), base
        return frame


@dataclass
class _Played:
    stream: Any
    track: Sound
    index: int
    size: int

    def __call__(self) -> Any:
        track = self.track
        channels = self.stream.codec_context.channels
        start = self.index * self.size
        samples = [
            int(8000 * math.sin(2 * math.pi * track.pitch * n / track.rate)) for n in range(start, start + self.size)
        ]
        frame = av.AudioFrame("s16", track.layout, self.size)
        frame.planes[0].update(
            struct.pack(f"<{self.size * channels}h", *(one for one in samples for _ in range(channels)))
        )
        frame.sample_rate, frame.pts, frame.time_base = track.rate, start, Fraction(1, track.rate)
        return frame


def _said() -> Any:
    return av.open(io.BytesIO(f"1\n00:00:00,000 --> 00:00:01,000\nI am {CANARY}\n\n".encode()), format="srt")


def _words(file: Any) -> Any:
    with _said() as source:
        return file.add_stream_from_template(source.streams.subtitles[0])


def _say(file: Any, words: Any) -> None:
    with _said() as source:
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = words
                file.mux(packet)
