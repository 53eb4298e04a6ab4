"""One list of several finds: of the documents that fit any of some conditions, each over fields of its own.

Written over the port alone, so that every adapter has it. Where one field may have any of some values, `OneOf` in one
find does it.
"""

import base64
import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic

from firsthand.shared.store import Collection, D, NoSuchPlace, Page, Where
from firsthand.shared.store.cursors import Order

_END: Final = ""  # the place in a find that has nothing more to give


@dataclass
class _Part(Generic[D]):
    """One of the finds: where it went on, what it gave, and how much of that is in the page."""

    where: Where
    after: str | None
    page: Page[D]
    taken: int = 0

    @property
    def has_more(self) -> bool:
        return self.taken < len(self.page.items) or self.page.next is not None


async def find_any(
    collection: Collection[D],
    wheres: Sequence[Where],
    *,
    sort: str,
    order: Order,
    limit: int,
    after: str | None = None,
) -> Page[D]:
    """Find what fits any of `wheres`, each document once, in the one order of all; otherwise as `Collection.find`.

    Raises NoSuchPlace, also for the cursor of a list with another number of conditions; ValueError.
    """
    if len(wheres) == 1:
        return await collection.find(wheres[0], sort=sort, order=order, limit=limit, after=after)
    parts: list[_Part[D]] = []
    for where, place in zip(wheres, _places(after, len(wheres)), strict=True):
        page: Page[D] = Page([])
        if place != _END:
            page = await collection.find(where, sort=sort, order=order, limit=limit, after=place)
        parts.append(_Part(where, place, page))
    items = _merged(parts, sort, order, limit)
    if not any(part.has_more for part in parts):
        return Page(items)
    places = [await _place(collection, part, sort, order) for part in parts]
    return Page(items, base64.urlsafe_b64encode(json.dumps(places).encode()).decode().rstrip("="))


def _merged(parts: Sequence[_Part[D]], sort: str, order: Order, limit: int) -> list[D]:
    """Take the first `limit` documents of all parts together; one that several parts have is taken from each."""

    def placed(found: tuple[D, _Part[D]]) -> tuple[Any, str]:
        return getattr(found[0], sort), found[0].id

    items: list[D] = []
    pages = [[(document, part) for document in part.page.items] for part in parts]
    for document, part in heapq.merge(*pages, key=placed, reverse=order == "desc"):
        if not items or items[-1].id != document.id:
            if len(items) == limit:
                break
            items.append(document)
        part.taken += 1
    return items


async def _place(collection: Collection[D], part: _Part[D], sort: str, order: Order) -> str | None:
    """Tell where a part goes on in the next page: only a find itself makes its cursors."""
    page = part.page
    if 0 < part.taken < len(page.items):
        page = await collection.find(part.where, sort=sort, order=order, limit=part.taken, after=part.after)
    elif part.taken < len(page.items):
        return part.after
    return page.next or _END


def _places(after: str | None, parts: int) -> list[str | None]:
    """Read a cursor: a place for each part, None for its beginning. Raises NoSuchPlace."""
    if after is None:
        return [None] * parts
    try:
        places = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
    except (ValueError, RecursionError) as error:
        raise NoSuchPlace("this is no cursor of a page") from error
    if not isinstance(places, list) or len(places) != parts or not all(isinstance(one, str | None) for one in places):
        raise NoSuchPlace("this cursor belongs to a page of another find")
    return places


__all__ = ["find_any"]
