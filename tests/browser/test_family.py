"""The family's whole way, in Arabic, on a phone, without JavaScript."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response, expect

from tests.browser.house import FAMILIES, PHONE, House
from tests.browser.reading import NAME, answer_every_question
from tests.fourth_language import ITS_NAME

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group(FAMILIES), pytest.mark.asyncio(loop_scope="session")]

CONDITION = "شقّ الشفة والحنك"
OLD_WORDS = ("الأرنبية", "شرم")  # what nobody should have to read about a child
TOUCH = 44  # CSS pixels: WCAG 2.2 asks for 24, a thumb for more
# Names, addresses and the other languages' own names stay as they are.
_AS_THEY_ARE = (
    "Example College of Dental Medicine", "Firsthand", "English", "Español", ITS_NAME, "ETHICS", "CLP", NAME, "JSON",
    "SHA", "Learning platform",  # the last one is a consumer, named by its institution in another test
)  # fmt: skip
_ADDRESS = re.compile(r"https?://\S+|@?[\w.-]+\.example\S*|\b[0-9a-f]{12,}\b")


class Phone:
    """A phone in a family's hand: every page that it opens is measured at once."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[str] = []

    async def measured(self) -> None:
        page = self.page
        where = page.url
        self.seen.append(where)
        html = page.locator("html")
        await expect(html).to_have_attribute("dir", "rtl")
        await expect(html).to_have_attribute("lang", "ar")
        over = await html.evaluate("page => page.scrollWidth - page.clientWidth")
        assert over <= 0, f"{where} scrolls sideways by {over} px"
        small = await page.evaluate(_SMALL_TARGETS, TOUCH)
        assert small == [], f"{where}: too small to touch: {small}"
        title = await page.title()
        assert CONDITION not in title, f"{where}: its title names the condition"
        text = await page.locator("body").inner_text()
        assert english_left_in(text) == [], f"{where}: left in English"
        assert not any(word in text for word in OLD_WORDS), f"{where}: an old word for the condition"

    async def press(self, text: str) -> None:
        """Press a button or a link by its words, and look at the page that follows."""
        thing = self.page.locator("main").get_by_role("button", name=text, exact=True)
        if not await thing.count():
            thing = self.page.locator("main").get_by_role("link", name=text, exact=True)
        async with self.page.expect_navigation():
            await thing.first.tap()
        await self.measured()

    async def go(self, address: str) -> Response:
        answer = await self.page.goto(address)
        assert answer is not None
        assert answer.ok, f"{address}: {answer.status}"
        await self.measured()
        return answer

    async def until(self, text: str) -> None:
        """Open the page again, as a person would, until the system has caught up."""
        for _ in range(100):
            if await self.page.get_by_text(text).count():
                await self.measured()
                return
            await self.page.reload()
        raise AssertionError(f"{text} did not appear on {self.page.url}")


# Buttons, tiles and single links (a link inside a sentence may be as high as its line).
_SMALL_TARGETS = """least => [...document.querySelectorAll(
    "button, .button, summary, select, input:not([type=hidden], [type=radio], [type=checkbox]), .tile label, .switch a"
  )].filter(one => one.checkVisibility() && one.getBoundingClientRect().height < least)
    .map(one => one.outerHTML.slice(0, 120))"""


def english_left_in(text: str) -> list[str]:
    for known in _AS_THEY_ARE:
        text = text.replace(known, "")
    return re.findall(r"[A-Za-z]{2,}", _ADDRESS.sub("", text))


@pytest_asyncio.fixture(loop_scope="session")
async def phone(house: House, browser: Browser) -> AsyncIterator[Phone]:
    journey = await house.new_family("linked", "ar")
    context = await house.browser_of(browser, java_script_enabled=False, locale="ar", **PHONE)
    page = await context.new_page()
    answer = await page.goto(journey.link)
    assert answer is not None
    assert answer.ok
    yield Phone(page)
    await context.close()


async def test_a_family_goes_its_whole_way_in_arabic_on_a_phone_without_scripts(phone: Phone) -> None:
    page = phone.page
    await phone.measured()
    await phone.press("فتح صفحتي")
    assert page.url.endswith("/consent/family/about")
    await expect(page.locator("main")).to_contain_text(CONDITION)
    await phone.press("متابعة")
    assert page.url.endswith("/consent/family/what-happens")

    asked = await answer_every_question(page, no_to=frozenset({"share-institution"}), look=phone.measured)
    assert asked[:5] == ["signer", "about_child", "child_assent", "decides_alone", "name"]
    assert {"meet", "record-video", "share-cohort", "share-institution", "download"} <= set(asked)
    await phone.measured()
    await phone.press("أوافق")
    assert "/consent/family/receipt" in page.url
    await expect(page.locator("main")).to_contain_text(NAME)

    await phone.go("/scheduling/family")
    await phone.until("أين أنتم؟")
    await page.locator("input[name=find]").fill("الأردن")
    await phone.press("بحث")
    async with page.expect_navigation():
        await page.locator("button[name=zone][value='Asia/Amman']").tap()
    await phone.measured()
    async with page.expect_navigation():
        await page.locator("button.slot[name=at]:visible").first.tap()  # what is at night is folded away
    await phone.measured()
    await page.locator("input[name=by][value=page] + label").tap()
    async with page.expect_navigation():
        await page.locator("main form .actions button.primary").tap()
    await phone.measured()

    booked = page.locator("main")
    await expect(booked).to_contain_text("عمّان")
    await expect(booked).to_contain_text("قطر")
    file = await page.request.get("/scheduling/family/meeting.ics")
    assert file.headers["content-type"].startswith("text/calendar")
    calendar = await file.text()
    assert re.search(r"\r\nDTSTART:\d{8}T\d{6}Z\r\n", calendar)
    assert CONDITION not in calendar
    await expect(page.locator("a[href='/scheduling/family/meeting.ics']")).to_be_visible()


