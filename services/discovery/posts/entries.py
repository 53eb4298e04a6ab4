"""From bytes to entries: a platform's answer, or several one after another, cut into posts as they arrive.

Memory holds one entry at a time, whatever the size of the whole.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args

import ijson

from firsthand.services.discovery.posts.bounds import Bounds

Format = Literal["bluesky", "jetstream", "mastodon", "instagram"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

# A post of any of the platforms is some kilobytes; what is larger is no post.
_LONGEST: Final = 4 * 1024 * 1024  # bytes
_BROKEN: Final = "the JSON is broken here; what follows could not be read"
_TOO_LONG: Final = "the entry is larger than 4 MB; what follows could not be read"
# Where the posts of an answer stand, in ijson's words.
_PLACES: Final[dict[Format, str]] = {"bluesky": "posts.item", "mastodon": "item", "instagram": "data.item"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the platform gave it; numbers start at 1."""

    number: int
    raw: Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry that could not be read, and why. The reason never repeats the content.

    `advice`: what to do, marked for the catalogues, where something can be done.
    """

    number: int
    reason: str
    advice: str = ""


class Entries(Protocol):
    """Takes bytes as they come, gives the entries that are complete."""

    def feed(self, chunk: bytes) -> Iterable[Entry | Unreadable]: ...

    def finish(self) -> Iterable[Entry | Unreadable]:
        """Return the rest when there are no more bytes."""
        ...


def entries_of(format_: Format) -> Entries:
    """Make the reader of a format."""
    return _Lines() if format_ == "jetstream" else _Documents(_PLACES[format_])


class _Lines:
    """One JSON document a line. A broken line is one unreadable entry; the next line is read again."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._number = 0
        self._skipping = False  # within a line that is too long

    def feed(self, chunk: bytes) -> Iterator[Entry | Unreadable]:
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            self._rest += line
            if self._skipping:
                self._skipping = False
            elif self._rest.strip():
                yield self._read(bytes(self._rest))
            self._rest.clear()
        if not self._skipping:
            self._rest += rest
        if len(self._rest) > _LONGEST:
            self._rest.clear()
            self._skipping = True
            self._number += 1
            yield Unreadable(self._number, "the line is longer than 4 MB")

    def finish(self) -> Iterator[Entry | Unreadable]:
        if self._rest.strip() and not self._skipping:
            yield self._read(bytes(self._rest))
        self._rest.clear()

    def _read(self, line: bytes) -> Entry | Unreadable:
        self._number += 1
        try:
            return Entry(self._number, json.loads(line))
        except (ValueError, RecursionError):
            return Unreadable(self._number, "the line is not JSON")


class _Documents:
    """JSON documents one after another, whose posts stand at one place each."""

    def __init__(self, place: str) -> None:
        self._found: Any = ijson.sendable_list()
        self._parser: Any = ijson.items_coro(self._found, place, multiple_values=True, use_float=True)
        self._bounds = Bounds()
        self._number = 0
        self._since = 0  # bytes since the last complete entry
        self._broken = False

    def feed(self, chunk: bytes) -> Iterator[Entry | Unreadable]:
        if self._broken or not chunk:
            return
        reason = ""
        try:
            self._bounds.demand(chunk)
            self._parser.send(chunk)
        except (ijson.JSONError, ValueError, RecursionError):
            reason = _BROKEN
        yield from self._complete(len(chunk))
        if reason or self._since > _LONGEST:
            self._broken = True
            yield Unreadable(self._number + 1, reason or _TOO_LONG)

    def finish(self) -> Iterator[Entry | Unreadable]:
        if self._broken:
            return
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError):
            self._broken = True
        yield from self._complete(0)
        if self._broken:
            yield Unreadable(self._number + 1, _BROKEN)

    def _complete(self, size: int) -> Iterator[Entry]:
        self._since = 0 if self._found else self._since + size
        found = list(self._found)
        del self._found[:]
        for raw in found:
            self._number += 1
            yield Entry(self._number, raw)


def recognise(head: bytes) -> Format | None:
    """Tell a format by the first few thousand bytes of its content; None when it looks like none of them."""
    events: Any = ijson.sendable_list()
    parser: Any = ijson.parse_coro(events, multiple_values=True)
    with contextlib.suppress(ijson.JSONError, ValueError):  # a broken entry is reported when it is read
        Bounds().demand(head)
        parser.send(head.removeprefix(b"\xef\xbb\xbf"))
    return _told_by(events)


def _told_by(events: Iterable[tuple[str, str, Any]]) -> Format | None:
    """Look at the outermost keys of the first document only."""
    keys: set[str] = set()
    places: dict[str, Format] = {"posts": "bluesky", "data": "instagram"}
    for prefix, event, value in events:
        if event == "start_array" and prefix in places:
            return places[prefix]
        if prefix == "" and event == "start_array":
            return "mastodon"
        if prefix == "" and event == "map_key":
            keys.add(value)
            if keys >= {"did", "kind"} or keys >= {"did", "commit"}:
                return "jetstream"
        elif prefix == "" and event == "end_map":
            return None
    return None


__all__ = ["FORMATS", "Entries", "Entry", "Format", "Unreadable", "entries_of", "recognise"]
