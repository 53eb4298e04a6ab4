"""Taking a recording in, over HTTP: in pieces, interrupted, changed, refused, replaced."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firsthand.services.archive import apart
from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers import uploads
from firsthand.services.archive.handlers.uploads import begin_upload, receive
from firsthand.services.archive.process import HEAD, STARTED
from firsthand.services.archive.repository import Recordings
from firsthand.shared.clock import ManualClock
from firsthand.shared.topology import STREAMS
from tests.archive import AKL, QU, TUS, Archive, running, served
from tests.media import sound
from tests.patience import PATIENCE


async def test_a_recording_uploaded_in_pieces_is_checked_sealed_and_held(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    answer = await archive.upload(film, piece=10_007)
    assert answer.status_code == 204
    event = await archive.until("recording.archived")
    assert event.data.state == "held"
    assert event.data.media == "video"
    assert 1.9 < event.data.duration_seconds < 2.1
    shown = (await archive.http.get("/archive/family/media", headers=archive.family())).content
    assert (event.data.sha256, event.data.bytes) == (hashlib.sha256(shown).hexdigest(), len(shown))
    sealed = archive.media_files()
    assert len(sealed) == 2  # what was brought, and what is shown of it
    for file in sealed:
        assert film[1000:1100] not in file.read_bytes()
        assert shown[2000:2100] not in file.read_bytes()
    told = (await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())).json()
    assert told["codecs"] == ["h264", "aac"]


async def test_an_interrupted_upload_goes_on_where_the_last_safe_byte_was(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(film))},
    )
    place = made.headers["location"]
    assert (await archive.patch(place, 0, film[:5000])).headers["upload-offset"] == "5000"
    wrong = await archive.patch(place, 0, film[:5000])
    assert wrong.status_code == 409
    assert wrong.headers["upload-offset"] == "5000"
    assert wrong.headers["tus-resumable"] == "1.0.0"
    asked = await archive.http.head(place, headers={**archive.tutor(), **TUS})
    assert asked.headers["upload-offset"] == "5000"
    assert asked.headers["upload-length"] == str(len(film))
    assert (await archive.patch(place, 5000, film[5000:])).status_code == 204
    assert (await archive.until("recording.archived")).data.state == "held"
    assert await archive.brought() == film


async def test_an_upload_outlives_the_process(tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.awaiting()
        made = await one.http.post(
            "/archive/api/v1/recordings/c1/uploads",
            headers={**one.tutor(), **TUS, "Upload-Length": str(len(film))},
        )
        place = made.headers["location"]
        await one.patch(place, 0, film[:20_000])
    async with running(tmp_path / "data", nats_url, clock) as two:
        asked = await two.http.head(place, headers={**two.tutor(), **TUS})
        assert asked.headers["upload-offset"] == "20000"
        assert (await two.patch(place, 20_000, film[20_000:])).status_code == 204
        assert (await two.until("recording.archived")).data.state == "held"
        assert await two.brought() == film


async def test_a_client_that_goes_away_keeps_what_it_had_sent(archive: Archive, long_film: bytes) -> None:
    await archive.awaiting()
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(long_film))},
    )
    place = made.headers["location"]
    headers = {
        **archive.tutor(),
        **TUS,
        "Host": "test",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": "0",
        "Content-Length": str(len(long_film)),
    }
    async with served(archive) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"PATCH {place} HTTP/1.1\r\n{head}\r\n".encode() + long_film[:1_500_000])
        await writer.drain()
        async with asyncio.timeout(PATIENCE):
            while sum(path.stat().st_size for path in archive.media_files()) < 1_000_000:
                await asyncio.sleep(0.01)
        writer.close()
        asked = await archive.http.head(place, headers={**archive.tutor(), **TUS})
    assert 1_000_000 < int(asked.headers["upload-offset"]) <= 1_500_000


async def test_a_piece_that_was_changed_on_its_way_is_not_kept(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(film))},
    )
    place = made.headers["location"]
    right = "sha256 " + base64.b64encode(hashlib.sha256(film).digest()).decode()
    assert (await archive.patch(place, 0, film[:-1] + b"?", **{"Upload-Checksum": right})).status_code == 460
    assert (await archive.http.head(place, headers={**archive.tutor(), **TUS})).headers["upload-offset"] == "0"
    assert (await archive.patch(place, 0, film, **{"Upload-Checksum": right})).status_code == 204


@pytest.mark.parametrize(
    "content", [b"not a film at all " * 500, b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"\x89PNG" * 99]
)
async def test_what_is_neither_video_nor_sound_is_refused_and_removed(archive: Archive, content: bytes) -> None:
    await archive.awaiting()
    answer = await archive.upload(content)
    assert answer.status_code == 422
    assert "cannot play this file as video or sound" in answer.json()["detail"]
    assert archive.media_files() == []
    shown = (await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())).json()
    assert shown["state"] == "awaited"


async def test_a_withdrawal_ends_the_examination_of_a_recording(
    archive: Archive, film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of one that takes for ever: a decoder that has started, and waits for bytes that it never asks for."""
    decoder, started = tmp_path / "decoder.py", tmp_path / "started"
    says = f"os.write(1, {HEAD.pack(STARTED, 0, 0, 0)!r}); open({str(started)!r}, 'w').close(); os.read(0, 1)"
    decoder.write_text(f"import os; {says}")
    monkeypatch.setattr(apart, "_PROGRAM", decoder)
    await archive.awaiting()
    uploading = asyncio.create_task(archive.upload(film))
    async with asyncio.timeout(PATIENCE):
        while not started.exists():
            await asyncio.sleep(0.01)
    await archive.withdraw()
    answer = await asyncio.wait_for(uploading, PATIENCE)
    assert answer.status_code == 409
    assert archive.media_files() == []


