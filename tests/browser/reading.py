"""What a visitor does again and again."""

from collections.abc import Awaitable, Callable

from playwright.async_api import Page

ANSWERS = {"signer": "parent", "about_child": "yes", "child_assent": "agrees", "decides_alone": "yes"}
NAME = "A. Parent"


async def looks_ready(page: Page) -> None:
    """Wait until the fonts are there, so that sizes stand."""
    await page.evaluate("document.fonts.ready")


async def _no_look() -> None:
    """Go on at once."""


async def answer_every_question(
    page: Page, no_to: frozenset[str] = frozenset(), look: Callable[[], Awaitable[None]] = _no_look
) -> list[str]:
    """Answer one question after the other, as far as the review; gives their names in order."""
    asked: list[str] = []
    await page.goto("/consent/family/questions")
    while "/review" not in page.url:
        name = page.url.rsplit("/", 1)[1].split("?")[0]
        assert name not in asked, f"{name} was asked twice"
        asked.append(name)
        await look()
        if name == "name":
            await page.locator("input[name=name]").fill(NAME)
        else:
            answer = ANSWERS.get(name, "no" if name in no_to else "yes")
            await page.locator(f"input[name='{name}'][value='{answer}'] + label").click()
        async with page.expect_navigation():
            await page.locator("main form .actions button.primary").click()
    return asked
