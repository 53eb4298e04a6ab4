"""Making a viewing copy, and changing one, in multiples of real time, and the memory of the process that does.

Floor: bare PyAV doing the same on plain files, in a process of its own, in the same run: decoding, encoding with the
same encoders and settings on one core, muxing; of what is changed, without what is taken out. Ours opens and seals
every byte, passes it through a pipe, reads all packets once before, writes segments that survive a kill, and muxes
twice for the index.

Aim: 0.85 of the floor where something is encoded; at most 300 MB, whatever the length. The length in seconds can be
given: `python -m bench.intake 600`.
"""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, Final

import av

from firsthand.services.archive.model import Edit, Media, Original, Version
from firsthand.services.archive.model.edits import removed
from firsthand.services.archive.preparing import Bench, prepare
from firsthand.services.archive.probing import Examiner
from firsthand.services.archive.storage import Shelf
from firsthand.shared.disk import Disk
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import FileSource, SealedReader, SealedWriter
from tests.recordings import Picture, Sound, made

_SECONDS: Final = 30
_TURNS: Final = 3
_AIM, _MOST_MEMORY = 0.85, 300
_KEY = bytes(32)
_OAK = InstitutionId("oak-dental")
_H264: Final = {"preset": "veryfast", "crf": "23", "bf": "0", "forced-idr": "1", "threads": "1", "g": "50"}

SOURCES: Final[dict[str, tuple[str, Picture, Sound]]] = {
    "MPEG-4 and MP3 in AVI, 720p25": ("avi", Picture("mpeg4", 1280, 720), Sound("libmp3lame")),
    "HEVC and AAC in MOV, 720p25": ("mov", Picture("libx265", 1280, 720), Sound()),
    "HEVC and AAC in MOV, 1080p25": ("mov", Picture("libx265", 1920, 1080), Sound()),
    "H.264 and AAC in MP4, 720p25, copied": ("mp4", Picture("libx264", 1280, 720), Sound()),
    "H.264 and AAC in MP4, 720p25, changed": ("mp4", Picture("libx264", 1280, 720), Sound()),
}


