"""One running school and one browser for all the tests of this folder."""

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.house import House, open_house
from tests.fourth_language import copied_with_fourth_language

# The shell first: the same engine without a window's frame around it, which nobody sees, and a quarter of the work.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--no-first-run", "--disable-quic", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; without one the test is skipped and says so."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install it (Debian: chromium-headless-shell) to run these tests")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The example's school; it starts only where there is a browser to visit it with."""
    code = copied_with_fourth_language(tmp_path_factory.mktemp("code"))
    async with open_house(tmp_path_factory.mktemp("house"), code) as running:
        yield running
