"""A small real recording: moving colours and a tone, made with the same library that archive probes with."""

import io
import math
from fractions import Fraction
from typing import Any

import av
import av.audio.frame
import av.video.frame

_RATE = 48_000  # audio samples a second
_FRAMES = 12  # pictures a second
_WIDTH, _HEIGHT = 320, 180


def make_video(seconds: float = 8.0) -> bytes:
    """Make a WebM file (VP8, Opus) of the given length."""
    return _made("webm", seconds, with_video=True)


def make_audio(seconds: float = 8.0) -> bytes:
    """Make a WebM file with sound only (Opus)."""
    return _made("webm", seconds, with_video=False)


def _made(container: str, seconds: float, *, with_video: bool) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as media:
        sound: Any = media.add_stream("libopus", rate=_RATE)
        sound.layout = "mono"
        picture: Any = media.add_stream("libvpx", rate=_FRAMES) if with_video else None
        if picture:
            picture.width, picture.height, picture.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
            picture.bit_rate = 200_000
            picture.options = {"deadline": "realtime", "cpu-used": "8"}  # several times faster than its default
            for number in range(int(seconds * _FRAMES)):
                media.mux(picture.encode(_picture(number)))
            media.mux(picture.encode(None))
        size = 960  # samples in 20 ms, the packet that Opus likes best
        for number in range(int(seconds * _RATE / size)):
            media.mux(sound.encode(_tone(number, size)))
        media.mux(sound.encode(None))
    return out.getvalue()


def _picture(number: int) -> av.VideoFrame:
    """A frame whose three planes drift at different speeds."""
    frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
    for plane, (speed, start) in zip(frame.planes, ((2, 90), (3, 110), (-2, 150)), strict=True):
        row = bytes((start + speed * number + 40 * x // plane.line_size) % 200 + 28 for x in range(plane.line_size))
        plane.update(row * plane.height)
    frame.pts, frame.time_base = number, Fraction(1, _FRAMES)
    return frame


def _tone(number: int, size: int) -> av.AudioFrame:
    frame = av.AudioFrame("s16", "mono", size)
    frame.sample_rate = _RATE
    samples = (int(5000 * math.sin(2 * math.pi * 330 * (number * size + i) / _RATE)) for i in range(size))
    frame.planes[0].update(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    frame.pts, frame.time_base = number * size, Fraction(1, _RATE)
    return frame
