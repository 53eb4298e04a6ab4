# ruff: noqa: INP001 - a script beside its pictures, not a package
"""Retake the README's pictures from a running example: `.venv/bin/python -m docs.pictures.take`."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

from firsthand.example import journey as play
from tests.browser.conftest import CHROMIUM
from tests.browser.house import PHONE, House, open_house
from tests.browser.reading import answer_every_question

FOLDER = Path(__file__).parent
_SHARP = 2  # device pixels a CSS pixel
_DESK = {"viewport": {"width": 1180, "height": 740}, "device_scale_factor": 1.5}


async def take() -> None:
    """Write `family.png`, `today.png` and `journeys.png`."""
    folder = Path(tempfile.mkdtemp(prefix="firsthand-pictures-"))
    async with async_playwright() as playwright, open_house(folder, FOLDER.parents[1]) as house:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        await _a_busy_day(house)
        await _family(house, browser)
        tutor = await house.signed_in(browser, "tutor", **_DESK)
        page = await tutor.new_page()
        for name, named in (("today", ".tasks .label"), ("journeys", "#rows tr:nth-child(-n+3) .label")):
            await page.goto(f"/portal/{name}")
            await expect(page.locator(f"{named}:empty")).to_have_count(0)
            await page.screenshot(path=FOLDER / f"{name}.png")
        await browser.close()
    shutil.rmtree(folder)


async def _a_busy_day(house: House) -> None:
    """Beside the example's own contacts: a message to send, an answer, a recording to upload."""
    school = house.school
    named = [lead for lead in await play.waiting_leads(school) if lead["platform"] in {"bluesky", "mastodon"}]
    await play.clear(school, named[0]["lead_id"])
    answered = await play.clear(school, named[1]["lead_id"])
    await play.send_first_message(answered)
    await play.log_answer(answered, "yes")
    met = await play.clear(school, named[2]["lead_id"])
    await play.send_first_message(met)
    await play.log_answer(met, "yes")
    async with play.open_link(met):
        await play.decide(met)
        await play.book(met)
        await play.hold(met)
        await play.recording(met, "awaited")


async def _family(house: House, browser: Browser) -> None:
    journey = await house.new_family("linked", "ar")
    context = await house.family_of(browser, journey, locale="ar", **PHONE | {"device_scale_factor": _SHARP})
    page = await context.new_page()
    await answer_every_question(page)
    await page.goto("/consent/family/questions/record-video")
    await page.screenshot(path=FOLDER / "family.png")
    await context.close()


if __name__ == "__main__":
    asyncio.run(take())
