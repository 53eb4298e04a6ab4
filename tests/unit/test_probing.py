"""What a file is, found out by a process that has nothing of ours and takes no more than it is given."""

import asyncio
import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import av
import pytest

from firsthand.services.archive import apart
from firsthand.services.archive.apart import CannotExamine, NotMedia, TooDemanding
from firsthand.services.archive.probing import Examiner, Findings
from firsthand.services.archive.process import ANSWER, ASK, FINISH, GIVE, HEAD, PROGRESS, STARTED
from firsthand.shared.media import FileSource, SealedReader, SealedWriter
from tests.media import noise, sound, video

KEY = bytes(range(32))
ROOMY = 300 * 1024**2  # bytes of address space: enough for the small files of these tests


@pytest.fixture
def examiner() -> Examiner:
    return Examiner(None)  # type: ignore[arg-type]  # it asks the context for nothing


async def allowed() -> None:
    """It may still be taken in."""


@contextlib.contextmanager
def sealed(folder: Path, content: bytes) -> Iterator[SealedReader]:
    with SealedWriter(folder / "m", KEY) as writer:
        writer.write(content)
        writer.finish()
    with SealedReader(FileSource.at(folder / "m"), KEY) as reader:
        yield reader


def with_pictures(codec: str, container: str, size: int = 64, pix_fmt: str = "rgb24") -> bytes:
    out = io.BytesIO()
    with av.open(out, mode="w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=10)
        stream.width = stream.height = size
        stream.pix_fmt = pix_fmt
        for _ in range(5):
            frame = av.VideoFrame(size, size, pix_fmt)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def with_words() -> bytes:
    """Sound with subtitles, of which PyAV loads its part only when it meets some."""
    out = io.BytesIO()
    with av.open(io.BytesIO(_SUBTITLES.encode()), format="srt") as words, av.open(out, "w", format="matroska") as file:
        tone: Any = file.add_stream("libopus", rate=48000)
        tone.layout = "mono"
        said = file.add_stream_from_template(words.streams.subtitles[0])
        for packet in words.demux():
            if packet.dts is not None:
                packet.stream = said
                file.mux(packet)
        for index in range(60):
            frame = av.AudioFrame("s16", "mono", 960)
            frame.sample_rate, frame.pts = 48000, index * 960
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            file.mux(tone.encode(frame))
        file.mux(tone.encode(None))
    return out.getvalue()


_SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nHello\n\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (video(1), (["mpeg4", "aac"], [])),
        (video(1, container="webm"), (["vp8", "opus"], [])),
        (sound(), (["pcm_s16le"], [])),
        (with_pictures("mjpeg", "avi", pix_fmt="yuvj420p"), (["mjpeg"], [])),
        (with_pictures("libx264", "mp4", pix_fmt="yuv420p"), (["h264"], [])),
        (with_words(), (["opus"], ["subtitles"])),
    ],
    ids=["mp4", "webm", "wav", "avi", "h264", "subtitles"],
)
async def test_a_process_without_files_finds_out_what_a_recording_is(
    examiner: Examiner, tmp_path: Path, content: bytes, found: tuple[list[str], list[str]]
) -> None:
    with sealed(tmp_path, content) as reader:
        findings = await examiner.examine(reader, allowed, memory=ROOMY)
    assert ([track.codec for track in findings.tracks], findings.extras) == found


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"RIFF" + b"\0" * 70_000, video(1)[:2000]])
async def test_what_is_no_recording_is_told_as_such(examiner: Examiner, tmp_path: Path, content: bytes) -> None:
    with sealed(tmp_path, content) as reader, pytest.raises(NotMedia):
        await examiner.examine(reader, allowed)


def _grown(content: bytes, size: int) -> bytes:
    """Pictures that say of themselves to be `size` by `size`, in a container that says otherwise."""
    before = b"IHDR" + struct.pack(">II", 64, 64)
    assert before in content
    return content.replace(before, b"IHDR" + struct.pack(">II", size, size))


async def test_a_small_file_with_enormous_pictures_is_refused_for_little_memory(
    examiner: Examiner, tmp_path: Path
) -> None:
    content = _grown(with_pictures("png", "avi"), 16_000)  # 768 MB a picture
    with sealed(tmp_path, content) as reader, pytest.raises((NotMedia, TooDemanding)):
        await examiner.examine(reader, allowed)


async def test_pictures_beyond_the_bound_are_refused_before_they_are_decoded(
    examiner: Examiner, tmp_path: Path
) -> None:
    with sealed(tmp_path, with_pictures("mpeg4", "mp4", 512, "yuv420p")) as reader:
        with pytest.raises(TooDemanding):
            await examiner.examine(reader, allowed, pixels=512 * 512 - 1)
        assert await examiner.examine(reader, allowed, pixels=512 * 512)


async def test_decoding_that_needs_more_memory_than_it_is_given_ends(examiner: Examiner, tmp_path: Path) -> None:
    with sealed(tmp_path, with_pictures("mpeg4", "mp4", 4096, "yuv420p")) as reader, pytest.raises(TooDemanding):
        await examiner.examine(reader, allowed, memory=160 * 1024**2)


