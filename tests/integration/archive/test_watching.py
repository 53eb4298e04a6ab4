"""What a viewer leaves behind: how many watched, each once, and where each one stopped."""

import asyncio
import io
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import av

from firsthand.services.archive.handlers.viewings import ViewLog, name_first
from firsthand.services.archive.model import Clip, Viewer, Viewing
from firsthand.services.archive.repository import Viewings
from firsthand.shared.clock import ManualClock
from firsthand.shared.renewals import renew
from firsthand.shared.service import Renewal
from tests.archive import FULL, QU, START, Archive
from tests.patience import PATIENCE

PLACE = "/archive/api/v1/recordings/c1/place"
CLIPS, WATCH = "/archive/api/v1/recordings/c1/clips", "/archive/api/v1/watch/c1/clips"


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
    assert "Listen without finishing a parent&#39;s sentence." in page.text, "a goal of the case"
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


async def test_a_tutor_picks_moments_for_everybody_who_may_watch(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    sha = (await archive.until("recording.archived")).data.sha256
    early = await archive.http.post(CLIPS, headers=archive.tutor(), json={"start": 0, "title": "too early"})
    assert early.status_code == 404, "a tutor who may not watch picks nothing"
    await archive.consent("ConsentReleasedV1", released=True, released_sha256=sha)
    await archive.until_answer(200, WATCH, archive.student())
    for start, end, title in ((1000, 99_000, "Listen to the Quetzalcoatl"), (200, None, "Feeding")):
        body = {"start": start, "end": end, "title": title}
        assert (await archive.http.post(CLIPS, headers=archive.tutor(), json=body)).status_code == 201
    (first, second) = (await archive.http.get(WATCH, headers=archive.student())).json()["clips"]
    assert (first["start"], first["end"], first["title"]) == (200, None, "Feeding")
    assert second["start"] == 1000
    assert 1900 < second["end"] < 2100, "no further than the recording"
    page = await archive.http.get("/archive/watch/c1", headers=archive.student() | {"Accept": "text/html"})
    assert "Listen to the Quetzalcoatl" in page.text
    assert "data-picking" not in page.text
    for path in archive.deployment.settings.data.rglob("*"):
        assert not path.is_file() or b"Quetzalcoatl" not in path.read_bytes(), path

    body = {"start": 0, "title": "x"}
    assert (await archive.http.post(CLIPS, headers=archive.student(), json=body)).status_code == 403
    assert (await archive.http.post(CLIPS, headers=archive.tutor(person="tutor9"), json=body)).status_code == 404
    assert (await archive.http.get(WATCH, headers=archive.student("year-1"))).status_code == 404
    for wrong in ({"start": 3000, "title": "x"}, {"start": 500, "end": 400, "title": "x"}, {"start": 0, "title": ""}):
        assert (await archive.http.post(CLIPS, headers=archive.tutor(), json=wrong)).status_code == 422
    gone = await archive.http.delete(f"{CLIPS}/{first['clip_id']}", headers=archive.tutor())
    assert gone.status_code == 204
    assert (await archive.http.delete(f"{CLIPS}/{first['clip_id']}", headers=archive.tutor())).status_code == 404

    await archive.withdraw()
    await archive.until_answer(404, WATCH, archive.student())
    assert (await archive.http.post(CLIPS, headers=archive.tutor(), json=body)).status_code == 404
    await archive.consent("ErasureRequestedV1", "erased", erasure_id="e1")
    assert "clips" in (await archive.until("archive.erased")).data.erased
    assert (await archive.context.store.collection(Clip, QU).find({"contact_id": "c1"})).items == []


async def test_a_recording_has_so_many_clips_and_no_more(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    body = {"start": 0, "title": "x"}
    for _ in range(100):
        assert (await archive.http.post(CLIPS, headers=archive.tutor(), json=body)).status_code == 201
    more = await archive.http.post(CLIPS, headers=archive.tutor(), json=body)
    assert more.json()["type"] == "urn:firsthand:archive:too-many"


async def test_a_copy_that_may_be_kept_says_for_what_it_was_given_and_to_whom(archive: Archive, film: bytes) -> None:
    """In a box of its own behind what was released, where readers of XMP look for it."""
    scopes = [*FULL, "download"]
    sha = await archive.released(film, scopes=scopes)
    place, me = "/archive/media/c1?download=1", archive.student()
    copy = (await archive.http.get(place, headers=me)).content
    shown = await archive.shown()
    assert copy.startswith(shown)
    note = copy[len(shown) :]
    assert (int.from_bytes(note[:4]), note[4:8], note[8:24].hex()) == (
        len(note), b"uuid", "be7acfcb97a942e89c71999491e3afac",
    )  # fmt: skip
    packet = ET.fromstring(note[24:].decode().split("?>", 1)[1].rsplit("<?", 1)[0])  # noqa: S314 - our own
    terms = {
        one.get("{http://www.w3.org/XML/1998/namespace}lang"): one.text
        for one in packet.findall(".//{http://ns.adobe.com/xap/1.0/rights/}UsageTerms//{*}li")
    }
    assert set(terms) == {"x-default", "en", "ar", "es"}
    assert "Do not give it to anyone" in str(terms["en"])
    assert sha in str(packet.findtext(".//{http://purl.org/dc/elements/1.1/}source"))
    assert "student-year-3" in str(packet.findtext(".//{http://purl.org/dc/elements/1.1/}identifier"))
    with av.open(io.BytesIO(copy)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 10

    # In pieces, also over the seam.
    whole = await archive.http.get(place, headers=me | {"Range": f"bytes={len(shown) - 5}-"})
    assert (whole.status_code, whole.content) == (206, copy[-len(note) - 5 :])
    tail = await archive.http.get(place, headers=me | {"Range": f"bytes=-{len(note) // 2}"})
    assert tail.content == copy[-(len(note) // 2) :]
    beyond = await archive.http.get(place, headers=me | {"Range": f"bytes={len(copy)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(copy)}")
    assert (await archive.http.get("/archive/media/c1", headers=me)).content == shown
    own = await archive.http.get("/archive/family/media?download=1", headers=archive.family())
    assert own.content == shown, "the family's own copy is what it released"
