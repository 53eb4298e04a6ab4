"""Discovery's lists of leads and cases, over HTTP: whole, in order, counted, and page by page."""

import asyncio
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from firsthand.services.discovery.model.leads import Content, Lead, LeadState, week_of
from firsthand.services.discovery.repository import Repository
from tests import paging
from tests.integration.discovery.house import CASE, NOW, OAK, House

MINUTE = timedelta(minutes=1)
LONG = "شقّ" * 1600 + "<>&"  # close to the longest text that is kept, of letters that take two bytes
ROW = r'href="/discovery/leads/(\w+)"'


async def keep(house: House, *leads: Lead) -> None:
    kept = Repository(house.context, OAK).leads
    await asyncio.gather(*(kept.insert(lead) for lead in leads))


async def leads(
    house: House, case: str, numbers: range, *, text: str = "", language: str = "en", state: LeadState = "waiting"
) -> list[Lead]:
    week = week_of(case, NOW)
    contents = {f"{case[:3]}{n:03}": Content(permalink=f"https://social.example/{n}", text=text) for n in numbers}
    sealed = await house.context.vault.seal_many(
        OAK, week, {id_: content.model_dump_json() for id_, content in contents.items()}
    )
    return [
        Lead(
            id=id_,
            institution=OAK,
            case_id=case,
            platform="mastodon",
            source="mastodon",
            posted_at=NOW - n * MINUTE,
            found_at=NOW,
            found_by="tutor-1",
            language=language,
            week=week,
            content=content,
            state=state,
        )
        for n, (id_, content) in zip(numbers, sealed.items(), strict=True)
    ]


async def ask(house: House, path: str) -> Any:
    async with house.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.json()


async def shown(house: House, path: str) -> str:
    async with house.browser() as browser:
        answer = await browser.get(path.removeprefix("/discovery"))
    assert answer.status_code == 200, answer.text
    assert len(answer.content) <= paging.MOST
    return answer.text


async def test_leads_are_whole_newest_first_and_counted_by_case_and_language(house: House) -> None:
    clp, hrt = await house.case(), await house.case(prefix="HRT")
    waiting = await leads(house, clp, range(0, 120, 2)) + await leads(house, hrt, range(1, 121, 2), language="ar")
    decided = await leads(house, clp, range(200, 220), state="refused")
    await keep(house, *waiting, *decided)
    waiting.sort(key=lambda lead: lead.posted_at, reverse=True)
    for query, expected in (
        ("", waiting),
        (f"?case={clp}", [one for one in waiting if one.case_id == clp]),
        (f"?case={hrt}&language=ar", [one for one in waiting if one.case_id == hrt]),
        (f"?case={hrt}&language=en", []),
        ("?state=refused", decided),
    ):
        ids = [one.id for one in expected]
        assert await paging.walk(partial(ask, house), f"/leads{query}", "items", "lead_id") == (
            ids,
            [len(ids)] * max(1, -(-len(ids) // 50)),
        )
    page = await shown(house, "/discovery/leads")
    assert "120 leads to review" in page
    found = await paging.walk_pages(partial(shown, house), "/discovery/leads", ROW)
    assert found == [one.id for one in waiting]
    assert "60 leads to review" in await shown(house, f"/discovery/leads?case={hrt}&language=ar")


async def test_long_texts_make_a_page_shorter_and_nothing_is_left_out(house: House) -> None:
    case = await house.case()
    there = await leads(house, case, range(90), text=LONG, language="ar")
    await keep(house, *there)
    found, totals = await paging.walk(partial(ask, house), "/leads?limit=200", "items", "lead_id")
    assert found == [one.id for one in there]
    assert set(totals) == {90}
    assert len(totals) >= 90 * len(LONG.encode()) // paging.MOST
    assert await paging.walk_pages(partial(shown, house), "/discovery/leads", ROW) == found


@pytest.mark.parametrize("after", ["x", "W10", "bnVsbA"])
@pytest.mark.parametrize("path", ["/leads", "/cases"])
async def test_a_place_that_is_not_in_the_list_is_answered_clearly(house: House, path: str, after: str) -> None:
    refused = await house.refused("GET", f"{path}?after={after}")
    assert (refused["status"], refused["title"]) == (400, "This part of the list cannot be found")
    async with house.browser() as browser:
        page = await browser.get(path, params={"after": after})
    assert (page.status_code, "Back to the first page" in page.text) == (400, True)


async def test_cases_are_whole_and_paged_the_open_ones_first(house: House) -> None:
    boss = {"person": "coordinator-1", "role": "coordinator"}
    prefixes = [f"C{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(70)]
    opened = [await house.call("POST", "/cases", CASE | {"prefix": prefix}, **boss) for prefix in prefixes]
    for one in opened[:30]:
        await house.call("PATCH", f"/cases/{one['case_id']}", {"state": "closed"}, **boss)
    chosen = await shown(house, f"/discovery/leads?case={opened[40]['case_id']}")
    assert re.findall(r'<option value="([^"]+)" selected', chosen) == [opened[40]["case_id"]]
    assert [name for name in prefixes if f">{name}</option>" in chosen] == prefixes[30:]
    found, totals = await paging.walk(partial(ask, house), "/cases", "items", "prefix")
    assert (sorted(found), totals) == (prefixes, [70, 70])
    row = r'<bdi class="reference">(\w+)</bdi>'
    page = await shown(house, "/discovery/cases")
    assert "Open (40)" in page
    assert "Closed (30)" in page
    assert await paging.walk_pages(partial(shown, house), "/discovery/cases", row) == prefixes[30:]
    assert await paging.walk_pages(partial(shown, house), "/discovery/cases?state=closed", row) == prefixes[:30]