async def test_a_withdrawal_ends_the_examination_and_its_process(examiner: Examiner, tmp_path: Path) -> None:
    """Nothing waits for the end of a long recording of a family that says no."""

    class Withdrawn(Exception):  # noqa: N818 - says what is the case
        pass

    async def withdrawn() -> None:
        raise Withdrawn

    with sealed(tmp_path, noise(64 * 1024**2)) as reader:
        began = time.monotonic()
        with pytest.raises(Withdrawn):
            await examiner.examine(reader, withdrawn)
        assert time.monotonic() - began < 5
    assert not _children()


def _children() -> list[str]:
    """The examining processes of this one; servers of other tests may be its children too."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [child for one in found for child in one.read_text().split() if _examines(child)]


def _examines(process: str) -> bool:
    try:
        return str(apart._PROGRAM).encode() in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended
        return False


class Decoder:
    """The program by itself, as `apart` starts it, talked to by hand."""

    def __init__(self, size: int, *, memory: int = ROOMY, seconds: int = 10, **options: Any) -> None:
        arguments = (os.getpid(), memory, seconds, "examine", json.dumps({"size": size, "pixels": 10_000}))
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(apart._PROGRAM), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env={}, cwd="/", **options,
        )  # fmt: skip
        assert self.read()[0] == STARTED

    def read(self) -> tuple[bytes, int, int]:
        assert self.process.stdout
        kind, _, place, length = HEAD.unpack(self.process.stdout.read(HEAD.size))
        return kind, place, length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def test_the_process_knows_nothing_of_ours_and_can_open_nothing() -> None:
    with Decoder(100_000) as decoder:
        proc = Path(f"/proc/{decoder.process.pid}")
        assert decoder.read()[0] == ASK
        assert (proc / "environ").read_bytes() == b""
        assert {int(one.name) for one in (proc / "fd").iterdir()} == {0, 1, 2}
        limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
        for limit in ("Max open files", "Max file size", "Max core file size", "Max processes"):
            assert limits[limit] == ["0", "0"], limit
        assert limits["Max cpu time"] == ["10", "10"]
        assert limits["Max address space"] == [str(ROOMY)] * 2


def test_the_process_ends_with_whoever_started_it() -> None:
    with Decoder(100_000) as decoder:
        assert decoder.read()[0] == ASK
        assert decoder.process.stdin
        decoder.process.stdin.close()
        assert decoder.process.wait(5) != 0
    program = (
        "import os, signal, subprocess, sys; pipe = subprocess.PIPE;"
        "task = ['999999999', '9', 'examine', '{\"size\": 9, \"pixels\": 9}'];"
        "child = subprocess.Popen([*sys.argv[1:], str(os.getpid()), *task], stdin=pipe, stdout=pipe);"
        "child.stdout.read(1); print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run(
        [sys.executable, "-Ic", program, sys.executable, str(apart._PROGRAM)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert parent.returncode == -signal.SIGKILL
    child = int(parent.stdout)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_process_that_does_not_start_is_not_the_recordings_doing(
    examiner: Examiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_PROGRAM", tmp_path / "nothing.py")
    with sealed(tmp_path, sound()) as reader, pytest.raises(CannotExamine):
        await examiner.examine(reader, allowed)


@pytest.mark.parametrize(
    "told",
    [
        (ASK, 0, 0, 2**31),
        (ASK, 0, 10**9, 1),
        (ASK, 1, 0, 1),
        (GIVE, 0, 0, 1),
        (FINISH, 1, 0, 0),
        (PROGRESS, 0, 1001, 0),
        (ANSWER, 0, 0, 2**20),
        (b"x", 0, 0, 0),
    ],
    ids=["much", "beyond", "another file", "gives", "finishes", "beyond all", "long", "unknown"],
)
async def test_a_process_that_no_longer_does_what_we_wrote_is_ended(
    examiner: Examiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: tuple[bytes, int, int, int]
) -> None:
    program = tmp_path / "taken_over.py"
    said = HEAD.pack(STARTED, 0, 0, 0) + HEAD.pack(*told) + b"x"
    program.write_text(f"import os; os.write(1, {said!r}); os.read(0, 1)")
    monkeypatch.setattr(apart, "_PROGRAM", program)
    with sealed(tmp_path, sound()) as reader, pytest.raises(TooDemanding):
        await asyncio.wait_for(examiner.examine(reader, allowed), 10)


async def test_two_are_examined_at_once_and_the_others_wait(examiner: Examiner, tmp_path: Path) -> None:
    most = 0

    async def count() -> None:
        nonlocal most
        most = max(most, len(_children()))

    async def one(number: int) -> Findings:
        folder = tmp_path / str(number)
        folder.mkdir()
        with sealed(folder, sound()) as reader:
            return await examiner.examine(reader, count)

    assert len(await asyncio.gather(*map(one, range(5)))) == 5
    assert most <= 2
