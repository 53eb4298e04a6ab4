"""Every page, in English and Arabic, on a desk and on a phone, in light and dark: nothing shuts anybody out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import axe_playwright_python
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from firsthand.example import journey as play
from firsthand.example.institution import SLUG
from tests.browser.every_page import NOT_PAGES, PAGES, PageAt, routes_of_pages
from tests.browser.house import FAMILIES, PHONE, House
from tests.browser.reading import answer_every_question, looks_ready
from tests.fourth_language import CODE
from tests.patience import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}


def test_every_page_is_looked_at() -> None:
    there = set(routes_of_pages())
    assert there - {page.route for page in PAGES} - set(NOT_PAGES) == set(), "pages that no test looks at"
    assert ({page.route for page in PAGES} | set(NOT_PAGES)) - there - {""} == set(), "pages that are no more"


@pytest.mark.asyncio(loop_scope="session")
async def test_what_shuts_people_out_is_found(browser: Browser) -> None:
    page = await browser.new_page()
    await page.set_content("<html lang=en><title>A page</title><img src=x.png><p style='color:#ccc'>pale</p>")
    await page.evaluate(AXE)
    found = " ".join(await faults_of(page))
    assert "image-alt" in found
    assert "color-contrast" in found
    await page.close()


class Visitors:
    """Those who look: each with a page that stays open, and what its addresses need."""

    def __init__(self, house: House, browser: Browser) -> None:
        self.house = house
        self._browser = browser
        self._pages: dict[str, tuple[Page, Page]] = {}
        self._places: dict[str, str] = {}
        self.complaints: list[str] = []  # of the browser: scripts that failed, what the content policy refused

    async def pages_of(self, who: str) -> tuple[Page, Page]:
        """A page on a desk and one on a phone."""
        if who not in self._pages:
            context = await self._enter(who)
            await context.add_init_script(AXE)
            desk, phone = await context.new_page(), await context.new_page()
            await phone.set_viewport_size(PHONE["viewport"])
            for page in (desk, phone):
                page.on("pageerror", lambda error: self.complaints.append(str(error)))
                page.on("console", lambda said: "Content Security" in said.text and self.complaints.append(said.text))
            self._pages[who] = desk, phone
        return self._pages[who]

    async def _enter(self, who: str) -> BrowserContext:
        kind, _, stage = who.partition(" ")
        screen: dict[str, Any] = {"locale": "en-GB", "reduced_motion": "reduce"}
        if kind == "anybody":
            return await self.house.browser_of(self._browser, **screen)
        if kind != "family":
            return await self.house.signed_in(self._browser, kind, **screen)
        journey = await self.house.family_at(stage)
        context = await self.house.family_of(self._browser, journey, **screen)
        if stage == "linked":
            page = await context.new_page()
            await answer_every_question(page)
            await page.close()
        if stage == "offered":
            await context.request.post(
                "/scheduling/family/place", form={"zone": "America/Phoenix"}, headers={"Origin": self.house.url}
            )
        return context

    async def address(self, page: PageAt) -> str:
        names = [part.split("}")[0] for part in page.address.split("{")[1:]]
        return page.address.format_map({name: await self._place(name) for name in names})

    async def _place(self, name: str) -> str:
        if name == "slot":  # others book meanwhile
            return await self._found(name)
        if name not in self._places:
            self._places[name] = await self._found(name)
        return self._places[name]

    async def _found(self, name: str) -> str:
        school = self.house.school
        known = {"slug": SLUG, "case_id": school.case_id, "tutor_id": school.tutor_id}
        if name in known:
            return known[name]
        if name == "lead_id":
            return str((await play.waiting_leads(school))[0]["lead_id"])
        if name == "sign_in_link":
            return urlsplit(await self.house.sign_in_link("student")).path
        if name.endswith(("endpoint_id", "delivery_id")):
            of = "operators_" if name.startswith("operators_") else ""
            keeper, place = (school.operator, "/deployment") if of else (school.coordinator, "")
            endpoint_id, delivery_id = await self._delivery(keeper.call, place)
            self._places |= {f"{of}endpoint_id": endpoint_id, f"{of}delivery_id": delivery_id}
            return self._places[name]
        if name == "slot":
            return quote(str((await play.free_times(await self.house.family_at("offered")))[0]["starts_at"]))
        journey = await self.house.family_at(name.removesuffix("_link"))
        return urlsplit(journey.link).path if name.endswith("_link") else journey.contact_id

    async def _delivery(self, call: Callable[..., Awaitable[Any]], place: str = "") -> tuple[str, str]:
        """An endpoint at which nobody answers, with one attempt."""
        endpoints = f"/webhooks/api/v1{place}/endpoints"
        body = {"url": "http://127.0.0.1:1/hook", "event_types": ["*"], "name": "Learning platform"}
        added = str((await call("POST", endpoints, body))["endpoint_id"])
        await call("POST", f"{endpoints}/{added}/test")
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await call("GET", f"{endpoints}/{added}/deliveries")
                if any(one["attempts"] for one in found["items"]):
                    return added, str(next(one["delivery_id"] for one in found["items"] if one["attempts"]))
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def visitors(house: House, browser: Browser) -> Visitors:
    return Visitors(house, browser)


def _visit(at: PageAt) -> Any:
    """Families' pages on another worker than the staff's, each with a school and a browser of its own."""
    return pytest.param(at, marks=pytest.mark.xdist_group(FAMILIES) if at.who.startswith("family") else (), id=str(at))


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("at", [_visit(at) for at in PAGES])
async def test_nobody_is_shut_out(at: PageAt, visitors: Visitors) -> None:
    desk, phone = await visitors.pages_of(at.who)
    address = await visitors.address(at)
    found = await asyncio.gather(_on_a_desk(desk, address, at.status), _on_a_phone(phone, address, at.status))
    assert [fault for faults in found for fault in faults] == []
    assert visitors.complaints == []


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("at", [_visit(at) for at in PAGES])
async def test_a_fourth_language_is_catalogues_and_texts_and_no_code(at: PageAt, visitors: Visitors) -> None:
    """The school runs from a copy of the code with one language more (`tests/fourth_language.py`)."""
    desk, _ = await visitors.pages_of(at.who)
    address = await visitors.address(at)
    joined = f"{address}{'&' if '?' in address else '?'}lang={CODE}"
    answer = await desk.context.request.get(joined, headers={"Accept": "text/html"})
    assert answer.status == at.status, joined
    assert f'<html lang="{CODE}" dir="ltr"' in await answer.text()


async def _on_a_desk(page: Page, address: str, status: int) -> list[str]:
    """In English, in light colours."""
    await page.emulate_media(color_scheme="light")
    await _open(page, address, "en", status)
    return [f"English, desk: {fault}" for fault in await faults_of(page)]


async def _on_a_phone(page: Page, address: str, status: int) -> list[str]:
    """In Arabic, from right to left, in dark colours."""
    await page.emulate_media(color_scheme="dark")
    await _open(page, address, "ar", status)
    assert await page.locator("html").get_attribute("dir") == "rtl"
    return [f"Arabic, phone: {fault}" for fault in await faults_of(page) + await too_wide(page)]


async def _open(page: Page, address: str, language: str, status: int) -> None:
    answer = await page.goto(f"{address}{'&' if '?' in address else '?'}lang={language}", wait_until="load")
    assert answer is not None
    assert answer.status == status, f"{page.url}: {answer.status}"
    await looks_ready(page)


async def faults_of(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA, each with the elements."""
    found = await page.evaluate("options => axe.run(document, options)", RULES)
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:160] for node in fault['nodes'][:3]]}"
        for fault in found["violations"]
    ]


async def too_wide(page: Page) -> list[str]:
    """A page that must be scrolled sideways (WCAG 1.4.10)."""
    over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"scrolls sideways by {over} px"] if over > 0 else []
