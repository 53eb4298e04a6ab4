"""Going through lists page by page, over the API and by the links of pages."""

import html
import re
from collections.abc import Awaitable, Callable
from typing import Any

MOST: int = 64 * 1024  # bytes that a page of a list may have


async def walk(ask: Callable[[str], Awaitable[Any]], path: str, items: str, name: str) -> tuple[list[str], list[int]]:
    """Give what all pages name, in their order, and what each says that there are in all. No page may be empty."""
    named, totals = [], []
    following = path
    while True:
        page = await ask(following)
        assert page[items] or following == path, "an empty page"
        named += [one[name] for one in page[items]]
        totals.append(page["total"])
        if page["next"] is None:
            return named, totals
        following = f"{path}{'&' if '?' in path else '?'}after={page['next']}"


async def walk_pages(ask: Callable[[str], Awaitable[str]], path: str, row: str) -> list[str]:
    """Give what all pages show in place of the group of the pattern `row`, by following their links."""
    page = await ask(path)
    found = re.findall(row, page)
    while following := re.search(r'href="([^"]+)" rel="next"', page):
        page = await ask(html.unescape(following[1]))
        assert re.findall(row, page), "an empty page"
        assert 'rel="first"' in page
        assert len(page.encode()) <= MOST
        found += re.findall(row, page)
    return found
