"""Scheduling's list of meetings, over HTTP: whose, in which order, how many, and page by page."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.scheduling.model import Calendar, Meeting, Reservation
from firsthand.shared.clock import ManualClock
from firsthand.shared.copies import keep_case
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1, CaseState
from tests import paging
from tests.integration.test_scheduling import API, AVAILABILITY, HOUR, NOW, QU, World, running

MINUTE = timedelta(minutes=1)
ROW = r'href="/scheduling/meetings/(\w+)"><bdi'
PAGE = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def world(tmp_path: Path, nats_url: str) -> AsyncIterator[World]:
    async with running(tmp_path / "data", nats_url, ManualClock(NOW)) as world:
        await world.case()
        yield world


def meeting(id_: str, tutor: str, state: Any, **fields: Any) -> Meeting:
    contact = ContactReference(contact_id=id_, case_id="case1", reference=id_, language="en", tutor_id=tutor)
    made = Meeting(
        id=id_, institution=QU, contact=contact, tutor_id=tutor, language="en", state=state, allowed=True, **fields
    )
    made.name_case()
    return made


async def fill(world: World) -> dict[str, list[str]]:
    """300 meetings; those of tutor2 changed before all of tutor1's. Gives the ids of each part in the right order."""
    made: list[Meeting] = []
    for tutor, number, since in (("tutor1", 200, 0), ("tutor2", 100, 1000)):
        for n in range(number):
            changed = NOW - (since + n) * MINUTE
            at = NOW + (n - number // 2) * HOUR
            planned = {"starts_at": at, "ends_at": at + HOUR, "changed_at": changed}
            match n % 4:
                case 0:
                    made.append(meeting(f"{tutor}s{n:03}", tutor, "scheduled", **planned))
                case 1:
                    made.append(meeting(f"{tutor}o{n:03}", tutor, "offered", changed_at=changed))
                case 2:
                    made.append(meeting(f"{tutor}f{n:03}", tutor, "finished", **planned))
                case _:
                    made.append(meeting(f"{tutor}c{n:03}", tutor, "cancelled", changed_at=changed))
    made.append(meeting("nothing", "tutor1", "none"))
    made.append(meeting("erased", "tutor1", "erased"))
    kept = world.context.store.collection(Meeting, QU)
    await asyncio.gather(*(kept.insert(one) for one in made))
    planned_first = sorted((one for one in made if one.state == "scheduled"), key=lambda one: one.starts_at or NOW)
    latest_first = sorted(made, key=lambda one: one.changed_at or NOW, reverse=True)
    return {
        "to-close": [one.id for one in planned_first if one.starts_at and one.starts_at < NOW],
        "coming": [one.id for one in planned_first if one.starts_at and one.starts_at >= NOW],
        "waiting": [one.id for one in latest_first if one.state == "offered"],
        "ended": [one.id for one in latest_first if one.state in {"finished", "cancelled"}],
    }


def of(tutor: str, parts: dict[str, list[str]]) -> dict[str, list[str]]:
    return {part: [one for one in ids if one.startswith(tutor)] for part, ids in parts.items()}


async def ask(world: World, who: dict[str, str], path: str) -> Any:
    answer = await world.http.get(path, headers=who)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.json()


async def shown(world: World, who: dict[str, str], path: str) -> str:
    answer = await world.http.get(path, headers={**PAGE, **who})
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.text


async def test_each_part_is_whole_in_order_and_counted_a_tutors_own_and_everybodys(world: World) -> None:
    parts = await fill(world)
    for who, whose, expected in (
        (world.staff("tutor2"), "mine", of("tutor2", parts)),
        (world.staff("tutor1"), "mine", of("tutor1", parts)),
        (world.staff("tutor2"), "all", of("tutor2", parts)),
        (world.staff("tutor1"), "all", parts),
        (world.staff("tutor3"), "all", {part: [] for part in parts}),
        (world.staff("boss", "coordinator"), "all", parts),
    ):
        for part, ids in expected.items():
            path = f"{API}/meetings?whose={whose}&show={part}"
            found, totals = await paging.walk(partial(ask, world, who), path, "items", "contact_id")
            assert found == ids, (whose, part)
            assert set(totals) == {len(ids)}
        every = [one for ids in expected.values() for one in ids]
        path = f"{API}/meetings?whose={whose}"
        found, totals = await paging.walk(partial(ask, world, who), path, "items", "contact_id")
        assert found == every
        assert set(totals) == {len(every)}


async def test_the_page_shows_how_many_each_part_has_and_leads_to_all_of_them(world: World) -> None:
    parts = of("tutor1", await fill(world))
    page = await shown(world, world.staff(), "/scheduling/meetings")
    assert [int(number) for number in re.findall(r"<caption>[^<]*\((\d+)\)", page)] == [25, 25, 50, 100]
    assert re.findall(ROW, page) == [one for ids in parts.values() for one in ids[:8]]
    for part, ids in parts.items():
        link = f"/scheduling/meetings?whose=mine&amp;show={part}"
        assert f'href="{link}"' in page
        found = await paging.walk_pages(partial(shown, world, world.staff()), link.replace("&amp;", "&"), ROW)
        assert found == ids
    assert "No meetings here" in await shown(
        world, world.staff("boss", "coordinator"), "/scheduling/meetings?show=ended"
    )


async def test_a_meeting_whose_time_comes_while_pages_are_read_is_not_missed(world: World) -> None:
    parts = await fill(world)
    path = f"{API}/meetings?whose=all"
    first = await ask(world, world.staff(), path)
    world.clock.advance(10 * HOUR)  # ten of those that were to come are now to be closed
    rest: list[str] = []
    after = first["next"]
    while after:
        page = await ask(world, world.staff(), f"{path}&after={after}")
        rest += [one["contact_id"] for one in page["items"]]
        after = page["next"]
    assert [one["contact_id"] for one in first["items"]] + rest == [one for ids in parts.values() for one in ids]


@pytest.mark.parametrize("after", ["x", "planned.x", "nowhere.", "ended.W10"])
async def test_a_place_that_is_not_in_the_list_is_answered_clearly(world: World, after: str) -> None:
    for path in (f"{API}/meetings?after={after}", f"{API}/meetings?show=waiting&after={after}"):
        answer = await world.http.get(path, headers=world.staff())
        assert (answer.status_code, answer.json()["title"]) == (400, "This part of the list cannot be found")
    page = await world.http.get(f"/scheduling/meetings?show=ended&after={after}", headers={**PAGE, **world.staff()})
    assert (page.status_code, "Back to the first page" in page.text) == (400, True)


async def test_free_times_in_the_list_are_those_that_the_family_is_offered(world: World) -> None:
    far, soon = NOW + timedelta(days=400), NOW + timedelta(days=4)
    kept = world.context.store.collection(Meeting, QU)
    for id_, until in (("c1", None), ("c2", far), ("c3", soon), ("c4", far)):
        await kept.insert(meeting(id_, "tutor1", "offered", allowed_until=until, changed_at=NOW))
    taken = Reservation(contact_id="c4", starts_at=NOW + 31 * HOUR, ends_at=NOW + 32 * HOUR, knew=1)
    await world.context.store.collection(Calendar, QU).insert(
        Calendar(id="tutor1", institution=QU, reservations=[taken])
    )
    offered = {id_: len(await world.slots(id_)) for id_ in ("c1", "c2", "c3")}
    assert offered["c3"] < offered["c1"] == offered["c2"]
    page = await shown(world, world.staff(), "/scheduling/meetings")
    rows = dict(re.findall(rf"{ROW}(?:(?!</tr>).)*?(\d+) free times", page, re.DOTALL))
    assert rows == {id_: str(number) for id_, number in offered.items()}
    items = (await ask(world, world.staff(), f"{API}/meetings"))["items"]
    assert {one["tutor_zone"] for one in items} == {AVAILABILITY["zone"]}


async def test_hours_that_are_missing_come_first_and_every_case_and_tutor_is_there_page_by_page(world: World) -> None:
    cases = [
        CaseState(
            case_id=f"more{n:02}", prefix="MNY", title=f"More {n:02}", condition={"en": "x"}, languages=["en"],
            cohorts=[], tutors=["tutor1", f"other{n:02}"], approvals=[], state="open",
        )
        for n in range(60)
    ]  # fmt: skip
    for one in cases:
        told = CaseChangedV1.record(institution=QU, subject=one.case_id, sequence=1, at=NOW, actor="x", data=one)
        await keep_case(world.context, told)
    boss = world.staff("boss", "coordinator")
    path = f"{API}/cases/more00/availability"
    assert (await world.http.put(path, json=AVAILABILITY, headers=world.staff())).status_code == 200
    row = r"/scheduling/availability/(\w+\?tutor=\w+)\""
    found = await paging.walk_pages(partial(shown, world, boss), "/scheduling/availability", row)
    given = ["case1?tutor=tutor1", "more00?tutor=tutor1"]
    missing = [f"{one.case_id}?tutor={tutor}" for one in cases for tutor in one.tutors]
    assert found == [one for one in missing if one not in given] + given
    own = await paging.walk_pages(partial(shown, world, world.staff()), "/scheduling/availability", row)
    assert own == [one for one in found if one.endswith("tutor1")]
    page = await shown(world, boss, "/scheduling/meetings?whose=all")
    assert re.findall(row, page) == found[:8]
    assert "Show all 121" in page
    assert (await world.http.get("/scheduling/availability?after=x", headers={**PAGE, **boss})).status_code == 400
