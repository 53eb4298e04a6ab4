"""The documents that were written or read last: to read one again costs no look into the file, and who saves one knows
whether its place in any index changes.

This process alone holds the file, so that nothing but its own commits changes what it remembers. A body is put here
when its commit is told, and forgotten when a write fails, whatever the file then holds. What is deleted is forgotten.

Of steady kinds (`Document.steady`) pages are remembered too, until a write of that kind in that institution ended.
"""

from dataclasses import dataclass
from typing import Final

_BODIES: Final = 1024
_LONGEST: Final = 8192  # characters; most are shorter than 3,000, so it is some 3 MB a store
_IN_PAGES: Final = 4_000_000  # characters of all pages together, so it is some 4 MB a store

_A_PAGE: Final = 500  # characters, for a page without bodies

Key = tuple[str, str, str]  # table, institution, id
Columns = tuple[str | int | None, ...]  # what a row's other columns hold


@dataclass(frozen=True)
class Bodies:
    """A page as it was read: the documents' bodies, and where the next page begins."""

    bodies: tuple[str, ...]
    following: str | None

    @property
    def length(self) -> int:
        return sum(map(len, self.bodies)) + _A_PAGE


class Remembered:
    """What one store remembers, in the event loop."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], dict[str, Bodies]] = {}  # by table and institution, then by question
        self._writes: dict[tuple[str, str], int] = {}  # that ended, of those that have pages
        self._bodies: dict[Key, str] = {}
        self._columns: dict[Key, tuple[int, Columns]] = {}  # with the version; not of what was only read

    def get(self, key: Key) -> str | None:
        return self._bodies.get(key)

    def columns(self, key: Key, version: int) -> Columns | None:
        """Give what the columns of this version hold; None where that is not known."""
        known, columns = self._columns.get(key, (0, None))
        return columns if known == version else None

    def put(self, key: Key, body: str, *, written: tuple[int, Columns] | None = None) -> None:
        """`written`: its version and columns."""
        self._drop(key)  # what is written again goes to the end of the queue
        if written:
            self._forget_pages(key)
        if len(body) > _LONGEST:
            return
        self._bodies[key] = body
        if written:
            self._columns[key] = written
        if len(self._bodies) > _BODIES:
            self._drop(next(iter(self._bodies)))

    def page(self, of: tuple[str, str], question: str) -> Bodies | None:
        return self._pages.get(of, {}).get(question)

    def writes(self, of: tuple[str, str]) -> int:
        """Give a number that grows with each write; to be asked for before a page is read."""
        return self._writes.setdefault(of, 0)

    def put_page(self, of: tuple[str, str], question: str, page: Bodies, *, writes: int) -> None:
        """Remember a page, unless a write ended since it was begun to be read: it may lack what was written."""
        if self._writes.get(of) != writes:
            return
        known = sum(one.length for pages in self._pages.values() for one in pages.values())
        if page.length > _IN_PAGES:
            return
        if known + page.length > _IN_PAGES:
            self._pages.clear()
        self._pages.setdefault(of, {})[question] = page

    def forget(self, key: Key) -> None:
        self._drop(key)
        self._forget_pages(key)

    def clear(self) -> None:
        self._pages.clear()
        self._bodies.clear()
        self._columns.clear()

    def _drop(self, key: Key) -> None:
        self._bodies.pop(key, None)
        self._columns.pop(key, None)

    def _forget_pages(self, key: Key) -> None:
        if (of := key[:2]) in self._writes:
            self._writes[of] += 1
            self._pages.pop(of, None)


class Nothing(Remembered):
    """For what is to be read from the file each time, such as keys."""

    def put(self, key: Key, body: str, *, written: tuple[int, Columns] | None = None) -> None:
        """Do not."""

    def put_page(self, of: tuple[str, str], question: str, page: Bodies, *, writes: int) -> None:
        """Do not."""
