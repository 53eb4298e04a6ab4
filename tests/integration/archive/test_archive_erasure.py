"""When the permission ends, and when everything is erased."""

import asyncio
from datetime import timedelta
from pathlib import Path

from firsthand.shared.clock import ManualClock
from tests.archive import AKL, QU, START, TUS, Archive, running


async def test_an_erasure_removes_media_uploads_key_and_view_log_and_then_says_so(
    archive: Archive, film: bytes, long_film: bytes
) -> None:
    await archive.awaiting()
    await archive.upload(film)
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads",
        headers={**archive.tutor(), **TUS, "Upload-Length": str(len(long_film))},
    )
    await archive.patch(made.headers["location"], 0, long_film[:70_000])
    assert len(archive.media_files()) == 3  # the recording, the upload and its record
    await archive.consent("ConsentWithdrawnV1", "withdrawn")
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    erased = await archive.until("archive.erased")
    assert erased.data.erasure_id == "e1"
    assert set(erased.data.erased) == {"media", "uploads", "transcripts", "clips", "key", "view-log"}
    assert archive.media_files() == []
    assert await archive.context.vault.erased(QU) == ["c1"]
    await archive.until_answer(404, "/archive/family/media", archive.family())
    assert (await archive.patch(made.headers["location"], 70_000, long_film[70_000:])).status_code == 404
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await archive.consent("ConsentChangedV1")
    await archive.meeting_finished()
    await asyncio.sleep(0.2)
    assert len([event for event in archive.told if event.type == "firsthand.archive.erased.v1"]) == 1
    shown = (await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())).json()
    assert shown["state"] == "erased"


async def test_an_erasure_is_answered_for_a_contact_that_never_had_a_recording(archive: Archive) -> None:
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    assert (await archive.until("archive.erased")).data.erasure_id == "e1"


async def test_what_a_backup_brings_back_is_erased_again_before_a_door_opens(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.released(film)
    async with running(tmp_path / "data", nats_url, clock) as two:
        await two.context.vault.erase(QU, "c1")
    async with running(tmp_path / "data", nats_url, clock) as three:
        assert three.media_files() == []
        shown = (await three.http.get("/archive/api/v1/recordings/c1", headers=three.tutor())).json()
        assert shown["state"] == "erased"


async def test_an_end_of_the_permission_closes_the_recording(archive: Archive, film: bytes) -> None:
    await archive.released(film, expires_at=START + timedelta(days=30))
    archive.clock.set(START + timedelta(days=30))
    await archive.until("recording.withdrawn")
    await archive.beat()
    assert (await archive.http.get("/archive/media/c1", headers=archive.student())).status_code in (404, 503)


async def test_two_institutions_never_see_each_others_recordings(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    for path in ("/archive/api/v1/recordings/c1", "/archive/api/v1/recordings/c1/plays", "/archive/media/c1"):
        assert (await archive.http.get(path, headers=archive.tutor(AKL))).status_code == 404
    assert (await archive.http.get("/archive/api/v1/recordings", headers=archive.tutor(AKL))).json()["recordings"] == []
    mine = (await archive.http.get("/archive/api/v1/recordings", headers=archive.student())).json()["recordings"]
    assert [one["title"] for one in mine] == ["Cleft lip and palate"]
