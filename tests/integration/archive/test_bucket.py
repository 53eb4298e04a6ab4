"""Finished recordings in a bucket of a real S3 server: what is put, read, and erased, and what a failure changes."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from firsthand.services.archive import bucket as bucket_watch
from firsthand.services.archive.bucket import erase_what_came_late
from firsthand.services.archive.handlers.versions import tidy
from firsthand.services.archive.repository import Recordings, shelf_of
from firsthand.shared.bucket import BucketUnavailable, bucket_of
from firsthand.shared.bucket_objects import Bucket
from firsthand.shared.clock import ManualClock
from firsthand.shared.doctor import examine
from firsthand.shared.media import CHUNK, FileSource, MediaDamaged, SealedReader, SealedWriter
from firsthand.shared.settings import Settings
from tests.archive import QU, TUS, Archive, running, served
from tests.buckets import S3Server, Way
from tests.media import noise
from tests.patience import PATIENCE
from tests.replicas import shared_stores

KEY = bytes(range(32))
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def archive(tmp_path: Path, nats_url: str, clock: ManualClock, s3: S3Server, way: Way) -> AsyncIterator[Archive]:
    async with running(tmp_path / "data", nats_url, clock, **s3.settings(way.port)) as one:
        yield one


@pytest.fixture
def bucket(tmp_path: Path, s3: S3Server, way: Way) -> Bucket:
    return _bucket(s3, way.port)


def _bucket(s3: S3Server, port: int, **other: str) -> Bucket:
    found = bucket_of(Settings(**s3.settings(port, **other)))
    assert found
    return found


async def still() -> None:
    pass


def sealed(path: Path, content: bytes) -> Path:
    with SealedWriter(path, KEY) as writer:
        writer.write(content)
        writer.finish()
    return path


async def put(bucket: Bucket, path: Path, key: str = "qu-cdm/c1/m") -> None:
    await bucket.put(key, FileSource.at(path), still)


async def begun(archive: Archive, content: bytes) -> str:
    """An upload of which all but the last thousand bytes have come."""
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(content))},
    )
    place = made.headers["location"]
    assert (await archive.patch(place, 0, content[:-1000])).status_code == 204
    return place


async def head(archive: Archive, place: str) -> httpx.Response:
    return await archive.http.head(place, headers={**archive.tutor(), **TUS})


# -- putting and reading


async def test_a_finished_recording_leaves_the_folder_for_the_bucket_and_every_range_is_byte_for_byte_the_same(
    archive: Archive, s3: S3Server, heavy_film: bytes
) -> None:
    await archive.released(heavy_film)
    assert archive.media_files() == []
    (place,) = s3.objects()  # what was brought is destroyed with the release
    assert place.startswith("qu-cdm/c1/")
    shown = await archive.shown()
    whole = await archive.http.get("/archive/media/c1", headers=archive.student())
    assert (whole.status_code, whole.content == shown) == (200, True)
    size = len(shown)
    for start, end in ((0, 1), (65_535, 65_537), (9_000_000, 14_000_001), (100, 200), (size - 5, size)):
        part = await archive.http.get(
            "/archive/media/c1", headers={**archive.student(), "Range": f"bytes={start}-{end - 1}"}
        )
        assert part.status_code == 206
        assert part.content == shown[start:end]
    head = await archive.http.head("/archive/media/c1", headers=archive.student())
    assert head.headers["content-length"] == str(size)


async def test_no_plain_byte_is_in_the_bucket(archive: Archive, s3: S3Server) -> None:
    canary = b"canary-of-a-recording"
    await archive.awaiting()
    assert (await archive.upload(noise(6 * 1024 * 1024, canary))).status_code == 204
    await archive.until("recording.archived")
    contents = s3.objects().values()
    assert max(map(len, contents)) > 6 * 1024 * 1024
    assert not [content for content in contents if canary in content]


async def test_reading_in_order_asks_for_windows_and_not_for_each_chunk(
    bucket: Bucket, way: Way, tmp_path: Path, heavy_film: bytes
) -> None:
    await put(bucket, sealed(tmp_path / "m", heavy_film))
    way.requests.clear()
    way.from_server = 0

    def read() -> bool:
        with SealedReader(bucket.open("qu-cdm/c1/m"), KEY) as reader:
            return b"".join(reader.read_range(0, reader.size)) == heavy_film

    assert await asyncio.to_thread(read)
    chunks = len(heavy_film) // CHUNK
    assert len(way.requests) < chunks / 15
    assert way.from_server < 1.02 * len(heavy_film)


async def test_a_seek_reads_little(bucket: Bucket, way: Way, tmp_path: Path, heavy_film: bytes) -> None:
    await put(bucket, sealed(tmp_path / "m", heavy_film))

    def read() -> None:
        with SealedReader(bucket.open("qu-cdm/c1/m"), KEY) as reader:
            for place in (15_000_000, 1_000_000, len(heavy_film) - 10, 7, 8_000_000):
                way.from_server = 0
                assert b"".join(reader.read_range(place, place + 10)) == heavy_film[place : place + 10]
                assert way.from_server < 5 * CHUNK + 2000

    await asyncio.to_thread(read)


async def test_every_damage_in_the_bucket_is_told(bucket: Bucket, s3: S3Server, tmp_path: Path) -> None:
    path = sealed(tmp_path / "m", b"x" * (3 * CHUNK + 100))
    other = sealed(tmp_path / "n", b"y" * (3 * CHUNK + 100)).read_bytes()
    good = path.read_bytes()

    def read() -> bytes:
        with SealedReader(bucket.open("qu-cdm/c1/m"), KEY) as reader:
            return b"".join(reader.read_range(0, reader.size))

    def flipped(place: int) -> bytes:
        return good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]

    cut = (b"", good[:10], good[:-1], good[:CHUNK])
    for content in (*cut, other[:CHUNK] + good[CHUNK:], *map(flipped, (3, 40, 99_999, len(good) - 9))):
        obstore.put(s3.store, "qu-cdm/c1/m", content)
        with pytest.raises(MediaDamaged):
            await asyncio.to_thread(read)
    obstore.put(s3.store, "qu-cdm/c1/m", good)
    assert len(await asyncio.to_thread(read)) == 3 * CHUNK + 100


async def test_a_damaged_recording_is_told_at_the_door_and_nothing_of_it_is_sent(
    archive: Archive, s3: S3Server, film: bytes
) -> None:
    await archive.released(film)
    ((place, content),) = s3.objects().items()
    obstore.put(s3.store, place, content[:-1] + bytes([content[-1] ^ 1]))
    answer = await archive.http.get("/archive/media/c1", headers=archive.student())
    assert (answer.status_code, answer.json()["title"]) == (500, "The recording cannot be read")
    obstore.delete(s3.store, [place])
    assert (await archive.http.get("/archive/media/c1", headers=archive.student())).status_code == 404


async def test_two_replicas_share_the_bucket_and_take_over_each_others_uploads(
    tmp_path: Path, nats_url: str, clock: ManualClock, s3: S3Server, way: Way, heavy_film: bytes
) -> None:
    settings = s3.settings(way.port)
    async with (
        shared_stores(),
        running(tmp_path / "data", nats_url, clock, **settings) as one,
        running(tmp_path / "data", nats_url, clock, **settings) as two,
    ):
        await one.awaiting()
        place = await begun(one, heavy_film)
        offset = int((await head(two, place)).headers["upload-offset"])
        assert (await two.patch(place, offset, heavy_film[offset:])).status_code == 204
        await two.until("recording.archived")
        await one.until_files(0)
        assert len(s3.objects()) == 2  # what was brought, and what is shown of it
        await one.beat()
        for replica in (one, two):
            answer = await replica.until_answer(200, "/archive/family/media", replica.family())
            assert answer.content == await replica.shown()


async def test_what_was_held_in_the_folder_before_plays_on(
    tmp_path: Path, nats_url: str, clock: ManualClock, s3: S3Server, way: Way, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as before:
        await before.released(film)
    async with running(tmp_path / "data", nats_url, clock, **s3.settings(way.port)) as now:
        await now.beat()
        assert (await now.until_answer(200, "/archive/media/c1", now.student())).content == await now.shown()
        assert s3.objects() == {}


# -- when something fails in between


@pytest.mark.parametrize("where", ["put", "hold", "remove", "tell"])
async def test_a_crash_at_any_step_of_moving_loses_nothing_and_is_repeated(
    archive: Archive, s3: S3Server, heavy_film: bytes, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class CrashError(Exception):
        pass

    def fall(*_: Any) -> None:
        raise CrashError

    async def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    async def removed(*args: Any) -> None:
        await tidy(*args)
        raise CrashError

    await archive.awaiting()
    place = await begun(archive, heavy_film)
    with monkeypatch.context() as patched:
        if where == "put":
            patched.setattr(Bucket, "_put", fall)
        elif where == "hold":
            patched.setattr(Recordings, "save", crash)
        elif where == "remove":
            patched.setattr(Bucket, "size", crash)
        else:
            patched.setattr("firsthand.services.archive.handlers.uploads.tidy", removed)
        answer = await archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:])
        assert answer.status_code == 500
        # What came, and what was sealed anew of it, until both are where they stay.
        assert len(archive.media_files()) == {"put": 2, "hold": 2, "remove": 1, "tell": 0}[where]
    archive.clock.advance(timedelta(minutes=3))
    await archive.until("recording.archived")
    await archive.until_files(0)
    assert len(s3.objects()) == 2
    async with asyncio.timeout(PATIENCE):
        while (answer := await head(archive, place)).headers.get("retry-after"):  # the repeating is not yet over
            await asyncio.sleep(0.05)
    assert (answer.status_code, answer.headers["upload-offset"]) == (200, str(len(heavy_film)))
    await archive.beat()
    assert await archive.brought() == heavy_film
    shown = await archive.until_answer(200, "/archive/family/media", archive.family())
    assert shown.content == await archive.shown()
    assert len([event for event in archive.told if event.type == "firsthand.recording.archived.v1"]) == 1


async def test_a_process_that_is_killed_while_it_puts_leaves_the_file_whole_and_no_object(
    tmp_path: Path, s3: S3Server, way: Way
) -> None:
    path = sealed(tmp_path / "m", noise(40 * 1024 * 1024))
    content = path.read_bytes()
    program = f"""