async def test_a_family_changes_its_mind_in_arabic_on_a_phone_without_scripts(house: House, browser: Browser) -> None:
    journey = await house.new_family("consented", "ar")
    context = await house.family_of(browser, journey, java_script_enabled=False, locale="ar", **PHONE)
    phone = Phone(await context.new_page())
    page = phone.page
    await phone.go("/consent/family/change")
    await page.locator("input[name=record-video][value=no] + label").tap()
    await phone.press("حفظ")
    assert (await allowed(phone)) >= {"لقاء مع الطلاب عبر الفيديو"}
    assert "تسجيل بالصورة والصوت" not in await allowed(phone)

    await phone.press("إيقاف كل شيء مؤقتًا")
    paused = page.get_by_text("كل شيء موقوف مؤقتًا.")
    await expect(paused).to_be_visible()
    await phone.press("استئناف")
    await expect(paused).to_have_count(0)

    await phone.go("/consent/family/withdraw")
    await page.locator("input[name=erase][value=in-7-days] + label").tap()
    await phone.press("سحب الموافقة")
    await phone.press("تراجع")
    assert "لقاء مع الطلاب عبر الفيديو" in await allowed(phone)

    await phone.go("/consent/family/withdraw")
    await page.locator("input[name=erase][value=now] + label").tap()
    await phone.press("سحب الموافقة")
    await phone.go("/consent/family")
    await phone.until("شهادة الحذف")
    await expect(page.locator("main")).to_contain_text("Example College of Dental Medicine")
    await context.close()


async def allowed(phone: Phone) -> set[str]:
    """What the family's own page lists as allowed."""
    await phone.go("/consent/family")
    lines = await phone.page.locator(".choices .choice-question").all_inner_texts()
    return {line.removeprefix("نعم").strip() for line in lines}


async def test_a_family_draws_over_the_picture_what_nobody_should_see(house: House, browser: Browser) -> None:
    journey = await house.new_family("uploaded")
    family = await house.family_of(browser, journey)
    page = await family.new_page()
    await page.goto("/archive/family/edit")
    part = page.get_by_label("Which part of the picture?")
    await expect(part).to_be_hidden()
    await page.get_by_text("Blur it").click()
    await page.get_by_label("From", exact=True).fill("0:01")
    await page.get_by_label("To", exact=True).fill("0:04")
    await part.select_option(label="The part that I draw")
    await page.get_by_role("button", name="Add to my list").first.click()
    await expect(page.locator(".notice.stop")).to_contain_text(
        "Draw a rectangle over the picture, or choose a half of it."
    )
    await expect(part).to_have_value("drawn")
    await expect(page.get_by_label("To", exact=True)).to_have_value("0:04")

    picture = page.locator(".stage-layer")
    await picture.scroll_into_view_if_needed()
    box = await picture.bounding_box()
    assert box
    left, top, width, height = (box[side] for side in ("x", "y", "width", "height"))
    await page.mouse.move(left + 0.9 * width, top + 0.6 * height)
    await page.mouse.down()
    await page.mouse.move(left + 0.5 * width, top + 0.1 * height, steps=3)
    await page.mouse.up()
    drawn = [int(side) for side in (await page.locator("input[name=drawn]").input_value()).split(",")]
    assert drawn == pytest.approx([500, 100, 400, 500], abs=12)
    await page.get_by_role("button", name="Add to my list").first.click()
    await expect(page.locator(".edits li")).to_contain_text("Blur a part of the picture from 0:01 to 0:04")

    player = page.locator("video")
    blur = page.locator(".stage-blur")
    for at, hidden in ((0.5, True), (2.0, False), (5.0, True)):
        await player.evaluate("(video, at) => { video.currentTime = at }", at)
        await expect(blur).to_have_js_property("hidden", hidden)
    await page.get_by_text("Change the voices").click()
    await page.locator("details[open]").get_by_role("button", name="Add to my list").click()
    await expect(page.locator(".edits li")).to_have_count(2)
    await page.get_by_role("button", name="Make the new version").click()
    await expect(page.locator("main")).to_contain_text("This is your new version, with 2 changes.")
    await family.close()
