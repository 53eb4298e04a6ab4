"""What becomes of each file that somebody may bring: real ones, of every kind, odd and broken."""

import asyncio
import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.async_api import Browser

from firsthand.services.archive.apart import NotMedia
from firsthand.services.archive.model import Original, Version
from firsthand.services.archive.preparing import Bench, Prepared, prepare
from firsthand.services.archive.probing import Examiner, Findings
from firsthand.services.archive.storage import Shelf
from firsthand.shared.disk import Disk
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import FileSource, SealedReader, SealedWriter
from tests.browser.conftest import CHROMIUM
from tests.recordings import CANARY, Picture, Sound, made

# Not in the browser's group, whose tests share a school: each worker plays some of the files.
pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = bytes(range(32))
OAK = InstitutionId("oak-dental")
P, S = Picture(), Sound()
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@dataclass(frozen=True)
class File:
    """A file, and what is to become of it. `size`: of the pictures, None without any."""

    name: str
    content: Callable[[], bytes]
    size: tuple[int, int] | None = (160, 96)
    sound: bool = True
    copied: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    broke_off: bool = False
    seconds: float = 3.0
    within: float = 0.25  # seconds
    bright: str = "upper left"
    refused: type[Exception] | None = None
    choose: dict[str, int | None] = field(default_factory=dict)


def cut(content: Callable[[], bytes], share: float) -> Callable[[], bytes]:
    return lambda: (whole := content())[: int(len(whole) * share)]


