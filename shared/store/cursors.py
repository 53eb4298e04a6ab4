"""The place after a row of a sorted find, in a text that goes through an address, and going from page to page by it."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Final, Literal

from firsthand.shared.store import Collection, D, NoSuchPlace

Order = Literal["asc", "desc"]
_INTEGER: Final = 2**63  # what a database keeps as one
_PAGE: Final = 200  # documents a page when all are gone through


def cursor(sort: str, order: Order, value: str | int, id_: str) -> str:
    """Name the place after a row: its sort value and id, so that inserts elsewhere move nothing."""
    place = json.dumps([sort, order, value, id_], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_of(text: str, sort: str, order: Order) -> tuple[str | int, str]:
    """Read a cursor. Raises NoSuchPlace unless it is one of a find with this sort and order."""
    try:
        place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        json.dumps(place, ensure_ascii=False).encode()  # half a character is no text that a database takes
    except (ValueError, RecursionError) as error:
        raise NoSuchPlace("this is no cursor of a page") from error
    match place:
        case [str(of), str(way), str() | int() as value, str(id_)] if (of, way) == (sort, order) and _fits(value):
            return value, id_
    raise NoSuchPlace("this cursor belongs to a page of another find")


def _fits(value: str | int) -> bool:
    return isinstance(value, str) or -_INTEGER <= value < _INTEGER


async def page_by_page(collection: Collection[D]) -> AsyncIterator[D]:
    """Go through every document by id, in flat memory."""
    after: str | None = None
    while True:
        page = await collection.find(limit=_PAGE, after=after)
        for document in page.items:
            yield document
        if (after := page.next) is None:
            return
