"""The documents that were written or read last: to read one again costs no look into the file, and who saves one knows
whether its place in any index changes.

This process alone holds the file, so that nothing but its own commits changes what it remembers. A body is put here
when its commit is told, and forgotten when a write fails, whatever the file then holds. What is deleted is forgotten.
"""

from typing import Final

_BODIES: Final = 1024
_LONGEST: Final = 8192  # characters; most are shorter than 3,000, so it is some 3 MB a store

Key = tuple[str, str, str]  # table, institution, id
Columns = tuple[str | int | None, ...]  # what a row's other columns hold


class Remembered:
    """What one store remembers, in the event loop."""

    def __init__(self) -> None:
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
        self.forget(key)  # what is written again goes to the end of the queue
        if len(body) > _LONGEST:
            return
        self._bodies[key] = body
        if written:
            self._columns[key] = written
        if len(self._bodies) > _BODIES:
            self.forget(next(iter(self._bodies)))

    def forget(self, key: Key) -> None:
        self._bodies.pop(key, None)
        self._columns.pop(key, None)

    def clear(self) -> None:
        self._bodies.clear()
        self._columns.clear()


class Nothing(Remembered):
    """For what is to be read from the file each time, such as keys."""

    def put(self, key: Key, body: str, *, written: tuple[int, Columns] | None = None) -> None:
        """Do not."""
