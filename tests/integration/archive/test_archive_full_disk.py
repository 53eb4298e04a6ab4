"""A disk that fills up: uploads end at the reserve, and what a family decides goes on."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firsthand.shared.clock import ManualClock
from tests.archive import QU, TUS, Archive, running
from tests.disks import small_disk

MIB = 1024**2
RESERVE = 16 * MIB


@pytest.fixture
async def archive(tmp_path: Path, nats_url: str, clock: ManualClock) -> AsyncIterator[Archive]:
    with small_disk(tmp_path / "disk", 80) as disk:
        async with running(disk / "data", nats_url, clock, disk_reserve=RESERVE) as one:
            yield one


def free(archive: Archive) -> int:
    disk = os.statvfs(archive.deployment.settings.data)
    return disk.f_bavail * disk.f_frsize


async def readiness(archive: Archive) -> tuple[int, str]:
    """The answer's status, and what it says."""
    answer = await archive.http.get("/archive/readyz")
    told = answer.json()
    return answer.status_code, " ".join(told["problems"] + told["impaired"])


async def begun(archive: Archive, length: int) -> str:
    made = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads", headers={**archive.tutor(), **TUS, "Upload-Length": str(length)}
    )
    assert made.status_code == 201, made.text
    place: str = made.headers["location"]
    return place


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), MIB):
        yield content[start : start + MIB]


async def test_an_upload_ends_at_the_reserve_goes_on_once_there_is_room_and_a_withdrawal_never_waits(
    archive: Archive, heavy_film: bytes
) -> None:
    await archive.awaiting()
    ballast = archive.deployment.settings.data / "somebody else's"
    ballast.write_bytes(bytes(free(archive) - RESERVE - 8 * MIB))
    place = await begun(archive, len(heavy_film))
    stopped = await archive.patch(place, 0, in_pieces(heavy_film))
    assert stopped.status_code == 507
    assert stopped.json()["type"] == "urn:firsthand:archive:no-room"
    assert stopped.json()["detail"].startswith("Our storage is almost full")
    assert RESERVE - MIB < free(archive) < RESERVE + 2 * MIB
    status, said = await readiness(archive)
    assert (status, "uploads and imports are refused" in said) == (200, True)
    assert (await archive.patch(place, 0, b"x")).status_code == 507  # at the door

    ballast.write_bytes(b"")
    archive.context.disk._seen = None  # a second later
    safe = int((await archive.http.head(place, headers={**archive.tutor(), **TUS})).headers["upload-offset"])
    assert 6 * MIB < safe < 9 * MIB  # what came until then was kept
    assert (await archive.patch(place, safe, heavy_film[safe:])).status_code == 204
    await archive.until("recording.archived")
    assert await readiness(archive) == (200, "")

    ballast.write_bytes(bytes(free(archive) - RESERVE // 2))
    assert (await readiness(archive))[0] == 200
    await archive.withdraw()
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    assert (await archive.until("archive.erased")).data.erasure_id == "e1"
    assert await archive.context.vault.erased(QU) == ["c1"]
    assert archive.media_files() == []


async def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    ballast = archive.deployment.settings.data / "somebody else's"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(bytes(96 * MIB))
    status, said = await readiness(archive)
    assert (status, "is full" in said) == (503, True)
    played = await archive.http.get("/archive/media/c1", headers=archive.student())
    assert played.content == await archive.shown()

    await archive.withdraw()  # the gate hears it, though nothing can be stored
    await archive.until_answer(404, "/archive/media/c1", archive.student())
    ballast.unlink()
    await archive.until("recording.withdrawn")
    assert await readiness(archive) == (200, "")
    assert await archive.context.bus.given_up("follow_consent") == 0