def edits_of(seconds: int) -> list[Edit]:
    """A sixth is taken out, and a sixth is silenced."""
    sixth = 1000 * (seconds // 6)
    return [Edit(kind="cut", start=sixth, end=2 * sixth), Edit(kind="silence", start=3 * sixth, end=4 * sixth)]


def bare(source: str, target: str, *, copied: bool, edits: list[Edit]) -> None:
    """The floor."""
    with av.open(source) as container, av.open(target, "w", format="mp4") as out:
        inputs: list[Any] = [container.streams.video[0], container.streams.audio[0]]
        if copied:
            streams = {one.index: out.add_stream_from_template(one) for one in inputs}
            for packet in container.demux(inputs):
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
            return
        for one in inputs:
            one.codec_context.thread_count = 1
        pictures: Any = out.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = inputs[0].width, inputs[0].height, "yuv420p"
        pictures.options = dict(_H264)
        pictures.codec_context.time_base = Fraction(1, 90_000)
        sounds: Any = out.add_stream("aac", rate=48_000)
        sounds.bit_rate = 128_000
        for packet in container.demux(inputs):
            for frame in _kept(packet, edits):
                out.mux((pictures if isinstance(frame, av.VideoFrame) else sounds).encode(frame))
        out.mux(pictures.encode(None))
        out.mux(sounds.encode(None))


def _kept(packet: Any, edits: list[Edit]) -> Iterator[Any]:
    """What is in a packet, without what is taken out, and silent where that is asked for."""
    frame: Any
    for frame in packet.decode():
        at = round(1000 * frame.time)
        kinds = {edit.kind for edit in edits if edit.start <= at < edit.end}
        if "cut" in kinds:
            continue
        if packet.stream.type == "video":
            gone = sum(edit.end - edit.start for edit in edits if edit.kind == "cut" and edit.end <= at)
            frame.pts -= round(Fraction(gone, 1000) / frame.time_base)
            frame.pict_type = av.video.frame.PictureType.NONE
        else:
            if "silence" in kinds:
                for plane in frame.planes:
                    plane.update(bytes(plane.buffer_size))
            frame.pts = None  # counted by the encoder
        yield frame


def floor(source: Path, target: Path, what: str, seconds: int) -> float:
    """Seconds, without the start of the process."""
    command = [sys.executable, "-m", "bench.intake", "bare", str(source), str(target), what, str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def _allowed() -> None:
    """It may go on."""


class Watch(threading.Thread):
    """Asks again and again for the most memory that a process of this one ever had, in MB.

    Not by `getrusage`, which counts what this process had when it started the other.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            for one in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
                with contextlib.suppress(OSError, StopIteration):
                    for child in one.read_text().split():
                        self._look(Path(f"/proc/{child}"))

    def _look(self, process: Path) -> None:
        if b"\0prepare\0" in (process / "cmdline").read_bytes():
            lines = (process / "status").read_text().splitlines()
            self.most = max(self.most, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)


async def ours(folder: Path, content: bytes, edits: list[Edit]) -> tuple[float, bytes]:
    """Seconds, and what came of it."""
    with SealedWriter(folder / "m", _KEY, resume=False) as writer:
        writer.write(content)
        writer.finish()
    shelf = Shelf(folder, None, _OAK, "c1")
    began = time.perf_counter()
    with SealedReader(FileSource.at(folder / "m"), _KEY) as reader:
        version = _changed(edits) if edits else await _begun(reader, len(content))
        async with Bench(shelf, Disk(()), version.id, _KEY, _allowed) as bench:
            await prepare(reader, bench, version, _allowed, lambda _: None)
    took = time.perf_counter() - began
    with await shelf.reader(version.id, _KEY) as shown:
        made_of_it = b"".join(shown.read_range(0, shown.size))
    await shelf.clear()
    return took, made_of_it


async def _begun(reader: SealedReader, size: int) -> Version:
    found = await Examiner(None).examine(reader, _allowed)  # type: ignore[arg-type]  # it asks it for nothing
    original = Original(
        file="f-0", bytes=size, tracks=found.tracks, extras=found.extras, brought_at=datetime.now(UTC), brought_by="t",
    )  # fmt: skip
    return Version.begun(original, pictures=True, contact_id="c1", institution=_OAK)


def _changed(edits: list[Edit]) -> Version:
    now = datetime.now(UTC)
    shown = Media(file="f-1", has_video=True, mime="video/mp4", codecs=["h264", "aac"], duration_seconds=0, bytes=0,
                  sha256="", taken_in_at=now, taken_in_by="t")  # fmt: skip
    return Version.edited("c1", _OAK, shown, "f-2", edits, now)


def pictures_in(content: bytes) -> int:
    with av.open(io.BytesIO(content), "r") as container:
        return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))


async def main(seconds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, (container, picture, sound) in SOURCES.items():
            content = await asyncio.to_thread(made, container, picture, sound, seconds=seconds)
            copied, edits = "copied" in what, edits_of(seconds) if "changed" in what else []
            left = 25 * (seconds - removed(edits) // 1000)
            source = folder / "source"
            source.write_bytes(content)
            mine, theirs = [], []
            watch = Watch()
            watch.start()
            for _ in range(_TURNS):
                took, shown = await ours(folder, content, edits)
                mine.append(took)
                assert pictures_in(shown) == left, "pictures are missing"
                theirs.append(await asyncio.to_thread(floor, source, folder / "bare.mp4", what, seconds))
                assert pictures_in((folder / "bare.mp4").read_bytes()) == left
            watch.over.set()
            ratio = median(theirs) / median(mine)
            verdict = "" if copied else f" (aim {_AIM}: {'met' if ratio >= _AIM else 'MISSED'})"
            print(
                f"intake  {what}: {seconds / median(mine):.1f} times real time, floor {seconds / median(theirs):.1f}: "
                f"{ratio:.2f} of it{verdict}; {watch.most:.0f} MB (aim {_MOST_MEMORY})"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        started = time.perf_counter()
        given = sys.argv[4]
        edits = edits_of(int(sys.argv[5])) if "changed" in given else []
        bare(sys.argv[2], sys.argv[3], copied="copied" in given, edits=edits)
        print(time.perf_counter() - started)
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else _SECONDS))