async def test_a_recording_that_takes_too_much_is_refused_in_words_also_when_asked_again(
    archive: Archive, film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = tmp_path / "decoder.py"  # one that its limits end
    decoder.write_text(f"import os; os.write(1, {HEAD.pack(STARTED, 0, 0, 0)!r}); os.kill(os.getpid(), 9)")
    monkeypatch.setattr(apart, "_PROGRAM", decoder)
    await archive.awaiting()
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(film))},
    )
    place = made.headers["location"]
    for _ in range(2):
        refused = await archive.patch(place, 0, film)
        assert refused.status_code == 422
        assert refused.json()["type"] == "urn:firsthand:archive:too-demanding"
        assert "within our limits of memory and time" in refused.json()["detail"]
    assert archive.media_files() == []


async def test_a_recording_waits_while_it_cannot_be_examined_and_nothing_of_it_is_lost(
    archive: Archive, film: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = apart._PROGRAM
    monkeypatch.setattr(apart, "_PROGRAM", tmp_path / "not installed")
    await archive.awaiting()
    assert (await archive.upload(film)).status_code == 503
    assert archive.media_files() != []
    monkeypatch.setattr(apart, "_PROGRAM", program)
    archive.clock.advance(timedelta(minutes=3))
    assert (await archive.until("recording.archived")).data.state == "held"
    assert await archive.brought() == film


async def test_a_second_upload_replaces_what_is_held_but_not_what_was_released(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    await archive.until("recording.archived")
    await archive.upload(sound())
    second = await archive.until("recording.archived", 2)
    assert second.data.media == "audio"
    await archive.until_files(2)  # of the second: what was brought, and what is shown
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=second.data.sha256)
    await archive.until("recording.published")
    assert len(archive.media_files()) == 1
    refused = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads", headers={**archive.tutor(), **TUS, "Upload-Length": "10"}
    )
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:firsthand:archive:released"


async def test_of_a_video_only_the_sound_is_taken_where_the_family_allows_no_more(
    archive: Archive, film: bytes
) -> None:
    await archive.awaiting(scopes=["meet", "record-audio", "share-cohort"])
    await archive.upload(film)
    held = await archive.until("recording.archived")
    assert (held.data.media, held.data.refused_because) == ("audio", None)
    told = (await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())).json()
    assert (told["codecs"], told["left_out"]) == (["aac"], ["pictures"])


async def test_a_video_is_not_released_once_only_sound_is_allowed(archive: Archive, film: bytes) -> None:
    scopes = ["meet", "record-audio", "share-cohort"]
    await archive.awaiting()
    await archive.upload(film)
    held = await archive.until("recording.archived")
    await archive.consent("ConsentChangedV1", scopes=scopes)
    assert (await archive.until("recording.changed")).data.refused_because == "wider-than-allowed"
    await archive.consent("ConsentReleasedV1", scopes=scopes, released=True, released_sha256=held.data.sha256)
    await archive.upload(sound())
    taken = await archive.until("recording.archived", 2)
    assert taken.data.refused_because is None
    assert not [event for event in archive.told if event.type == "firsthand.recording.published.v1"]
    await archive.until_answer(404, "/archive/media/c1", archive.student())


