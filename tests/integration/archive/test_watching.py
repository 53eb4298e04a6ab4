"""What a viewer leaves behind: how many watched, each once, and where each one stopped."""

import asyncio
from datetime import timedelta
from typing import Any

from firsthand.services.archive.handlers.viewings import ViewLog, name_first
from firsthand.services.archive.model import Viewer, Viewing
from firsthand.services.archive.repository import Viewings
from firsthand.shared.clock import ManualClock
from firsthand.shared.renewals import renew
from firsthand.shared.service import Renewal
from tests.archive import QU, START, Archive
from tests.patience import PATIENCE

PLACE = "/archive/api/v1/recordings/c1/place"


async def watched(archive: Archive) -> dict[str, Any]:
    found = (await archive.http.get("/archive/api/v1/recordings/c1", headers=archive.tutor())).json()
    shown: dict[str, Any] = found["viewings"]
    return shown


async def put(archive: Archive, place: Any, headers: dict[str, str]) -> int:
    return (await archive.http.put(PLACE, headers=headers, json={"place": place})).status_code


async def test_a_student_who_comes_on_three_days_is_one_student(
    archive: Archive, film: bytes, clock: ManualClock
) -> None:
    await archive.released(film)
    log = archive.context.own(ViewLog)
    for day in range(3):
        for person in ("s1", "s2")[: 1 if day else 2]:
            await log.note(QU, "c1", Viewer(person_id=person, student=True), 5)
        await log.note(QU, "c1", Viewer(person_id="tutor1"), 5)
        clock.advance(timedelta(days=1))
    found = await watched(archive)
    assert (found["count"], found["students"]) == (4, 2)
    own = (await archive.http.get("/archive/api/v1/family", headers=archive.family())).json()
    assert (own["watched"]["times"], own["watched"]["students"]) == (4, 2)


async def test_what_an_older_release_noted_is_counted_once_it_is_renewed(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    viewings = archive.context.store.collection(Viewing, QU)
    for day in range(3):
        at = START - timedelta(days=day)
        await viewings.insert(
            Viewing(id=f"old-{day}", institution=QU, contact_id="c1", viewer_id="s9", student=True, day=at.date(),
                    first_at=at, last_at=at)
        )  # fmt: skip
    assert (await watched(archive))["students"] == 0
    await renew(archive.context, {Viewing: Renewal("first", name_first)})
    assert (await watched(archive))["students"] == 1


async def test_where_a_viewer_stopped_is_kept_for_that_viewer_alone_and_only_while_it_may_watch(
    archive: Archive, film: bytes, clock: ManualClock
) -> None:
    await archive.released(film)
    me, log = archive.student(), archive.context.own(ViewLog)
    viewer = Viewer(person_id="student-year-3", cohorts=frozenset({"year-3"}), student=True)
    assert await put(archive, 1.5, me) == 204
    assert await log.place(QU, "c1", viewer) == 1.5
    assert await put(archive, 0.5, me) == 204
    assert await log.place(QU, "c1", viewer) == 0.5  # kept back in memory
    await log.save_what_waits(all_of_it=True)
    assert await ViewLog(archive.context).place(QU, "c1", viewer) == 0.5  # after a start, or on another replica
    assert await log.place(QU, "c1", Viewer(person_id="other", student=True)) == 0
    page = await archive.http.get("/archive/watch/c1", headers=me | {"Accept": "text/html"})
    assert 'data-place="0.5"' in page.text
    assert await put(archive, 1.5, archive.student("year-1")) == 404
    for rubbish in (-1, 1e9, "x", None):
        assert await put(archive, rubbish, me) == 422
    await archive.withdraw()
    async with asyncio.timeout(PATIENCE):
        while await put(archive, 1.0, me) != 404:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await archive.consent("ErasureRequestedV1", "erased", erasure_id="e1")
    await archive.until("archive.erased")
    await log.save_what_waits(all_of_it=True)
    assert await Viewings(archive.context, QU).last_of("c1", "student-year-3") is None