import asyncio, sys
from pathlib import Path
from firsthand.shared.bucket import bucket_of
from firsthand.shared.media import SealedWriter
from firsthand.shared.settings import Settings

async def still(): pass

async def main():
    with SealedWriter(Path({str(path)!r}), {KEY!r}, create=False) as writer:
        await bucket_of(Settings(**{s3.settings(way.port)!r})).put("qu-cdm/c1/m", writer.sealed(), still)

asyncio.run(main())
"""
    way.flowing.clear()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    async with asyncio.timeout(PATIENCE):
        while not way.requests:
            await asyncio.sleep(0.01)
    way.flowing.set()
    async with asyncio.timeout(PATIENCE):
        while not any(b"partNumber=3" in line for line in way.requests):
            await asyncio.sleep(0.001)
    process.kill()
    await process.wait()
    assert s3.objects() == {}
    assert path.read_bytes() == content
    with SealedWriter(path, KEY, create=False) as writer:  # nobody holds it any more
        await _bucket(s3, way.port).put("qu-cdm/c1/m", writer.sealed(), still)
    assert s3.objects() == {"qu-cdm/c1/m": content}


async def test_while_the_bucket_is_away_an_upload_comes_in_and_its_end_waits_until_it_is_back(
    archive: Archive, s3: S3Server, way: Way, heavy_film: bytes
) -> None:
    await archive.awaiting()
    await way.cut()
    place = await begun(archive, heavy_film)
    last = await archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:])
    assert (last.status_code, last.headers["retry-after"]) == (503, "5")
    assert last.json()["title"] == "Recordings are not available right now"
    assert (await head(archive, place)).status_code == 503
    assert len(archive.media_files()) == 1
    await way.restore()
    again = await archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:])  # as the page does
    assert (again.status_code, again.headers["upload-offset"]) == (409, str(len(heavy_film)))
    await archive.until("recording.archived")
    await archive.until_files(0)
    assert len(s3.objects()) == 2


async def test_without_its_bucket_archive_is_ready_and_says_what_is_amiss_also_to_an_alarm(
    archive: Archive, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def until_impaired(*sentences: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while (ready := await archive.http.get("/archive/readyz")).json()["impaired"] != list(sentences):
                await asyncio.sleep(0.02)
        assert (ready.status_code, ready.json()["problems"]) == (200, [])  # pages and uploads go on
        figures = (await archive.http.get("/archive/metrics")).text
        assert f'firsthand_impaired{{service="archive"}} {len(sentences)}.0' in figures

    await archive.beat()  # the gate has nothing to say here
    await until_impaired()
    monkeypatch.setattr(bucket_watch, "_ASK_EVERY", 0.05)
    asking = asyncio.create_task(bucket_watch.ask_bucket(archive.context))
    await way.cut()
    await until_impaired("the bucket firsthand does not answer (no connection)")
    await way.restore()
    await until_impaired()
    asking.cancel()


async def test_a_bucket_that_goes_away_while_a_recording_is_put_is_tried_again_without_anybody_asking(
    archive: Archive, s3: S3Server, way: Way, heavy_film: bytes
) -> None:
    await archive.awaiting()
    place = await begun(archive, heavy_film)
    way.flowing.clear()
    way.requests.clear()
    finishing = asyncio.create_task(archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:]))
    async with asyncio.timeout(PATIENCE):
        while not way.requests:
            await asyncio.sleep(0.01)
    await way.cut()
    way.flowing.set()
    assert (await finishing).status_code == 503
    assert s3.objects() == {}
    await way.restore()
    archive.clock.advance(timedelta(minutes=3))
    await archive.until("recording.archived")
    await archive.until_files(0)
    assert len(s3.objects()) == 2


async def test_a_form_whose_recording_cannot_be_put_is_told_so_and_the_recording_is_held_later(
    archive: Archive, way: Way, film: bytes
) -> None:
    await archive.awaiting()
    await way.cut()
    answer = await archive.http.post(
        "/archive/recordings/c1/upload",
        files={"recording": ("a.mp4", film, "video/mp4")},
        headers={"Accept": "text/html", **archive.tutor()},
    )
    assert answer.status_code == 503
    assert "Nothing is lost" in answer.text
    await way.restore()
    archive.clock.advance(timedelta(minutes=3))
    await archive.until("recording.archived")


async def test_a_bucket_that_hangs_is_told_in_time_and_holds_up_nothing_else(
    tmp_path: Path,
    nats_url: str,
    clock: ManualClock,
    s3: S3Server,
    way: Way,
    film: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firsthand.shared.bucket_objects._QUICK", {"connect_timeout": "1s", "timeout": "2s"})
    monkeypatch.setattr("firsthand.shared.bucket_objects._AGAIN", {"max_retries": 0})
    async with running(tmp_path / "data", nats_url, clock, **s3.settings(way.port)) as archive:
        await archive.released(film)
        way.flowing.clear()
        asked = [archive.http.get("/archive/media/c1", headers=archive.student()) for _ in range(16)]
        players = asyncio.gather(*asked)
        await asyncio.sleep(0.2)
        assert (await archive.http.get("/archive/healthz")).status_code == 200
        await asyncio.wait_for(asyncio.to_thread(sealed, tmp_path / "m", b"x"), 1)
        assert not players.done()
        assert {answer.status_code for answer in await players} == {503}
        way.flowing.set()
        played = await archive.http.get("/archive/media/c1", headers=archive.student())
        assert played.content == await archive.shown()


async def test_a_bucket_that_goes_away_in_the_middle_of_playing_ends_the_answer_and_never_sends_a_wrong_byte(
    archive: Archive, way: Way, heavy_film: bytes
) -> None:
    await archive.released(heavy_film)
    shown = await archive.shown()
    got = bytearray()
    async with served(archive) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as player:
        way.from_server = 0
        way.cut_after = 5_000_000

        async def play() -> None:
            async with player.stream("GET", "/archive/media/c1", headers=archive.student()) as answer:
                assert answer.status_code == 200
                async for piece in answer.aiter_raw():
                    got.extend(piece)

        with pytest.raises(httpx.TransportError):
            await play()
        assert 0 < len(got) < len(shown)
        assert shown.startswith(got)
        await archive.beat()
        refused = await player.get("/archive/media/c1", headers=archive.student(), timeout=20)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        await way.restore()
        await archive.beat()
        rest = await player.get(
            "/archive/media/c1", headers={**archive.student(), "Range": f"bytes={len(got)}-"}, timeout=20
        )
        assert bytes(got) + rest.content == shown


async def test_what_was_read_ahead_is_not_sent_after_a_withdrawal(
    archive: Archive, way: Way, heavy_film: bytes
) -> None:
    await archive.released(heavy_film)
    loop = asyncio.get_running_loop()
    got = 0
    with socket.socket() as player:
        player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little waits on the player's side
        player.setblocking(False)
        async with served(archive) as port:
            await loop.sock_connect(player, ("127.0.0.1", port))
            lines = "".join(f"{name}: {value}\r\n" for name, value in {**archive.student(), "Host": "test"}.items())
            way.from_server = 0
            await loop.sock_sendall(player, f"GET /archive/media/c1 HTTP/1.1\r\n{lines}\r\n".encode())
            while got < 6 * CHUNK:
                got += len(await loop.sock_recv(player, 2000))
            await archive.withdraw()
            await archive.until_answer(404, "/archive/media/c1", archive.student())
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(PATIENCE):
                    while piece := await loop.sock_recv(player, 2000):
                        got += len(piece)
    assert way.from_server > 11 * CHUNK  # windows of four and eight chunks had come
    assert got < 9 * CHUNK


# -- erasing


def _completes(line: bytes) -> bool:
    """Whether a request makes the parts of an upload one object."""
    return line.startswith(b"POST") and b"uploadId=" in line


async def test_an_erasure_leaves_no_object_and_is_told_only_when_that_is_true(
    archive: Archive, s3: S3Server, way: Way, film: bytes, heavy_film: bytes
) -> None:
    await archive.awaiting()
    for content in (film, heavy_film):  # the second replaces the first
        assert (await archive.upload(content)).status_code == 204
    assert len(s3.objects()) == 1
    obstore.put(s3.store, "qu-cdm/c1/something-left", b"x")
    obstore.put(s3.store, "qu-cdm/c10/of-somebody-else", b"x")
    await archive.consent("ConsentWithdrawnV1", "withdrawn")
    await way.cut()
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    async with asyncio.timeout(PATIENCE):
        while not await archive.context.vault.erased(QU):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert not [event for event in archive.told if event.type == "firsthand.archive.erased.v1"]
    await way.restore()
    await archive.until("archive.erased")
    assert list(s3.objects()) == ["qu-cdm/c10/of-somebody-else"]


async def test_an_erasure_waits_for_a_put_that_is_under_way_and_leaves_nothing_of_it(
    archive: Archive, s3: S3Server, way: Way, heavy_film: bytes
) -> None:
    await archive.awaiting()
    place = await begun(archive, heavy_film)
    way.requests.clear()
    way.flowing.clear()
    way.held = _completes  # all parts are there: only the last word is missing
    finishing = asyncio.create_task(archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:]))
    async with asyncio.timeout(PATIENCE):
        while not any(map(_completes, way.requests)):
            await asyncio.sleep(0.01)
    await archive.consent("ConsentWithdrawnV1", "withdrawn")
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    async with asyncio.timeout(PATIENCE):
        while not await archive.context.vault.erased(QU):
            await asyncio.sleep(0.01)
    await asyncio.sleep(1.5)  # the put has been told that it is over
    assert not [event for event in archive.told if event.type == "firsthand.archive.erased.v1"]
    way.flowing.set()
    await archive.until("archive.erased")
    assert s3.objects() == {}
    assert (await finishing).status_code in (404, 409, 423)
    assert s3.objects() == {}
    assert archive.media_files() == []


async def test_what_comes_into_the_bucket_after_an_erasure_is_found_and_removed(
    archive: Archive, s3: S3Server, film: bytes
) -> None:
    await archive.released(film)
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await archive.until("archive.erased")
    obstore.put(s3.store, "qu-cdm/c1/late", b"x")
    obstore.put(s3.store, "qu-cdm/c2/not-erased", b"x")
    await erase_what_came_late(archive.context)
    assert list(s3.objects()) == ["qu-cdm/c2/not-erased"]


async def test_an_upload_that_is_ended_while_it_is_put_goes_on_and_one_that_was_not_is_removed(
    archive: Archive, s3: S3Server, way: Way, heavy_film: bytes
) -> None:
    await archive.awaiting()
    place = await begun(archive, heavy_film)
    way.requests.clear()
    way.flowing.clear()
    finishing = asyncio.create_task(archive.patch(place, len(heavy_film) - 1000, heavy_film[-1000:]))
    async with asyncio.timeout(PATIENCE):
        while not way.requests:
            await asyncio.sleep(0.01)
    ended = await archive.http.delete(place, headers={**archive.tutor(), **TUS})
    assert ended.status_code == 423
    way.flowing.set()
    assert (await finishing).status_code == 204
    assert len(s3.objects()) == 1
    other = await begun(archive, heavy_film)
    assert (await archive.http.delete(other, headers={**archive.tutor(), **TUS})).status_code == 204
    assert archive.media_files() == []


# -- what is told


async def test_a_bucket_that_is_not_there_or_refuses_us_is_told_in_words(
    tmp_path: Path, s3: S3Server, way: Way
) -> None:
    path = sealed(tmp_path / "m", b"x")
    gone = _bucket(s3, way.port, media_url="s3://nowhere-to-be-found")
    refusing = _bucket(s3, way.port, media_secret_access_key="another")
    for bucket, words in (
        (gone, "there is no bucket nowhere-to-be-found"),
        (refusing, "the bucket firsthand refuses us (SignatureDoesNotMatch): look at key, policy and clock"),
    ):
        for attempt in (
            bucket.check,
            lambda bucket=bucket: put(bucket, path),
            lambda bucket=bucket: asyncio.to_thread(bucket.open, "qu-cdm/c1/m"),
            lambda bucket=bucket: bucket.clear("qu-cdm/c1"),
            lambda bucket=bucket: bucket.remove("qu-cdm/c1/m"),
        ):
            with pytest.raises(BucketUnavailable) as told:
                await attempt()
            assert str(told.value) == words
    settings = Settings(data=tmp_path / "data", **s3.settings(way.port, media_secret_access_key="another"))
    lines = [finding.text for finding in await examine(settings, {}) if finding.level == "fault"]
    assert any("refuses us" in line and settings.media_endpoint in line for line in lines)


async def test_keys_come_from_a_file_or_from_amazons_variables_too(
    tmp_path: Path, s3: S3Server, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = s3.settings(way.port)
    key_id, secret = told.pop("media_access_key_id"), told.pop("media_secret_access_key")
    (tmp_path / "firsthand_media_secret_access_key").write_text(secret + "\n")
    monkeypatch.setenv("FIRSTHAND_SECRETS_DIR", str(tmp_path))
    by_file = bucket_of(Settings(**told, media_access_key_id=key_id))
    monkeypatch.delenv("FIRSTHAND_SECRETS_DIR")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    by_environment = bucket_of(Settings(**told))
    for found in (by_file, by_environment):
        assert found
        await found.check()


def test_memory_stays_flat_for_a_recording_of_two_hundred_megabytes(tmp_path: Path, s3: S3Server) -> None:
    program = f"""
