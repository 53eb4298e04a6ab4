"""Small real media, made by the codecs themselves."""

import io
import math
import os
import struct
import wave
from typing import Any, Literal

import av


def sound(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """A WAV file with a tone."""
    frames = b"".join(
        struct.pack("<h", int(9000 * math.sin(2 * math.pi * 440 * n / rate))) for n in range(int(seconds * rate))
    )
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames)
    return out.getvalue()


def noise(size: int, mark: bytes = b"") -> bytes:
    """A WAV file of about `size` bytes that nothing compresses; `mark` stands in every 4096 of them."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        for _ in range(size // 4096):
            file.writeframes(mark + os.urandom(4096 - len(mark)))
    return out.getvalue()


def heavy(size: int) -> bytes:
    """An MP4 file of at least `size` bytes whose tracks browsers play as they are (H.264, AAC)."""
    out, frames = io.BytesIO(), size // 520_000 + 2
    with av.open(out, mode="w", format="mp4") as file:
        pictures: Any = file.add_stream("libx264", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 640, 360, "yuv420p"
        pictures.options = {"preset": "ultrafast", "qp": "4", "g": "10"}
        sounds: Any = file.add_stream("aac", rate=48000)
        sounds.layout = "mono"
        for _ in range(frames):
            frame = av.VideoFrame(640, 360, "yuv420p")
            for plane in frame.planes:
                plane.update(os.urandom(plane.buffer_size))
            file.mux(pictures.encode(frame))
        for index in range(frames * 100):
            tone = av.AudioFrame("fltp", "mono", 48)
            tone.sample_rate, tone.pts = 48000, index * 48
            tone.planes[0].update(bytes(tone.planes[0].buffer_size))
            file.mux(sounds.encode(tone))
        for stream in (pictures, sounds):
            file.mux(stream.encode(None))
    return out.getvalue()


def video(seconds: float = 1.0, *, container: Literal["mp4", "webm"] = "mp4", size: int = 64, seed: int = 0) -> bytes:
    """A video with moving noise and a tone. The noise keeps it from being compressed to nothing."""
    codec, audio_codec = {"mp4": ("mpeg4", "aac"), "webm": ("libvpx", "libopus")}[container]
    fps, rate = 10, 48000
    out = io.BytesIO()
    with av.open(out, mode="w", format=container) as file:
        pictures: Any = file.add_stream(codec, rate=fps)
        pictures.width = pictures.height = size
        pictures.pix_fmt = "yuv420p"
        sounds: Any = file.add_stream(audio_codec, rate=rate)
        state = seed + 1
        for _ in range(int(seconds * fps)):
            frame = av.VideoFrame(size, size, "yuv420p")
            for plane in frame.planes:
                state = (state * 1103515245 + 12345) % 2**31
                plane.update(bytes((state >> 8) * (n % 251 + 1) % 256 for n in range(plane.buffer_size)))
            for packet in pictures.encode(frame):
                file.mux(packet)
        tone = av.AudioFrame(format="s16", layout="mono", samples=960)
        tone.sample_rate = rate
        for index in range(int(seconds * rate / 960)):
            tone.pts = index * 960
            tone.planes[0].update(struct.pack("<960h", *(int(8000 * math.sin(n / 17)) for n in range(960))))
            for packet in sounds.encode(tone):
                file.mux(packet)
        for stream in (pictures, sounds):
            for packet in stream.encode(None):
                file.mux(packet)
    return out.getvalue()
