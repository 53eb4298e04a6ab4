"""Consent's list of invitations, over HTTP: whom each person sees, in which order, how many, and page by page."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.consent.app import SERVICE
from firsthand.services.consent.model import Journey
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1
from firsthand.shared.renewals import is_complete, renew
from firsthand.shared.store import StoreUnavailable
from tests import paging
from tests.consent_house import SAME_SITE, SLUG, START, House, begin, case, event, running
from tests.patience import PATIENCE

MINUTE = timedelta(minutes=1)
ROW = r'/consent/invitations/(\w+)"'
OLD_DOCUMENTS = Path(__file__).parents[1] / "releases" / "0.1.0" / "consent.json"


@pytest.fixture
async def house(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    """case-1 is taught by tutor-1 and case-2 by tutor-2."""
    async with running(tmp_path, nats_url) as house:
        await begin(house)
        other = case(case_id="case-2", prefix="HRT", tutors=["tutor-2"])
        await house.tell(event(CaseChangedV1, "case-2", other), "keep_case")
        yield house


def contact(
    id_: str, *, tutor: str, case_id: str, moved: datetime, change: Callable[[Journey], Any] = lambda _: None
) -> Journey:
    reference = ContactReference(contact_id=id_, case_id=case_id, reference=f"CLP-{id_}", language="en", tutor_id=tutor)
    journey = Journey(id=id_, institution=SLUG, contact=reference, case_id=case_id)
    journey.invitation.prepared(moved)
    change(journey)
    journey.settle(START)
    journey.moved_at = moved
    return journey


async def keep(house: House, *journeys: Journey) -> None:
    kept = house.context.store.collection(Journey, SLUG)
    await asyncio.gather(*(kept.insert(journey) for journey in journeys))


async def fill(house: House) -> dict[str, Journey]:
    """300 contacts. Those that tutor-2 may see (her own, and those of case-2) are older than 200 of her colleague's."""

    def some(name: str, tutor: str, case_id: str, numbers: range) -> list[Journey]:
        return [contact(f"{name}{n:03}", tutor=tutor, case_id=case_id, moved=START - n * MINUTE) for n in numbers]

    two, both = some("two", "tutor-2", "case-1", range(300, 340)), some("both", "tutor-2", "case-2", range(340, 370))
    taught, one = some("taught", "tutor-1", "case-2", range(370, 400)), some("one", "tutor-1", "case-1", range(200))
    await keep(house, *one, *two, *both, *taught)
    return {journey.id: journey for journey in (*one, *two, *both, *taught)}


async def everybody_sees_theirs(house: House) -> None:
    """After `fill`: each sees whom they may, the latest first, and is told how many that are."""
    numbered = [*(("one", n) for n in range(200)), *(("two", n) for n in range(300, 340))]
    numbered += [*(("both", n) for n in range(340, 370)), *(("taught", n) for n in range(370, 400))]
    newest_first = [f"{name}{n:03}" for name, n in numbered]
    for who, seen in (
        (house.staff("tutor-2"), [one for one in newest_first if not one.startswith("one")]),
        (house.staff("tutor-1"), [one for one in newest_first if not one.startswith("both")]),
        (house.boss(), newest_first),
    ):
        found, totals = await walk(house, who)
        assert found == seen
        assert set(totals) == {len(seen)}
    stranger = await house.api("GET", "/invitations", who=house.staff("tutor-3"))
    assert stranger == {"invitations": [], "next": None, "total": 0}


async def walk(house: House, who: dict[str, str], query: str = "") -> tuple[list[str], list[int]]:
    """All ids, page after page, and what each page says that there are in all."""

    async def ask(path: str) -> Any:
        return await house.api("GET", path, who=who)

    return await paging.walk(ask, f"/invitations?{query}", "invitations", "contact_id")


async def shown(house: House, who: dict[str, str], path: str = "/consent/invitations") -> str:
    answer = await house.site.get(path, headers={"Accept": "text/html", **SAME_SITE, **who})
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.text


def counts(page: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r'show=([a-z-]+)"[^>]*>[^<(]*\((\d+)\)', page)}


def references(page: str) -> list[str]:
    return re.findall(ROW, page)


async def test_a_tutor_sees_all_of_theirs_and_of_their_cases_page_by_page_though_colleagues_contacts_are_newer(
    house: House,
) -> None:
    await fill(house)
    await everybody_sees_theirs(house)


async def to_renew(house: House) -> int:
    return await house.context.store.collection(Journey, SLUG).count({"step": None})


