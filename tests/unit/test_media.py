import io
import os
import threading
import tracemalloc
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firsthand.shared.media import (
    CHUNK,
    FileSource,
    MediaBusy,
    MediaDamaged,
    SealedReader,
    SealedWriter,
    in_hand,
    remove_media,
)

KEY = bytes(range(32))
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17]


def sealed(path: Path, content: bytes, key: bytes = KEY) -> Path:
    with SealedWriter(path, key) as writer:
        writer.write(content)
        writer.finish()
    return path


def opened(path: Path, key: bytes = KEY) -> bytes:
    with SealedReader(FileSource.at(path), key) as reader:
        return b"".join(reader.read_range(0, reader.size))


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_recording_reads_back_whole(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = sealed(tmp_path / "m", content)
    assert opened(path) == content
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 3 * CHUNK + 30), length=st.integers(0, 3 * CHUNK + 30))
def test_any_range_is_what_the_plain_bytes_hold_there(tmp_path: Path, start: int, length: int) -> None:
    content = bytes(range(256)) * (3 * CHUNK // 256) + b"the last seventeen"
    path = tmp_path / "m"
    if not path.exists():
        sealed(path, content)
    with SealedReader(FileSource.at(path), KEY) as reader:
        pieces = list(reader.read_range(start, start + length))
    assert b"".join(pieces) == content[start : start + length]
    assert all(0 < len(piece) <= CHUNK for piece in pieces)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.integers(0, CHUNK + 100), max_size=6), synced=st.lists(st.booleans(), min_size=6, max_size=6))
def test_an_upload_goes_on_after_any_interruption_at_what_was_acknowledged(
    tmp_path: Path, pieces: list[int], synced: list[bool]
) -> None:
    path = tmp_path / "m"
    remove_media(path)
    acknowledged = b""
    for size, sync in zip(pieces, synced, strict=False):
        with SealedWriter(path, KEY) as writer:
            assert writer.offset == len(acknowledged)
            piece = os.urandom(size)
            writer.write(piece)
            if sync:
                acknowledged += piece
                assert writer.sync() == len(acknowledged)
    with SealedWriter(path, KEY) as writer:
        assert writer.finish() == len(acknowledged)
    assert opened(path) == acknowledged


class PowerCutError(Exception):
    pass


@pytest.mark.parametrize("at", range(1, 40))
def test_a_crash_at_any_write_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "m"
    content = os.urandom(2 * CHUNK + 500)
    countdown = at

    def cut(real: object) -> object:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal countdown
            countdown -= 1
            if countdown == 0:
                raise PowerCutError
            return real(*args, **kwargs)  # type: ignore[operator]

        return call

    acknowledged = 0
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", cut(os.write))
        patched.setattr(os, "fsync", cut(os.fsync))
        patched.setattr(os, "fdopen", cut(os.fdopen))
        patched.setattr(Path, "replace", cut(Path.replace))
        patched.setattr(Path, "unlink", cut(Path.unlink))
        try:
            with SealedWriter(path, KEY) as writer:
                for start in range(0, len(content), 40_000):
                    writer.write(content[start : start + 40_000])
                    acknowledged = writer.sync()
                writer.finish()
        except PowerCutError:
            pass
    with SealedWriter(path, KEY) as writer:
        assert writer.offset >= acknowledged
        if not writer.finished:
            writer.write(content[writer.offset :])
        writer.finish()
    assert opened(path) == content
    remove_media(path)
    assert list(tmp_path.iterdir()) == []


def test_a_chunk_torn_by_a_crash_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with SealedWriter(path, KEY) as writer:
        writer.write(b"a" * (CHUNK + 10))
        writer.sync()
    with path.open("ab") as file:
        file.write(os.urandom(1234))
    with SealedWriter(path, KEY) as writer:
        assert writer.offset == CHUNK + 10
        writer.write(b"b" * 5)
        writer.finish()
    assert opened(path) == b"a" * (CHUNK + 10) + b"b" * 5