async def test_only_tutors_of_the_institution_upload_and_only_what_is_awaited(archive: Archive) -> None:
    create = {**TUS, "Upload-Length": "10"}
    path = "/archive/api/v1/recordings/c1/uploads"
    assert (await archive.http.post(path, headers={**archive.tutor(), **create})).status_code == 404
    await archive.awaiting()
    assert (await archive.http.post(path, headers={**archive.student(), **create})).status_code == 403
    assert (await archive.http.post(path, headers={**archive.tutor(AKL), **create})).status_code == 404
    assert (await archive.http.post(path, headers=create)).status_code == 401
    assert (await archive.http.post(path, headers=archive.tutor())).status_code == 412
    await archive.consent("ConsentChangedV1", "paused")
    async with asyncio.timeout(PATIENCE):
        while (await archive.http.post(path, headers={**archive.tutor(), **create})).status_code != 409:
            await asyncio.sleep(0.02)


async def test_a_crash_between_the_last_byte_and_the_checking_loses_nothing(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    upload = await begin_upload(archive.context, QU, "c1", length=len(film), by="tutor1")

    async def everything() -> AsyncIterator[bytes]:
        yield film

    assert await receive(archive.context, upload, offset=0, chunks=everything()) == len(film)
    asked = await archive.http.head(f"/archive/api/v1/uploads/{upload.id}", headers={**archive.tutor(), **TUS})
    assert asked.headers["upload-offset"] == str(len(film))
    await archive.until("recording.archived")
    assert await archive.brought() == film


async def test_an_unfinished_upload_is_forgotten_after_its_time(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    upload = await begin_upload(archive.context, QU, "c1", length=len(film), by="tutor1")
    assert archive.media_files() != []
    archive.clock.set(upload.expires_at)
    place, headers = f"/archive/api/v1/uploads/{upload.id}", {**archive.tutor(), **TUS}
    async with asyncio.timeout(PATIENCE):
        while (gone := await archive.http.head(place, headers=headers)).status_code != 404:
            assert gone.status_code == 410  # its time is over; first its file is removed, then what is known of it
            await asyncio.sleep(0.05)
    assert archive.media_files() == []


async def test_an_upload_is_held_under_a_consent_that_the_store_does_not_know_yet(
    archive: Archive, film: bytes
) -> None:
    """The gate hears of a consent before the durable has stored it; until then both say the same to an upload."""
    await archive.case()
    await archive.meeting_finished()
    await archive.until("recording.awaited")
    stream, durable = STREAMS["consent"].name, "archive_follow_consent_all"
    jetstream = archive.nats.jetstream()
    until = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    await jetstream.pause_consumer(stream, durable, until)
    await archive.consent("ConsentGrantedV1")
    async with asyncio.timeout(PATIENCE):
        while (await gate_of(archive.context).standing(QU, "c1")).consent.state != "granted":
            await asyncio.sleep(0.01)
    assert (await Recordings(archive.context, QU).get("c1")).consent.state == "none"
    assert (await archive.upload(film)).status_code == 204
    assert (await archive.until("recording.archived")).data.state == "held"
    stored = await Recordings(archive.context, QU).get("c1")
    assert (stored.state, stored.consent.state) == ("held", "granted")
    assert await archive.brought() == film


NO_NUMBERS = ("²", "٣", "1e3", "-1", "+5", "", "9" * 5000, "0x1", "1_0")


async def test_a_header_that_is_no_number_is_refused_in_words(archive: Archive) -> None:
    await archive.awaiting()
    headers, path = {**archive.tutor(), **TUS}, "/archive/api/v1/recordings/c1/uploads"
    made = await archive.http.post(path, headers={**headers, "Upload-Length": "10"})
    piece = {**headers, "Content-Type": "application/offset+octet-stream"}
    for given in NO_NUMBERS:
        begun = await archive.http.post(path, headers=[*headers.items(), ("Upload-Length", given.encode())])
        assert begun.status_code in {400, 422}, given
        offset = [*piece.items(), ("Upload-Offset", given.encode())]
        patched = await archive.http.patch(made.headers["location"], headers=offset, content=b"x")
        assert (patched.status_code, patched.headers["content-type"]) == (400, "application/problem+json"), given


async def test_one_person_has_no_more_than_so_many_unfinished_uploads(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand were taken from one token."""
    monkeypatch.setattr(uploads, "MOST_OPEN", 3)
    await archive.awaiting()
    headers = {**archive.tutor(), **TUS, "Upload-Length": "10"}
    path = "/archive/api/v1/recordings/c1/uploads"
    answers = await asyncio.gather(*(archive.http.post(path, headers=headers) for _ in range(12)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) <= 3
    assert {answer.status_code for answer in answers} <= {201, 409}
    while len(made) < 3:
        made.append(await archive.http.post(path, headers=headers))
        assert made[-1].status_code == 201
    refused = await archive.http.post(path, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:firsthand:archive:too-many")
    await archive.http.delete(made[0].headers["location"], headers={**archive.tutor(), **TUS})
    assert (await archive.http.post(path, headers=headers)).status_code == 201