@pytest.mark.timeout(300)  # 30 s alone; the stand-in takes its time beside others
async def test_the_same_holds_on_mongodb_also_for_what_an_older_release_saved(
    tmp_path: Path, nats_url: str, mongo_url: str
) -> None:
    async with running(tmp_path, nats_url, mongo_url=mongo_url) as house:
        await begin(house)
        other = case(case_id="case-2", prefix="HRT", tutors=["tutor-2"])
        await house.tell(event(CaseChangedV1, "case-2", other), "keep_case")
        for journey in (await fill(house)).values():
            if journey.id.startswith(("two", "taught")):
                stored = await house.journey(journey.id)
                stored.step = stored.tutor_id = None
                await house.context.store.collection(Journey, SLUG).save(stored)
        assert await to_renew(house) == 70
        async with asyncio.timeout(PATIENCE):
            while await to_renew(house):
                with suppress(StoreUnavailable):  # a slow server: the service tries again, too
                    await renew(house.context, SERVICE.renewals)
        await everybody_sees_theirs(house)


async def test_the_page_counts_truly_and_leads_through_every_contact_of_a_group(house: House) -> None:
    await fill(house)
    page = await shown(house, house.staff("tutor-2"))
    assert counts(page) == {"to-send": 100, "answered": 0, "waiting": 0, "decided": 0, "ended": 0}
    ask = partial(shown, house, house.staff("tutor-2"))
    found = await paging.walk_pages(ask, "/consent/invitations", ROW)
    assert len(found) == len(set(found)) == 100
    assert not [one for one in found if one.startswith("one")]
    assert counts(await shown(house, house.boss()))["to-send"] == 300


async def test_each_group_holds_what_it_says(house: House) -> None:
    day, moved = timedelta(days=1), START - MINUTE

    def invited(**fields: Any) -> Callable[[Journey], None]:
        return lambda journey: [setattr(journey.invitation, name, value) for name, value in fields.items()] and None

    asked: dict[str, Any] = {"sent_at": moved, "ends_at": START + 9 * day}
    later: dict[str, Any] = {**asked, "state": "answered", "answer": "later"}
    kinds: dict[str, Callable[[Journey], None]] = {
        "prepared": lambda _: None,
        "sent": invited(**asked, state="sent", reminder_from=START + day),
        "reminddue": invited(**asked, state="sent", reminder_from=START - day),
        "reminded": invited(**asked, state="sent", reminder_from=START - day, reminded_at=moved),
        "yes": invited(**asked, state="answered", answer="yes"),
        "question": invited(**asked, state="answered", answer="question"),
        "later": invited(**later, later_at=START + day, reminder_from=START + day),
        "laterdue": invited(**later, later_at=START - day, reminder_from=START - day),
        "linked": invited(**asked, state="linked", answer="yes"),
        "expired": invited(state="expired"),
        "closed": invited(state="closed", closed_because="no"),
    }
    groups = {
        "to-send": {"prepared", "reminddue", "laterdue"},
        "answered": {"yes", "question"},
        "waiting": {"sent", "reminded", "later", "linked"},
        "decided": set(),
        "ended": {"expired", "closed"},
    }
    await keep(
        house, *(contact(name, tutor="tutor-1", case_id="case-1", moved=moved, change=do) for name, do in kinds.items())
    )
    for name, expected in groups.items():
        page = await shown(house, house.staff(), f"/consent/invitations?show={name}")
        assert set(references(page)) == expected
        assert counts(page) == {group: len(ids) for group, ids in groups.items()}
    for state, expected in (
        ("sent", {"sent", "reminddue", "reminded"}),
        ("answered", {"yes", "question", "later", "laterdue"}),
    ):
        found, totals = await walk(house, house.staff(), f"state={state}")
        assert (set(found), totals) == (expected, [len(expected)])


async def test_whoever_may_be_reminded_moves_to_what_is_to_send_when_the_time_comes(house: House) -> None:
    await house.discover()
    await house.api("POST", "/invitations/c1/sent")
    assert counts(await shown(house, house.staff()))["waiting"] == 1
    await house.time_passes(days=5, seconds=1)
    page = await shown(house, house.staff())
    assert counts(page) == {"to-send": 1, "answered": 0, "waiting": 0, "decided": 0, "ended": 0}
    assert references(page) == ["c1"]
    assert (await house.journey()).due_at == START + timedelta(days=21)  # when silence begins, as before
    await house.api("POST", "/invitations/c1/sent")
    assert counts(await shown(house, house.staff()))["waiting"] == 1
    await house.time_passes(days=22)
    assert counts(await shown(house, house.staff()))["ended"] == 1


async def test_a_list_stays_in_order_while_contacts_come_and_move(house: House) -> None:
    there = await fill(house)
    first = await house.api("GET", "/invitations", who=house.boss())
    kept = house.context.store.collection(Journey, SLUG)
    await house.discover("newcomer")
    moved = await kept.get("one120")  # of a later page
    assert moved is not None
    moved.moved_at = START + MINUTE
    await kept.save(moved)
    found = [one["contact_id"] for one in first["invitations"]]
    after = first["next"]
    while after:
        page = await house.api("GET", f"/invitations?after={after}", who=house.boss())
        found += [one["contact_id"] for one in page["invitations"]]
        after = page["next"]
        assert page["total"] == 301
    assert len(found) == len(set(found))
    assert set(found) == there.keys() - {"one120"}  # which, as the newcomer, stands at the top now