def test_no_plain_byte_lies_on_disk_at_any_time(tmp_path: Path) -> None:
    canary = b"canary-of-a-recording"
    path = tmp_path / "m"
    with SealedWriter(path, KEY) as writer:
        for _ in range(5000):
            writer.write(canary)
        for part in (canary, canary[:7], b""):
            writer.write(part)
            writer.sync()
            assert all(canary not in file.read_bytes() for file in tmp_path.iterdir())
        writer.finish()
    assert canary not in path.read_bytes()


def test_the_same_bytes_synced_twice_are_never_sealed_under_the_same_nonce(tmp_path: Path) -> None:
    records = set()
    with SealedWriter(tmp_path / "m", KEY) as writer:
        for byte in (b"a", b"b", b""):
            writer.write(byte)
            writer.sync()
            records.add((tmp_path / "m.part").read_bytes()[36:48])
    assert len(records) == 3


def test_a_finished_upload_is_told_as_finished(tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", b"x" * 100)
    with SealedWriter(path, KEY) as writer:
        assert writer.finished
        assert writer.offset == 100
        assert writer.sync() == 100
        assert writer.finish() == 100
        with pytest.raises(ValueError, match="finished"):
            writer.write(b"more")
    assert opened(path) == b"x" * 100


def test_an_upload_can_be_begun_anew(tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", b"old")
    with SealedWriter(path, KEY, resume=False) as writer:
        assert writer.offset == 0
        writer.write(b"new one")
        writer.finish()
    assert opened(path) == b"new one"


def test_an_unfinished_upload_cannot_be_read(tmp_path: Path) -> None:
    with SealedWriter(tmp_path / "m", KEY) as writer:
        writer.write(b"x" * (2 * CHUNK))
        writer.sync()
        with pytest.raises(MediaDamaged):
            SealedReader(FileSource.at(tmp_path / "m"), KEY)


def test_two_requests_cannot_write_the_same_recording(tmp_path: Path) -> None:
    with SealedWriter(tmp_path / "m", KEY), pytest.raises(MediaBusy):
        SealedWriter(tmp_path / "m", KEY)
    SealedWriter(tmp_path / "m", KEY).close()


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", os.urandom(CHUNK + 100))
    good = path.read_bytes()
    for place in [*range(60), CHUNK, CHUNK + 40, CHUNK + 60, *range(len(good) - 160, len(good), 3)]:
        damaged = bytearray(good)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(MediaDamaged):
            opened(path)


@pytest.mark.parametrize("keep", [0, 10, 28, 5000, 28 + CHUNK + 28, -1, -36, -37])
def test_a_file_cut_short_is_noticed_at_once(tmp_path: Path, keep: int) -> None:
    path = sealed(tmp_path / "m", os.urandom(2 * CHUNK + 100))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MediaDamaged):
        SealedReader(FileSource.at(path), KEY)


def test_a_damaged_recording_is_never_overwritten_by_resuming(tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", os.urandom(2 * CHUNK))
    cut = path.read_bytes()[:-1]
    path.write_bytes(cut)
    with pytest.raises(MediaDamaged):
        SealedWriter(path, KEY)
    assert path.read_bytes() == cut


def test_chunks_cannot_be_exchanged_or_taken_from_another_file(tmp_path: Path) -> None:
    slot = CHUNK + 28
    first = sealed(tmp_path / "a", os.urandom(2 * CHUNK)).read_bytes()
    second = sealed(tmp_path / "b", os.urandom(2 * CHUNK)).read_bytes()
    one, two, end = first[28 : 28 + slot], first[28 + slot : 28 + 2 * slot], first[28 + 2 * slot :]
    for forged in (
        first[:28] + two + one + end,
        first[:28] + one + one + end,
        first[:28] + second[28 : 28 + slot] + two + end,
    ):
        (tmp_path / "a").write_bytes(forged)
        with pytest.raises(MediaDamaged):
            opened(tmp_path / "a")
    (tmp_path / "a").write_bytes(first[: 28 + 2 * slot] + second[28 + 2 * slot :])
    with pytest.raises(MediaDamaged):
        SealedReader(FileSource.at(tmp_path / "a"), KEY)


def test_another_key_opens_nothing_and_continues_nothing(tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", b"x" * 10)
    with pytest.raises(MediaDamaged):
        SealedReader(FileSource.at(path), bytes(32))
    with SealedWriter(tmp_path / "n", KEY) as writer:
        writer.write(b"x")
        writer.sync()
    with pytest.raises(MediaDamaged):
        SealedWriter(tmp_path / "n", bytes(32))


def test_removing_leaves_nothing_behind_whatever_the_upload_had_come_to(tmp_path: Path) -> None:
    with SealedWriter(tmp_path / "m", KEY) as writer:
        writer.write(b"x")
        writer.sync()
    (tmp_path / "m.part.0a1b2c3d").write_bytes(b"a draft that a crash left")
    remove_media(tmp_path / "m")
    remove_media(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_is_not_given_a_file_that_is_being_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    real = os.open

    def removed_meanwhile(*args: object, **kwargs: object) -> int:
        fd = real(*args, **kwargs)  # type: ignore[arg-type]
        monkeypatch.undo()
        remove_media(path)
        return fd

    monkeypatch.setattr(os, "open", removed_meanwhile)
    with pytest.raises(MediaBusy):
        SealedWriter(path, KEY)


def test_a_long_recording_is_written_and_read_in_flat_memory(tmp_path: Path) -> None:
    piece = os.urandom(1024 * 1024)
    tracemalloc.start()
    try:
        with SealedWriter(tmp_path / "m", KEY) as writer:
            for _ in range(16):
                writer.write(piece)
            writer.finish()
        with SealedReader(FileSource.at(tmp_path / "m"), KEY) as reader:
            assert sum(len(part) for part in reader.read_range(0, reader.size)) == 16 * len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


def test_threads_may_share_one_reader(tmp_path: Path) -> None:
    content = os.urandom(8 * CHUNK)
    path = sealed(tmp_path / "m", content)
    wrong: list[int] = []
    with SealedReader(FileSource.at(path), KEY) as reader:

        def read(start: int) -> None:
            if b"".join(reader.read_range(start, start + 2 * CHUNK)) != content[start : start + 2 * CHUNK]:
                wrong.append(start)

        threads = [threading.Thread(target=read, args=(number * CHUNK // 3,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_the_file_over_a_sealed_one_behaves_as_a_file(tmp_path: Path) -> None:
    content = os.urandom(2 * CHUNK + 77)
    plain = io.BytesIO(content)
    with SealedReader(FileSource.at(sealed(tmp_path / "m", content)), KEY) as reader, reader.file() as file:
        for offset, whence, count in ((0, 0, 10), (CHUNK - 3, 0, 6), (-5, 2, 100), (-20, 1, 7), (5 * CHUNK, 0, 1)):
            assert file.seek(offset, whence) == plain.seek(offset, whence)
            assert _exactly(file, count) == plain.read(count)
            assert file.tell() == plain.tell()
        with pytest.raises(ValueError, match="before the beginning"):
            file.seek(-1)


def _exactly(file: io.RawIOBase, count: int) -> bytes:
    found = b""
    while len(found) < count and (piece := file.read(count - len(found))):
        found += piece
    return found


def test_a_video_is_read_through_its_seal(tmp_path: Path) -> None:
    clear = tmp_path / "clear.mkv"
    with av.open(str(clear), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    path = sealed(tmp_path / "m", clear.read_bytes())
    clear.unlink()
    with SealedReader(FileSource.at(path), KEY) as reader, av.open(reader.file(), "r") as container:
        assert len(list(container.decode(video=0))) == 20


def test_a_file_that_is_gone_is_not_made_again_by_going_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SealedWriter(tmp_path / "m", KEY, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_file_is_in_hand_until_the_last_who_holds_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "m"
    with SealedWriter(path, KEY) as writer:
        writer.write(b"x")
        writer.sync()
        assert not in_hand(path)  # it is still coming: who removes it need not wait
        writer.finish()
        assert in_hand(path)
        content = writer.sealed()
    assert in_hand(path)
    assert content.read(0, content.size) == path.read_bytes()
    content.close()
    assert not in_hand(path)
    remove_media(path)
    assert not in_hand(path)
