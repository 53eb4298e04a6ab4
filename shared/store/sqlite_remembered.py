"""The bodies of the documents that were written or read last: to read one again costs no look into the file.

This process alone holds the file, so that nothing but its own commits changes what it remembers. A body is put here
when its commit is told, and forgotten when a write fails, whatever the file then holds. What is deleted is forgotten.
"""

from typing import Final

_BODIES: Final = 1024
_LONGEST: Final = 8192  # characters; most are shorter than 3,000, so it is some 3 MB a store

Key = tuple[str, str, str]  # table, institution, id


class Remembered:
    """What one store remembers, in the event loop."""

    def __init__(self) -> None:
        self._bodies: dict[Key, str] = {}

    def get(self, key: Key) -> str | None:
        return self._bodies.get(key)

    def put(self, key: Key, body: str) -> None:
        self._bodies.pop(key, None)  # what is written again goes to the end of the queue
        if len(body) > _LONGEST:
            return
        self._bodies[key] = body
        if len(self._bodies) > _BODIES:
            del self._bodies[next(iter(self._bodies))]

    def forget(self, key: Key) -> None:
        self._bodies.pop(key, None)

    def clear(self) -> None:
        self._bodies.clear()


class Nothing(Remembered):
    """For what is to be read from the file each time, such as keys."""

    def put(self, key: Key, body: str) -> None:
        """Do not."""