@pytest.mark.parametrize("after", ["x", "W10", "bnVsbA"])
async def test_a_place_that_is_not_in_the_list_is_answered_clearly(house: House, after: str) -> None:
    answer = await house.api("GET", f"/invitations?after={after}", ok=False)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["title"] == "This part of the list cannot be found"
    page = await house.site.get(
        f"/consent/invitations?show=waiting&after={after}",
        headers={"Accept": "text/html", **SAME_SITE, **house.staff()},
    )
    assert page.status_code == 400
    assert 'href="/consent/invitations?show=waiting">Back to the first page</a>' in page.text


async def test_a_tutor_of_many_cases_sees_the_contacts_of_all_of_them_in_each_list(house: House) -> None:
    for n in range(3, 90):
        one = case(case_id=f"case-{n}", prefix="MNY", tutors=["tutor-1"])
        await house.tell(event(CaseChangedV1, one.case_id, one), "keep_case")
    for n in (3, 50, 89):
        await keep(house, contact(f"c{n}", tutor="tutor-9", case_id=f"case-{n}", moved=START + n * MINUTE))
    assert await walk(house, house.staff()) == (["c89", "c50", "c3"], [3])
    assert await walk(house, house.staff(), "state=prepared") == (["c89", "c50", "c3"], [3])
    assert references(await shown(house, house.staff())) == ["c89", "c50", "c3"]


def bring(data: Path, rows: list[tuple[Any, ...]]) -> None:
    """Put documents into the database as they are, without a column that an older release does not know."""
    with sqlite3.connect(next(data.rglob("consent.db"))) as database:
        database.executemany("INSERT INTO journey (institution, id, version, body) VALUES (?, ?, ?, ?)", rows)
    database.close()


def as_before(raw: dict[str, Any]) -> dict[str, Any]:
    """A document as 0.1.0 stores it: without what it does not know."""
    return {name: value for name, value in raw.items() if name not in {"tutor_id", "step", "schema_number"}}


async def test_contacts_of_a_database_of_0_1_0_are_soon_in_the_list(tmp_path: Path, nats_url: str) -> None:
    async with running(tmp_path, nats_url) as house:
        await begin(house)
    old = json.loads(OLD_DOCUMENTS.read_text(encoding="utf-8"))["journey"]
    rows = [(SLUG, raw["id"], raw["version"], json.dumps(raw | {"institution": SLUG})) for raw in old]
    bring(tmp_path, rows)
    async with running(tmp_path, nats_url) as house:
        async with asyncio.timeout(PATIENCE):
            while not is_complete(house.context, Journey, SLUG):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.02)
        for tutor in {raw["contact"]["tutor_id"] for raw in old}:
            found, totals = await walk(house, house.staff(tutor))
            assert sorted(found) == sorted(raw["id"] for raw in old if raw["contact"]["tutor_id"] == tutor)
            assert totals == [len(found)]
        found, _ = await walk(house, house.boss())
        assert sorted(found) == sorted(raw["id"] for raw in old)


async def test_what_an_older_release_saves_beside_this_one_is_found_again(house: House) -> None:
    await fill(house)
    sql = "UPDATE journey SET body = ?, by_tutor_id = NULL, by_step = NULL WHERE id = ?"

    def save_as_before(connection: sqlite3.Connection) -> None:
        for id_, body in connection.execute("SELECT id, body FROM journey WHERE id LIKE 'two%'").fetchall():
            connection.execute(sql, (json.dumps(as_before(json.loads(body))), id_))

    database = house.context.store._database  # type: ignore[attr-defined]
    await database.write(save_as_before)
    database.remembered.clear()  # it was another process
    assert (await house.api("GET", "/invitations", who=house.staff("tutor-2")))["total"] == 60
    house.context.owned.clear()  # what a replica knows when it starts
    assert "still updating this list" in await shown(house, house.staff("tutor-2"))
    assert await renew(house.context, SERVICE.renewals) == 40
    assert "still updating this list" not in await shown(house, house.staff("tutor-2"))
    found, totals = await walk(house, house.staff("tutor-2"))
    assert (len(found), set(totals)) == (100, {100})
    assert await renew(house.context, SERVICE.renewals) == 0


async def test_a_document_that_this_release_cannot_read_stops_no_renewing_and_stays_as_it_is(house: House) -> None:
    await keep(house, contact("c1", tutor="tutor-1", case_id="case-1", moved=START))
    body = (await house.journey("c1")).model_dump_json()
    odd = json.dumps(as_before(json.loads(body)) | {"id": "odd", "stage": "of-a-newer-release"})

    def bring_odd(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO journey (institution, id, version, body) VALUES (?, 'odd', 1, ?)", (SLUG, odd))

    await house.context.store._database.write(bring_odd)  # type: ignore[attr-defined]
    assert await renew(house.context, SERVICE.renewals) == 0
    assert await walk(house, house.staff()) == (["c1"], [1])
