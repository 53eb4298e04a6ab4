"""Making a version: a job that goes on after a kill, stops with the family, and leaves no plain byte anywhere."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import contextlib
import errno
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthand.services.archive import apart, preparing
from firsthand.services.archive.handlers import versions
from firsthand.services.archive.handlers.versions import Workshop
from firsthand.services.archive.model.version import Version, key_owner_of
from firsthand.services.archive.repository import Recordings, Versions
from firsthand.shared.clock import ManualClock
from firsthand.shared.vault import KeyErased
from tests.archive import AKL, QU, Archive, running
from tests.patience import PATIENCE
from tests.recordings import CANARY, Picture, Sound, made

TWO_SOUNDS = (Picture(), Picture(width=320, height=192), Sound(), Sound(pitch=880))


@pytest.fixture(scope="session")
def slow_film() -> bytes:
    """Half a minute that has to be encoded."""
    return made("matroska", Picture("mpeg4", 640, 360), Sound("flac"), seconds=30, personal=True)


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "_SEGMENT", 5)


async def shown(archive: Archive) -> dict[str, Any]:
    answer = await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def until(archive: Archive, stage: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while ((now := (await shown(archive))["preparing"]) or {}).get("stage") != stage:
            await asyncio.sleep(0.02)
    assert now
    return now  # type: ignore[no-any-return]


async def until_segments(archive: Archive, count: int) -> None:
    """Wait until so many segments are whole: the next one has been begun."""
    async with asyncio.timeout(PATIENCE):
        while len([path for path in archive.media_files() if path.suffix[1:].isdigit()]) <= count:
            await asyncio.sleep(0.02)


async def until_told(archive: Archive, count: int = 1) -> list[str | None]:
    """Wait until so much was told of a file that is being prepared, and of what came of it."""

    def told() -> list[str | None]:
        kinds = ("firsthand.recording.changed.v1", "firsthand.recording.archived.v1")
        return [event.data.preparing for event in archive.told if event.type in kinds]

    async with asyncio.timeout(PATIENCE):
        while len(told()) < count:
            await asyncio.sleep(0.02)
    return told()


def makers() -> list[int]:
    """The processes of this one that make versions."""
    found: list[int] = []
    for one in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread, or a process, that has ended
            found += [
                int(child)
                for child in one.read_text().split()
                if b"\0prepare\0" in Path(f"/proc/{child}/cmdline").read_bytes()
            ]
    return found


async def until_made(archive: Archive) -> int:
    async with asyncio.timeout(PATIENCE):
        while not (found := makers()):
            await asyncio.sleep(0.01)
    return found[0]


async def test_a_killed_process_is_followed_by_one_that_goes_on_where_it_ended(
    archive: Archive, slow_film: bytes, short_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    run = apart.run

    async def noted(task: str, plan: Any, *rest: Any) -> Any:
        given.append(dict(plan))
        return await run(task, plan, *rest)

    monkeypatch.setattr(preparing, "run", noted)
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 2)
    workshop = archive.context.own(Workshop)
    await workshop.close()  # as a replica that is stopped
    assert makers() == []
    workshop._closed = False
    archive.clock.advance(timedelta(minutes=1))
    await archive.until("recording.archived")
    assert given[0]["sizes"].keys() == {0}
    assert {0, 3, 4} <= given[1]["sizes"].keys()  # two segments at least were not made again
    await archive.until_files(2)


async def test_what_a_crash_of_archive_leaves_is_taken_up_by_the_next_one(
    tmp_path: Path, nats_url: str, clock: ManualClock, slow_film: bytes, short_segments: None
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.awaiting()
        await one.upload(slow_film)
        await until_segments(one, 1)
    clock.advance(timedelta(minutes=1))
    async with running(tmp_path / "data", nats_url, clock) as two:
        await two.until("recording.archived")
        await two.until_files(2)
        assert (await shown(two))["duration_seconds"] == pytest.approx(30, abs=0.3)


@pytest.mark.parametrize("step", ["finish", "kept", "_hold", "tidy", "_note"])
async def test_a_crash_at_any_step_is_repeated_and_nothing_comes_twice(
    archive: Archive, film: bytes, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    fallen = asyncio.Event()

    async def fall(*_: Any, **__: Any) -> None:
        if not fallen.is_set():
            fallen.set()
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # as when the process ends here
            await asyncio.sleep(0)

    place: Any = preparing.Bench if step in ("finish", "kept") else versions
    whole = getattr(place, step)

    async def broken(*args: Any, **kwargs: Any) -> Any:
        await fall()
        return await whole(*args, **kwargs)

    monkeypatch.setattr(place, step, broken)
    await archive.awaiting()
    await archive.upload(film)
    await asyncio.wait_for(fallen.wait(), PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while archive.context.own(Workshop)._tasks:
            await asyncio.sleep(0.01)
    archive.clock.advance(timedelta(minutes=1))
    await archive.until("recording.archived")
    await archive.until_files(2)
    async with asyncio.timeout(PATIENCE):
        while (await shown(archive))["preparing"]:
            await asyncio.sleep(0.02)
    assert len([event for event in archive.told if event.type == "firsthand.recording.archived.v1"]) == 1


async def test_work_that_is_taken_up_again_after_the_version_is_held_touches_nothing(
    archive: Archive, film: bytes
) -> None:
    await archive.awaiting()
    await archive.upload(film)
    await archive.until("recording.archived")
    await archive.until_files(2)
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    stored = Versions(archive.context, QU)
    async with asyncio.timeout(PATIENCE):
        while (version := await stored.get(recording.making)) is None or version.stage != "done":
            await asyncio.sleep(0.02)
    before = await archive.shown()
    # As a replica leaves it that is killed just after it held the version, and as one that stalled finds it.
    version.stage, version.due_at = "working", archive.clock.now()
    await versions.work_on(archive.context, await stored.save(version))
    async with asyncio.timeout(PATIENCE):
        while (now := await stored.get(recording.making)) is None or now.stage != "done":
            await asyncio.sleep(0.02)
    assert await archive.shown() == before
    assert len(archive.media_files()) == 2


async def test_who_works_on_goes_on_though_the_clock_has_jumped_over_his_turn(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    maker = await until_made(archive)
    archive.clock.advance(timedelta(minutes=3))
    await until_segments(archive, 2)
    assert makers() == [maker]
    await archive.until("recording.archived")


async def test_a_withdrawal_ends_the_work_within_a_second_and_an_erasure_leaves_nothing(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 1)
    await archive.withdraw()
    async with asyncio.timeout(1):
        while makers():
            await asyncio.sleep(0.01)
    archive.clock.advance(timedelta(minutes=1))  # it is looked at again, and not begun
    await asyncio.sleep(1.2)
    assert makers() == []
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await archive.until("archive.erased")
    assert archive.media_files() == []
    assert await archive.context.store.collection(Version, QU).count({}) == 0


async def test_a_withdrawal_that_is_undone_lets_the_work_go_on(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 1)
    await archive.withdraw()
    await until(archive, "waiting")
    await archive.consent("ConsentChangedV1")
    archive.clock.advance(timedelta(minutes=1))
    assert (await archive.until("recording.archived")).data.state == "held"


async def test_work_goes_on_without_pictures_once_the_family_allows_sound_only(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 1)
    await archive.consent("ConsentChangedV1", scopes=["meet", "record-audio", "share-cohort"])
    held = await archive.until("recording.archived")
    assert (held.data.media, held.data.refused_because) == ("audio", None)
    await archive.until_files(2)


async def test_no_plain_byte_is_on_the_disk_at_any_moment(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    """Of the file, of a segment, of the sound, of what is muxed: each has words of its own that a look would find."""
    marks = (CANARY.encode(), b"ftypiso5", b"moof", b"\x00\x00\x00\x01\x67", b"nut/multimedia", b"Lavc", slow_film[:64])
    await archive.awaiting()
    upload = asyncio.create_task(archive.upload(slow_film))
    looked = 0
    while not [event for event in archive.told if event.type == "firsthand.recording.archived.v1"]:
        for path in archive.deployment.settings.data.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    content = await asyncio.to_thread(path.read_bytes)
                    assert not [mark for mark in marks if mark in content], path
                    looked += 1
        await asyncio.sleep(0.05)
    await upload
    assert looked > 50
    assert CANARY.encode() not in await archive.shown()


async def test_the_original_is_destroyed_with_its_key_when_the_family_releases(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    held = await archive.until("recording.archived")
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    assert recording.original
    owner = key_owner_of(recording.original.file)
    assert await archive.brought() == film
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=held.data.sha256)
    await archive.until("recording.published")
    await archive.until_files(1)
    with pytest.raises(KeyErased):
        await archive.context.vault.media_key(QU, owner)
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording
    assert recording.original is None
    # A backup that brings the file back brings nothing that opens.
    await archive.deployment.running["archive"].service.restore_erasure(archive.context, QU, owner)
    await archive.until_answer(200, "/archive/media/c1", archive.student())


# -- a file with several tracks


async def choose(archive: Archive, **tracks: int | None) -> httpx.Response:
    return await archive.http.post("/archive/api/v1/recordings/c1/tracks", headers=archive.tutor(), json=tracks)


async def test_of_a_file_with_several_tracks_the_tutor_chooses(archive: Archive) -> None:
    await archive.awaiting()
    await archive.upload(await asyncio.to_thread(made, "mp4", *TWO_SOUNDS))
    waiting = await until(archive, "choosing")
    assert [(track["kind"], track["width"]) for track in waiting["tracks"]] == [
        ("picture", 160), ("picture", 320), ("sound", 0), ("sound", 0),
    ]  # fmt: skip
    assert (waiting["picture"], waiting["sound"]) == (0, 2)
    assert await until_told(archive) == ["choosing"]
    for wrong in ({}, {"picture": 2}, {"sound": 1}, {"picture": 9, "sound": 2}):
        refused = await choose(archive, **wrong)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:firsthand:archive:no-such-track"), wrong
    path = "/archive/api/v1/recordings/c1/tracks"
    for who in (archive.student(), archive.tutor(AKL), archive.tutor(person="tutor9")):
        assert (await archive.http.post(path, headers=who, json={"picture": 1, "sound": 3})).status_code in (403, 404)
    assert (await choose(archive, picture=1, sound=3)).status_code == 200
    await archive.until("recording.archived")
    assert (await shown(archive))["left_out"] == ["pictures", "sounds"]
    assert await until_told(archive, 3) == ["choosing", "working", None]
    again = await choose(archive, picture=0, sound=2)
    assert (again.status_code, again.json()["type"]) == (409, "urn:firsthand:archive:chosen")


async def test_pictures_cannot_be_chosen_where_only_sound_is_allowed(archive: Archive) -> None:
    await archive.awaiting(scopes=["meet", "record-audio", "share-cohort"])
    await archive.upload(await asyncio.to_thread(made, "mp4", *TWO_SOUNDS))
    assert (await until(archive, "choosing"))["picture"] is None
    assert (await choose(archive, picture=0, sound=2)).status_code == 422
    assert (await choose(archive, sound=2)).status_code == 200
    assert (await archive.until("recording.archived")).data.media == "audio"


async def test_a_film_without_sound_is_refused_where_only_sound_is_allowed(archive: Archive) -> None:
    await archive.awaiting(scopes=["meet", "record-audio", "share-cohort"])
    refused = await archive.upload(await asyncio.to_thread(made, "mp4", Picture()))
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:firsthand:archive:no-sound")
    assert archive.media_files() == []


async def test_a_new_file_takes_the_place_of_one_that_is_being_prepared(
    archive: Archive, slow_film: bytes, film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 1)
    await archive.upload(film)
    archive.clock.advance(timedelta(minutes=1))
    assert (await archive.until("recording.archived")).data.duration_seconds == pytest.approx(2, abs=0.1)
    assert await archive.brought() == film
    await archive.until_files(2)


# -- what goes wrong


async def test_a_process_that_is_killed_is_begun_anew_and_refuses_the_file_when_it_is_killed_each_time(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    for segments in range(3):
        await until_segments(archive, segments)
        os.kill(await until_made(archive), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while makers() or archive.context.own(Workshop)._tasks:
                await asyncio.sleep(0.01)
        archive.clock.advance(timedelta(seconds=5))
    assert (await until(archive, "refused"))["refused_because"] == "too-demanding"
    assert await until_told(archive, 2) == ["working", "refused"]
    page = await archive.http.get("/archive/recordings/c1", headers={"Accept": "text/html", **archive.tutor()})
    assert "We could not prepare this file" in page.text


async def test_a_process_that_is_killed_once_costs_a_segment(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_segments(archive, 1)
    os.kill(await until_made(archive), signal.SIGKILL)
    await until(archive, "waiting")
    archive.clock.advance(timedelta(seconds=5))
    await archive.until("recording.archived")
    await archive.until_files(2)


async def test_work_waits_while_the_disk_has_only_its_reserve_left(
    archive: Archive, film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.awaiting()
    disk = archive.context.disk
    whole = disk.admit_bulk
    full = True

    def admit(size: int = 0, *, looked: bool = False) -> None:
        if full and makers():
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(size, looked=looked)

    monkeypatch.setattr(disk, "admit_bulk", admit)
    await archive.upload(film)
    async with asyncio.timeout(PATIENCE):
        while (await shown(archive))["preparing"]["refused_because"] != "no-room":
            await asyncio.sleep(0.02)
    full = False
    archive.clock.advance(timedelta(minutes=2))
    await archive.until("recording.archived")


async def test_no_more_than_the_set_number_are_prepared_at_once(
    archive: Archive, slow_film: bytes, short_segments: None
) -> None:
    workshop = archive.context.own(Workshop)
    assert workshop._places == 1
    await archive.awaiting()
    await archive.upload(slow_film)
    await until_made(archive)
    assert not workshop.has_place
    version = await Versions(archive.context, QU).of(await Recordings(archive.context, QU).get("c1"))
    assert version
    await versions.work_on(archive.context, version)  # looked at once more, it is not begun again
    assert len(makers()) == 1