BOTH = ("picture", "sound")
ALL_EXTRAS = {"personal": True, "subtitles": True, "chapters": True, "attachment": True}
FILES = [
    # -- what meeting providers, phones and browsers make
    File("zoom.mp4", lambda: made("mp4", P, Sound(layout="mono")), copied=BOTH),
    File("zoom-m4a", lambda: made("ipod", S), size=None, copied=("sound",)),
    File("zoom-faststart", lambda: made("mp4", P, S, options={"movflags": "faststart"}), copied=BOTH),
    File("iphone-h264", lambda: made("mov", P, S, personal=True), copied=BOTH, left_out=("place", "words")),
    File("iphone-hevc", lambda: made("mov", Picture("libx265"), S, personal=True),
         copied=("sound",), left_out=("place", "words")),
    File("iphone-hevc-10-bit", lambda: made("mov", Picture("libx265", pix_fmt="yuv420p10le"), S), copied=("sound",)),
    File("iphone-upright", lambda: made("mov", Picture(turned=90), S), (96, 160), copied=("sound",),
         bright="lower left"),
    File("iphone-upside-down", lambda: made("mov", Picture(turned=180), S), copied=("sound",), bright="lower right"),
    File("iphone-turned-right", lambda: made("mov", Picture(turned=-90), S), (96, 160), copied=("sound",),
         bright="upper right"),
    File("android-av1", lambda: made("mp4", Picture("libsvtav1"), S), copied=("sound",)),
    File("android.3gp", lambda: made("3gp", Picture("h263", 176, 144), Sound("libopencore_amrnb", 8000, "mono")),
         (176, 144)),
    File("voice.amr", lambda: made("amr", Sound("libopencore_amrnb", 8000, "mono")), size=None),
    File("browser-webm", lambda: made("webm", Picture("libvpx"), Sound("libopus"), seekable=False)),
    File("browser-webm-vp9", lambda: made("webm", Picture("libvpx-vp9"), Sound("libopus"), seekable=False)),
    File("browser-h264.mkv", lambda: made("matroska", P, Sound("libopus"), seekable=False), copied=("picture",)),
    File("browser-sound.webm", lambda: made("webm", Sound("libopus"), seekable=False), size=None),
    File("safari-fragments", lambda: made("mp4", P, S, options=FRAGMENTS, seekable=False), copied=BOTH),
    File("bigbluebutton.webm", lambda: made("webm", Picture("libvpx-vp9"), Sound("vorbis"))),
    File("jitsi.mp4", lambda: made("mp4", Picture(options={"bf": "2"}), S), copied=BOTH, within=0.3),
    File("teams.mp4", lambda: made("mp4", Picture(rate=Fraction(30)), Sound(rate=16000, layout="mono")), copied=BOTH),
    # -- cameras and older programs
    File("prores.mov", lambda: made("mov", Picture("prores_ks", pix_fmt="yuv422p10le"), Sound("pcm_s16le"))),
    File("camera.avi", lambda: made("avi", Picture("mpeg4"), Sound("libmp3lame"))),
    File("camera-mjpeg.avi", lambda: made("avi", Picture("mjpeg", pix_fmt="yuvj420p"), Sound("pcm_s16le"))),
    File("windows.wmv", lambda: made("asf", Picture("wmv2"), Sound("wmav2", rate=44100))),
    File("camcorder.ts", lambda: made("mpegts", P, S)),
    File("dvd.mpg", lambda: made("mpeg", Picture("mpeg2video"), Sound("mp2"))),
    File("old.flv", lambda: made("flv", Picture("flv"), Sound("libmp3lame", rate=44100))),
    # -- sound recorders
    File("sound.wav", lambda: made("wav", Sound("pcm_s16le")), size=None),
    File("sound-8k.au", lambda: made("au", Sound("pcm_mulaw", 8000, "mono")), size=None),
    File("sound.mp3", lambda: made("mp3", Sound("libmp3lame"), personal=True), size=None, left_out=("place", "words")),
    File("sound.flac", lambda: made("flac", Sound("flac")), size=None),
    File("sound.ogg", lambda: made("ogg", Sound("libopus")), size=None),
    File("sound.aac", lambda: made("adts", S), size=None),
    File("sound.caf", lambda: made("caf", Sound("alac")), size=None),
    File("sound.aiff", lambda: made("aiff", Sound("pcm_s16be")), size=None),
    File("sound.w64", lambda: made("w64", Sound("pcm_s24le")), size=None),
    File("music-with-portrait.m4a", lambda: made("mp4", S, Picture("mjpeg", pix_fmt="yuvj420p", cover=True)),
         size=None, copied=("sound",), left_out=("cover",)),
    # -- odd
    File("all-that-there-is.mkv", lambda: made("matroska", P, Sound("flac"), **ALL_EXTRAS),
         copied=("picture",), left_out=("attachments", "chapters", "place", "subtitles", "words")),
    File("two-sounds", lambda: made("mp4", P, S, Sound(pitch=880)), copied=BOTH, left_out=("sounds",)),
    File("gallery-and-speaker", lambda: made("mp4", P, Picture(width=320, height=192), S), (320, 192), copied=BOTH,
         left_out=("pictures",), choose={"picture": 1, "sound": 2}),
    File("only-its-sound", lambda: made("mp4", P, S), size=None, copied=("sound",), left_out=("pictures",),
         choose={"picture": None, "sound": 1}),
    File("no-sound", lambda: made("mp4", P), sound=False, copied=("picture",)),
    File("surround", lambda: made("mp4", P, Sound(layout="5.1")), copied=("picture",)),
    File("too-fast-a-sound", lambda: made("matroska", P, Sound("flac", rate=96000)), copied=("picture",)),
    File("4k", lambda: made("mp4", Picture(width=3840, height=2160), S, seconds=0.6), (1920, 1080), copied=("sound",),
         seconds=0.6),
    File("upright-4k", lambda: made("mp4", Picture(width=2160, height=3840), S, seconds=0.4), (1080, 1920),
         copied=("sound",), seconds=0.4),
    File("odd-sides", lambda: made("matroska", Picture("ffv1", 161, 97), Sound("flac")), (160, 96)),
    File("wide-pixels", lambda: made("mp4", Picture(ratio=Fraction(2)), S), (320, 96), copied=("sound",)),
    File("interlaced", lambda: made("mp4", Picture(options={"x264-params": "interlaced=1"}), S), copied=("sound",)),
    File("no-way-in", lambda: made("mp4", Picture(options={"g": "999", "keyint_min": "999"}), S, seconds=16),
         copied=("sound",), seconds=16),
    File("one-picture-a-second", lambda: made("mp4", Picture(rate=Fraction(1)), S), copied=BOTH, within=1.1),
    File("240-a-second", lambda: made("matroska", Picture("mpeg4", rate=Fraction(240)), S), copied=("sound",)),
    File("uneven", lambda: made("matroska", Picture("mpeg4", times=lambda n: Fraction(n * n, 400)), S),
         copied=("sound",)),
    File("sound-comes-later", lambda: made("matroska", P, Sound("flac", begins=1.0)), copied=("picture",)),
    File("sound-with-a-gap", lambda: made("matroska", P, Sound("flac", gap=(1.0, 2.0))), copied=("picture",)),
    # -- broken off
    File("cut.webm", cut(lambda: made("webm", Picture("libvpx"), Sound("libopus")), 0.6), broke_off=True, seconds=1.7,
         within=0.5),
    File("cut-recorder.webm", cut(lambda: made("webm", Picture("libvpx"), Sound("libopus"), seekable=False), 0.6),
         broke_off=True, seconds=1.7, within=0.5),
    File("cut-faststart", cut(lambda: made("mp4", P, S, seconds=6, options={"movflags": "faststart"}), 0.6),
         broke_off=True, seconds=3.5, within=1.2, copied=BOTH),
    File("cut.avi", cut(lambda: made("avi", Picture("mpeg4"), Sound("libmp3lame"), seconds=6), 0.6), broke_off=True,
         seconds=3.5, within=0.8),
    File("cut.wav", cut(lambda: made("wav", Sound("pcm_s16le"), seconds=6), 0.5), size=None, broke_off=True, seconds=3),
    # -- refused
    File("cut.mov", cut(lambda: made("mov", P, S), 0.7), refused=NotMedia),
    File("nothing", lambda: b"", refused=NotMedia),
    File("letter", lambda: f"Dear {CANARY}".encode() * 999, refused=NotMedia),
    File("portrait.png", lambda: made("image2pipe", Picture("png", pix_fmt="rgb24"), seconds=0.04), refused=NotMedia),
    File("playlist", lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n", refused=NotMedia),
    File("archive.zip", lambda: b"PK\x03\x04" + bytes(9000), refused=NotMedia),
    File("animation.gif", lambda: made("gif", Picture("gif", pix_fmt="rgb8")), refused=NotMedia),
]  # fmt: skip


@dataclass(frozen=True)
class Copy:
    """What came of it."""

    findings: Findings
    version: Version
    original: Original
    prepared: Prepared
    content: bytes


async def allowed() -> None:
    """It may go on."""


async def brought(folder: Path, content: bytes, choose: dict[str, int | None]) -> Copy:
    """Take a file in as archive does, sealed and in processes of its own."""
    with SealedWriter(folder / "m", KEY) as writer:
        writer.write(content)
        writer.finish()
    shelf = Shelf(folder, None, OAK, "c1")
    with SealedReader(FileSource.at(folder / "m"), KEY) as reader:
        findings = await Examiner(None).examine(reader, allowed)  # type: ignore[arg-type]  # it asks it for nothing
        original = Original(
            file="f1-0", bytes=len(content), tracks=findings.tracks, extras=findings.extras,
            brought_at=datetime(2026, 11, 28, tzinfo=UTC), brought_by="t1",
        )  # fmt: skip
        version = Version.begun(original, pictures=True, contact_id="c1", institution=OAK)
        if choose:
            version.stage = "choosing"
            version.choose(original, choose["picture"], choose["sound"])
        async with Bench(shelf, Disk(()), version.id, KEY, allowed) as bench:
            prepared = await prepare(reader, bench, version, allowed, lambda _: None)
    with await shelf.reader(version.id, KEY) as shown:
        return Copy(findings, version, original, prepared, b"".join(shown.read_range(0, shown.size)))


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Browser | None:
    """None where there is no Chromium: all but the playing is tested there too."""
    return request.getfixturevalue("browser") if CHROMIUM else None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
async def test_of_every_file_a_viewing_copy_is_made_that_plays_or_it_is_refused(
    tmp_path: Path, chromium: Browser | None, file: File
) -> None:
    content = await asyncio.to_thread(file.content)
    if file.refused:
        with pytest.raises(file.refused):
            await brought(tmp_path, content, file.choose)
        return
    copy = await brought(tmp_path, content, file.choose)
    prepared = copy.prepared
    assert prepared.copied == list(file.copied)
    assert sorted(copy.version.left_out(copy.original)) == sorted(file.left_out)
    assert prepared.broke_off == file.broke_off
    assert prepared.codecs == (["h264"] if file.size else []) + (["aac"] if file.sound else [])
    assert prepared.duration_seconds == pytest.approx(file.seconds, abs=file.within)
    assert (prepared.bytes, prepared.sha256) == (len(copy.content), hashlib.sha256(copy.content).hexdigest())
    assert CANARY.encode() not in copy.content
    _is_a_viewing_copy(copy.content, file)
    if chromium:
        await _plays_and_jumps(chromium, copy.content, file)


_PLAY = """async ([content, kind]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const player = document.createElement(kind.startsWith("video") ? "video" : "audio");
  document.body.append(player);
  const told = (name) => new Promise((go, fail) => {
    player.addEventListener(name, go, { once: true });
    player.addEventListener("error", () => fail(new Error(player.error.message)), { once: true });
  });
  player.muted = true;
  const known = told("loadedmetadata");
  player.src = URL.createObjectURL(new Blob([bytes], { type: kind }));
  await known;
  const { duration, videoWidth = 0, videoHeight = 0 } = player;
  player.playbackRate = 4;
  const seeked = told("seeked");
  player.currentTime = duration * 0.6;
  await seeked;
  const from = player.currentTime;
  const ended = told("ended");
  await player.play();
  await ended;
  return { duration, from, to: player.currentTime, size: [videoWidth, videoHeight] };
}"""


async def _plays_and_jumps(chromium: Browser, content: bytes, file: File) -> None:
    page = await chromium.new_page()
    kind = "video/mp4" if file.size else "audio/mp4"
    played = await page.evaluate(_PLAY, [base64.b64encode(content).decode(), kind])
    await page.close()
    assert played["duration"] == pytest.approx(file.seconds, abs=file.within + 0.1)
    assert played["from"] == pytest.approx(played["duration"] * 0.6, abs=0.1)
    assert played["to"] == pytest.approx(played["duration"], abs=0.1)
    assert played["size"] == list(file.size or (0, 0))


def _is_a_viewing_copy(content: bytes, file: File) -> None:
    """It plays from its beginning to its end, and there is nothing else in it."""
    with av.open(io.BytesIO(content)) as container:
        assert [stream.type for stream in container.streams] == (["video"] if file.size else []) + (
            ["audio"] if file.sound else []
        )
        assert not container.chapters()
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
        for stream in container.streams:
            assert set(stream.metadata.items()) <= {
                ("language", "und"), ("handler_name", "VideoHandler"), ("handler_name", "SoundHandler"),
                ("vendor_id", "[0][0][0][0]"),
            }  # fmt: skip
        assert float((container.duration or 0) / 1e6) == pytest.approx(file.seconds, abs=file.within + 0.1)
        ends: dict[str, float] = {}
        pictures: list[Any] = []
        for packet in container.demux():
            for frame in packet.decode():
                assert frame.time is not None
                ends[packet.stream.type] = frame.time
                if isinstance(frame, av.VideoFrame):
                    pictures.append(frame)
        for kind, end in ends.items():
            assert end == pytest.approx(file.seconds, abs=file.within + 0.15), kind
    if file.size:
        _is_well_formed(content, notes="picture" not in file.copied)
        shown = pictures[len(pictures) // 2]
        assert (shown.width, shown.height, shown.rotation) == (*file.size, 0)
        assert shown.format.name in ("yuv420p", "yuvj420p")
        assert _bright_corner(shown) == file.bright
    with av.open(io.BytesIO(content)) as container:  # to jump, a player needs no more than the index
        stream = container.streams[0]
        container.seek(int(file.seconds / 2 / stream.time_base), stream=stream)
        assert next(container.decode(stream)).time <= file.seconds / 2 + 0.1


def _is_well_formed(content: bytes, *, notes: bool) -> None:
    """Each unit of H.264 stands behind its length, as MP4 has it; FFmpeg also reads what others do not."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert bytes(stream.codec_context.extradata or b"")[:1] == b"\x01"
        for packet in container.demux(stream):
            data, place, kinds = bytes(packet), 0, set()
            while place < len(data):
                length = int.from_bytes(data[place : place + 4], "big")
                assert 0 < length <= len(data) - place - 4
                kinds.add(data[place + 4] & 31)
                place += 4 + length
            assert notes or 6 not in kinds, "supplemental information was copied"


def _bright_corner(frame: Any) -> str:
    plane = frame.reformat(format="gray").planes[0]
    data, line = bytes(plane), plane.line_size
    x, y = frame.width // 8, frame.height // 8
    corners = {
        "upper left": data[y * line + x],
        "upper right": data[y * line + frame.width - x],
        "lower left": data[(frame.height - y) * line + x],
        "lower right": data[(frame.height - y) * line + frame.width - x],
    }
    return max(corners, key=lambda name: corners[name])
