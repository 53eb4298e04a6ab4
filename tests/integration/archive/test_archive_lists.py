"""Archive's list of recordings, over HTTP: whom each is shown to, in which order, how many, and page by page."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.archive.app import SERVICE
from firsthand.services.archive.model import Recording
from firsthand.services.archive.model.recording import Media
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.events.contact import ContactReference, Scope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.renewals import renew
from tests import paging
from tests.archive import QU, START, Archive

MINUTE = timedelta(minutes=1)
API = "/archive/api/v1/recordings"
PAGE = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
RELEASED = Path(__file__).parents[2] / "releases" / "0.1.0" / "archive.json"
SHA = "a" * 64


def recording(
    id_: str, number: int, *, case_id: str = "case1", shared: Scope | None = None, media: bool = False
) -> Recording:
    contact = ContactReference(contact_id=id_, case_id=case_id, reference=id_, language="en", tutor_id="tutor1")
    changed = START - number * MINUTE
    one = Recording(id=id_, institution=QU, contact=contact, changed_at=changed)
    scopes: list[Scope] = ["meet", "record-video", *([shared] if shared else [])]
    released = {"released": True, "released_sha256": SHA} if shared else {}
    one.obey(ConsentRecordState(state="granted", scopes=scopes, granted_at=changed, **released), 1)
    if shared or media:
        one.expected = True
        one.media = Media(
            file="f", has_video=True, mime="video/mp4", codecs=["h264"], duration_seconds=60, bytes=1, sha256=SHA,
            taken_in_at=changed, taken_in_by="tutor1",
        )  # fmt: skip
    one.settle(START)
    one.changed_at = changed
    return one


async def fill(archive: Archive) -> dict[str, list[str]]:
    """One of each kind by turns; those that nobody expects are the newest. Gives ids, the last changed first."""
    made = [recording(f"none{n:03}", n) for n in range(120)]
    for n in range(120, 420):
        match n % 5:
            case 0:
                made.append(recording(f"held{n:03}", n, media=True))
            case 1:
                made.append(recording(f"ours{n:03}", n, shared="share-cohort"))
            case 2:
                made.append(recording(f"all{n:03}", n, case_id="case2", shared="share-institution"))
            case _:
                made.append(recording(f"theirs{n:03}", n, case_id="case2", shared="share-cohort"))
    kept = archive.context.store.collection(Recording, QU)
    await asyncio.gather(*(kept.insert(one) for one in made))
    await archive.case()
    await archive.beat()
    ids = [one.id for one in made]
    return {
        "team": [one for one in ids if not one.startswith("none")],
        "student": [one for one in ids if one.startswith(("ours", "all"))],
        "other": [one for one in ids if one.startswith("all")],
    }


async def ask(archive: Archive, who: dict[str, str], path: str) -> Any:
    answer = await archive.http.get(path, headers=who)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.json()


async def shown(archive: Archive, who: dict[str, str], path: str) -> str:
    answer = await archive.http.get(path, headers={**PAGE, **who})
    assert answer.status_code == 200, answer.text
    return answer.text


async def until_the_case_is_known(archive: Archive) -> None:
    await archive.until_answer(200, f"{API}/ours121/plays", archive.student())


async def test_everyone_sees_all_that_is_theirs_to_see_in_order_and_no_page_is_empty(archive: Archive) -> None:
    there = await fill(archive)
    await until_the_case_is_known(archive)
    for who, ids, row in (
        (archive.tutor(), there["team"], r'/archive/recordings/(\w+)"><bdi'),
        (archive.student(), there["student"], r'card-title"><a href="/archive/watch/(\w+)"'),
        (archive.student("year-4"), there["other"], r'card-title"><a href="/archive/watch/(\w+)"'),
    ):
        found, totals = await paging.walk(partial(ask, archive, who), API, "recordings", "contact_id")
        assert found == ids
        assert set(totals) == {len(ids)}
        assert await paging.walk_pages(partial(shown, archive, who), "/archive/recordings", row) == ids
    assert "Recordings (300)" in await shown(archive, archive.tutor(), "/archive/recordings")
    assert f"{len(there['student'])} recordings" in await shown(archive, archive.student(), "/archive/recordings")


async def test_a_tutor_of_another_case_works_on_none_and_watches_what_the_whole_institution_may(
    archive: Archive,
) -> None:
    there = await fill(archive)
    await until_the_case_is_known(archive)
    other, watch = archive.tutor(person="tutor2"), f"{API}?show=watch"
    assert (await ask(archive, other, API))["recordings"] == []
    for who, ids in ((other, there["other"]), (archive.tutor(), there["student"])):
        found, totals = await paging.walk(partial(ask, archive, who), watch, "recordings", "contact_id")
        assert found == ids
        assert set(totals) == {len(ids)}
        row = r'card-title"><a href="/archive/watch/(\w+)"'
        assert await paging.walk_pages(partial(shown, archive, who), "/archive/recordings?show=watch", row) == ids


async def test_a_page_is_not_empty_though_the_gate_has_closed_all_that_would_stand_on_it(archive: Archive) -> None:
    there = await fill(archive)
    await until_the_case_is_known(archive)
    kept = archive.context.store.collection(Recording, QU)
    for id_ in there["student"][:70]:  # their time is over, and no timer has looked at them yet
        stored = await kept.get(id_)
        assert stored is not None
        stored.keep_until = START - MINUTE
        await kept.save(stored)
    found, _ = await paging.walk(partial(ask, archive, archive.student()), API, "recordings", "contact_id")
    assert found == there["student"][70:]


@pytest.mark.parametrize("after", ["x", "W10", "bnVsbA"])
async def test_a_place_that_is_not_in_the_list_is_answered_clearly(archive: Archive, after: str) -> None:
    await archive.beat()
    await archive.until_answer(200, API, archive.student())
    for who in (archive.tutor(), archive.student()):
        answer = await archive.http.get(f"{API}?after={after}", headers=who)
        assert (answer.status_code, answer.json()["title"]) == (400, "This part of the list cannot be found")
        page = await archive.http.get(f"/archive/recordings?after={after}", headers={**PAGE, **who})
        assert (page.status_code, "Back to the first page" in page.text) == (400, True)


async def test_recordings_of_0_1_0_are_shown_to_their_students(archive: Archive) -> None:
    old = json.loads(RELEASED.read_text(encoding="utf-8"))["recording"]
    kept = archive.context.store.collection(Recording, InstitutionId(old[0]["institution"]))
    for raw in old:
        await kept.adopt(Recording.model_validate(raw))
    assert await renew(archive.context, SERVICE.renewals) == len(old)
    shown_to = {raw["state"]: (await kept.get(raw["id"])).shown_to for raw in old}  # type: ignore[union-attr]
    released = next(raw for raw in old if raw["state"] == "released")
    assert "share-institution" in released["audience"]
    assert shown_to == dict.fromkeys(shown_to, "nobody") | {"released": "institution"}
    assert {raw["version"] + 1 for raw in old} == {(await kept.get(raw["id"])).version for raw in old}  # type: ignore[union-attr]
