"""The running school that the browser tests visit, and how its people come in: by their links, as in life."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, expect

from firsthand.example import journey as play
from firsthand.example.institution import SLUG, load_example
from firsthand.shared.client import Json, operator
from firsthand.shared.clock import SystemClock
from tests.e2e.system import all_in_one
from tests.patience import PATIENCE

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 1}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
FAMILIES = "browser of families"  # the group of tests that one worker runs with a house of its own; the rest: "browser"
ROLES = ("coordinator", "tutor", "student", "operator")


@dataclass
class House:
    """The example's school on a running system."""

    url: str
    school: play.School
    _open: AsyncExitStack = field(repr=False)
    _known: dict[str, play.Journey] = field(default_factory=dict)

    async def sign_in_link(self, role: str) -> str:
        path = f"/portal/api/v1/institutions/{SLUG}/sign-in-links"
        link = await self.school.operator.call("POST", path, {"email": f"{role}@dental.example"})
        return str(link["url"])

    async def signed_in(self, browser: Browser, role: str, **screen: Any) -> BrowserContext:
        """A browser in which this person is signed in: link opened, button pressed."""
        context = await self.browser_of(browser, **screen)
        page = await context.new_page()
        await page.goto(await self.sign_in_link(role))
        await page.locator("main form button").click()
        await page.wait_for_url("**/portal/today")
        await page.close()
        return context

    async def family_of(self, browser: Browser, journey: play.Journey, **screen: Any) -> BrowserContext:
        """A browser in which this family opened its personal link."""
        context = await self.browser_of(browser, **screen)
        page = await context.new_page()
        await page.goto(journey.link)
        await page.locator("main form button").click()
        await page.wait_for_url("**/consent/family**")
        await page.close()
        return context

    async def browser_of(self, browser: Browser, **screen: Any) -> BrowserContext:
        context = await browser.new_context(base_url=self.url, **(DESKTOP | screen))
        context.set_default_timeout(1000 * PATIENCE)
        expect.set_options(timeout=1000 * PATIENCE)
        return context

    async def new_family(self, stage: str, language: str = "en") -> play.Journey:
        """A contact of its own, taken as far as `stage` says."""
        number = len(self._known)
        self._known[f"of its own {number}"] = journey = await self._play(f"our.first.year.{number}", stage, language)
        return journey

    async def family_at(self, stage: str) -> play.Journey:
        """The contact at this stage that all those share who only look."""
        if stage not in self._known:
            self._known[stage] = await self._play(f"days.with.sami.{len(self._known)}", stage, "en")
        return self._known[stage]

    async def _play(self, handle: str, stage: str, language: str) -> play.Journey:
        lead = await play.nominate(self.school, handle)
        journey = await play.clear(self.school, lead, language=language)
        if stage == "prepared":
            return journey
        await play.send_first_message(journey)
        if stage == "sent":
            return journey
        await play.log_answer(journey, "yes")
        await self._open.enter_async_context(play.open_link(journey))
        if stage in _ENDS:
            await _ENDS[stage](journey)
            return journey
        for step, do in () if stage == "linked" else _STEPS.items():
            await do(journey)
            if step == stage:
                break
        return journey

    async def example_at(self, stage: str) -> str:
        """One of the example's own contacts at this stage of the journeys page."""
        found = await self.school.tutor.call("GET", f"/portal/api/v1/journeys?stage={stage}")
        return str(found["items"][0]["contact_id"])


async def _erase(journey: play.Journey) -> None:
    await play.withdraw(journey)
    await play.certificate(journey)


async def _free_times(journey: play.Journey) -> None:
    await play.free_times(journey)


async def _upload(journey: play.Journey) -> None:
    await play.upload(journey)
    await play.write_down(journey)


async def _release(journey: play.Journey) -> None:
    await play.approve_text(journey)
    await play.release(journey)


async def _book(journey: play.Journey) -> None:
    await play.book(journey)


_STEPS: dict[str, Callable[[play.Journey], Awaitable[Any]]] = {
    "consented": play.decide,
    "offered": _free_times,
    "booked": _book,
    "held": play.hold,
    "uploaded": _upload,
    "released": _release,
    "erased": _erase,
}


async def _decline(journey: play.Journey) -> None:
    await journey.family.call("POST", "/consent/api/v1/family/decline")


async def _pause(journey: play.Journey) -> None:
    await play.decide(journey)
    await journey.family.call("POST", "/consent/api/v1/family/pause")


async def _withdraw(journey: play.Journey) -> None:
    await play.decide(journey)
    await play.withdraw(journey, "in-7-days")


# Where a way ends or rests beside the main road.
_ENDS: dict[str, Callable[[play.Journey], Awaitable[None]]] = {
    "declined": _decline,
    "paused": _pause,
    "withdrawn": _withdraw,
}


@asynccontextmanager
async def open_house(folder: Path, code: Path) -> AsyncIterator[House]:
    """Run everything of the folder `code` in one process, with the example loaded."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(all_in_one(folder, code))
        await load_example(system.url, system.keys, clock, lambda _: None)
        admin = await stack.enter_async_context(operator(system.url, system.keys, clock))
        callers = {
            role: await stack.enter_async_context(play.sign_in(system.url, admin, SLUG, f"{role}@dental.example"))
            for role in ("coordinator", "tutor", "student")
        }
        people: Json = await callers["coordinator"].call("GET", "/portal/api/v1/people")
        ids = {person["roles"][0]: person["person_id"] for person in people["items"]}
        cases: Json = await callers["coordinator"].call("GET", "/discovery/api/v1/cases")
        school = play.School(
            system.url, SLUG, clock, admin, callers["coordinator"], callers["tutor"], callers["student"],
            tutor_id=ids["tutor"], student_id=ids["student"], case_id=cases["items"][0]["case_id"],
        )  # fmt: skip
        yield House(system.url, school, stack)
