"""The tutor's and the student's way on a desk: from a lead to a recording that plays, and stops."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Page, Route, expect

from firsthand.example import journey as play
from firsthand.example.media import make_video
from tests.browser.house import PHONE, House
from tests.patience import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.asyncio(loop_scope="session")]

QATAR = ZoneInfo("Asia/Qatar")
_PLAYED_ON = """video => new Promise(
    done => video.addEventListener("timeupdate", () => video.currentTime > 0.3 && done(video.currentTime))
  )"""

_SETTLED = 300  # milliseconds, as live.js

_SEEN = """seen => {
  Object.defineProperty(document, "hidden", { value: !seen, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def test_a_tutor_clears_a_lead_and_asks_the_family_while_the_journeys_page_follows(
    house: House, browser: Browser
) -> None:
    tutor = await house.signed_in(browser, "tutor", permissions=["clipboard-read", "clipboard-write"])
    page, journeys = await tutor.new_page(), await tutor.new_page()
    async with journeys.expect_request("**/journeys/stream"):
        await journeys.goto("/portal/journeys")
    await journeys.evaluate("window.notReloaded = true")

    await page.goto("/portal/today")
    await page.locator("nav.sections").get_by_role("link", name="Leads").click()
    lead = page.locator(".lead-card", has_text="@").first
    await lead.get_by_role("link", name="Review lead").click()
    await _clear(page)
    await page.wait_for_url("**/discovery/contacts/*")
    contact = urlsplit(page.url).path.rsplit("/", 1)[1]
    reference = await page.locator("h1").inner_text()
    row = journeys.locator("#rows tr", has_text=reference)
    await expect(row).to_contain_text("first message to send")

    await page.get_by_role("link", name="The invitation and its first message").click()
    await page.get_by_role("button", name="Copy", exact=True).click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#message").input_value()
    assert "http" not in copied
    await page.get_by_role("button", name="Mark as sent").click()
    await expect(row).to_contain_text("message sent")

    await page.locator("input[name=answer][value=yes] + label").click()
    await page.get_by_role("button", name="Record the answer").click()
    await page.get_by_role("button", name="Create the link").click()
    await expect(row).to_contain_text("link made")
    await page.get_by_role("link", name="Open the family's page").click()
    await page.get_by_role("button").first.click()
    await page.wait_for_url("**/consent/family/about")
    assert contact not in await page.content()
    assert await journeys.evaluate("window.notReloaded"), "the journeys page was loaded anew"
    await tutor.close()


async def test_eight_tabs_share_one_stream_and_hidden_ones_have_none(house: House, browser: Browser) -> None:
    """A browser has six connections to a server over HTTP/1.1; a stream in each tab would use them up."""
    tutor = await house.signed_in(browser, "tutor")
    open_streams: list[Page] = []

    changed = asyncio.Event()

    async def stream(route: Route) -> None:  # which tab asked, and not what came: that goes its own way
        open_streams.append(route.request.frame.page)
        if len(open_streams) > 1:  # nobody listens while the change comes: the worst moment to take over
            await changed.wait()
        await route.continue_()

    await tutor.route("**/journeys/stream", stream)
    tabs = [await tutor.new_page() for _ in range(8)]
    for tab in tabs:
        await tab.goto("/portal/journeys")
    assert open_streams == tabs[:1]

    journey = await house.new_family("prepared")
    for tab in tabs:
        await expect(tab.locator("#rows tr", has_text=journey.reference)).to_be_visible()

    await tabs[0].evaluate(_SEEN, False)
    await play.send_first_message(journey)
    await _entered(journey, "sent")
    changed.set()
    for tab in tabs[1:]:
        await expect(tab.locator("#rows tr", has_text=journey.reference)).to_contain_text("message sent")
    (taken_over,) = open_streams[1:]
    assert taken_over in tabs[1:]
    await tabs[0].evaluate(_SEEN, True)
    await expect(tabs[0].locator("#rows tr", has_text=journey.reference)).to_contain_text("message sent")
    await tutor.close()


async def test_the_journeys_page_shows_the_last_that_happened_when_answers_come_late_or_not_at_all(
    house: House, browser: Browser
) -> None:
    tutor = await house.signed_in(browser, "tutor")
    page = await tutor.new_page()
    await page.clock.install()
    async with page.expect_request("**/journeys/stream"):
        await page.goto("/portal/journeys")
    asked, changed = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        """Asked before the change, answered after it."""
        earlier = await route.fetch()
        asked.set()
        await changed.wait()
        await route.fulfill(response=earlier)

    await page.route("**/portal/journeys", late, times=1)
    journey = await house.new_family("prepared")
    row = page.locator("#rows tr", has_text=journey.reference)
    await _turned(page, asked.is_set)
    await play.send_first_message(journey)
    await _entered(journey, "sent")
    await page.clock.run_for(_SETTLED)
    changed.set()
    await _turned(page, lambda: row.filter(has_text="message sent").is_visible())

    refused = asyncio.Event()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=503)
        refused.set()

    await page.route("**/portal/journeys", refuse, times=1)
    await play.log_answer(journey, "yes")
    await _entered(journey, "answered")
    await _turned(page, refused.is_set)
    await page.clock.run_for(30_000)
    await expect(row).to_contain_text("answered")
    await tutor.close()


async def _entered(journey: play.Journey, stage: str) -> None:
    async def look() -> bool:
        path = f"/portal/api/v1/journeys/{journey.contact_id}"
        return bool((await journey.school.tutor.call("GET", path))["stage"] == stage)

    await play.eventually(f"the journey at {stage}", look)


async def _turned(page: Page, holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Turn the page's clock on, until it holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await page.clock.run_for(_SETTLED)


async def _clear(page: Page) -> None:
    for check in ("public", "adult", "not_vulnerable"):
        await page.locator(f"main input[name={check}]").check()
    await page.locator("select[name=language]").select_option("en")
    await page.get_by_role("button", name="Clear", exact=True).click()


async def test_a_tutor_closes_the_meeting_and_uploads_its_recording(
    house: House, browser: Browser, tmp_path: Path
) -> None:
    journey = await house.new_family("booked")
    tutor = await house.signed_in(browser, "tutor")
    page = await tutor.new_page()
    await page.goto("/scheduling/meetings")
    await page.get_by_role("link", name=journey.reference, exact=True).first.click()
    await page.get_by_text("Did you meet earlier than planned?").click()
    # The family said yes within this minute, and the fields know minutes only: it began now, and has just ended.
    await page.locator("form[action$='/held']").evaluate("form => { form.noValidate = true; }")
    await page.locator("input[name=begun]").fill(f"{datetime.now(QATAR):%Y-%m-%dT%H:%M}")
    await page.locator("input[name=ended]").fill("")
    await page.locator("#person-1").fill(house.school.student_id)
    for agrees in ("0", "1"):
        await page.locator(f"input[name=agrees][value='{agrees}']").check()
    await page.get_by_role("button", name="Close: it took place").click()
    await expect(page.locator(".notice.good")).to_be_visible()

    await play.recording(journey, "awaited")
    await page.get_by_role("link", name="Go to the recording").click()
    file = tmp_path / "meeting.webm"
    file.write_bytes(make_video())
    await page.locator("input[type=file]").set_input_files(file)

    async def watched(route: Route) -> None:
        """While a piece is on its way, the page shows how far it is."""
        await expect(page.get_by_role("progressbar")).to_be_visible()
        await expect(page.get_by_role("status")).not_to_be_empty()
        await route.continue_()

    await page.route("**/archive/api/v1/uploads/**", watched)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await page.wait_for_url("**?done=taken-in")
    await expect(page.locator("main")).to_contain_text("8 seconds")
    held = await play.recording(journey, "held")
    assert held["state"] == "held"
    await tutor.close()


async def test_a_student_watches_until_the_family_takes_its_yes_back(house: House, browser: Browser) -> None:
    journey = await house.new_family("released")
    family = await house.family_of(browser, journey, **PHONE)
    theirs = await family.new_page()
    await theirs.goto("/consent/family/withdraw")
    await theirs.locator("input[name=erase][value='in-7-days'] + label").tap()

    student = await house.signed_in(browser, "student")
    page = await student.new_page()
    await page.goto("/archive/recordings")
    await page.locator(".card", has_text=journey.reference).get_by_role("link", name="Watch").click()
    video = page.locator("video")
    await video.evaluate("video => { video.muted = true; video.loop = true; return video.play(); }")
    await video.evaluate(_PLAYED_ON)
    assert await video.evaluate("video => video.videoWidth") > 0

    await theirs.locator("main form .actions button.danger").tap()
    withdrawn = datetime.now(QATAR)
    closed = page.locator("[data-closed]")
    await closed.wait_for(state="visible")
    took = (datetime.now(QATAR) - withdrawn).total_seconds()
    assert took < 2, f"the player went on for {took} s"
    await expect(video).to_be_hidden()
    assert await video.evaluate("video => video.currentSrc === '' || !video.hasAttribute('src')")
    assert (await closed.inner_text()).strip()
    await page.goto("/archive/recordings")
    await expect(page.locator("main")).not_to_contain_text(journey.reference)
    await family.close()
    await student.close()