import asyncio, hashlib, os, resource
from pathlib import Path
from firsthand.shared.bucket import bucket_of
from firsthand.shared.media import FileSource, SealedReader, SealedWriter
from firsthand.shared.settings import Settings

async def still(): pass

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    path, key, digest, piece = Path({str(tmp_path / "m")!r}), {KEY!r}, hashlib.sha256(), os.urandom(1024 * 1024)
    with SealedWriter(path, key) as writer:
        for _ in range(200):
            digest.update(piece)
            writer.write(piece)
        writer.finish()
    bucket = bucket_of(Settings(**{s3.settings(s3.port)!r}))
    before = peak()
    await bucket.put("qu-cdm/c1/m", FileSource.at(path), still)
    path.unlink()
    with SealedReader(bucket.open("qu-cdm/c1/m"), key) as reader:
        again = hashlib.sha256()
        for part in reader.read_range(0, reader.size):
            again.update(part)
    assert again.digest() == digest.digest()
    print(peak() - before)

asyncio.run(main())
"""
    grown = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 100  # MB; four parts of eight, and what the library keeps of them


async def test_a_shelf_without_a_bucket_asks_none(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.released(film)
        assert bucket_of(one.deployment.settings) is None
        assert len(one.media_files()) == 1
        with pytest.raises(FileNotFoundError):
            await shelf_of(one.context, QU, "c1").reader("none", KEY)
        with pytest.raises(FileNotFoundError):
            await shelf_of(one.context, QU, "c1").writer("none", KEY)
        assert len(one.media_files()) == 1  # none was made
