"""Searching what is said in recordings: by words, in what the viewer may watch and read now.

The index is in the memory of a replica alone. It holds no words, but numbers that this process gives them by a secret
of its own, and it is read anew from the sealed transcripts after a start. A hit is shown only after the gate has
admitted its viewer to that recording, and from the transcript itself: so the index may lag behind, and shows nothing
by it.
"""

import asyncio
import contextlib
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Final

from firsthand.services.archive.gate import CannotTell, NotOpen, gate_of
from firsthand.services.archive.handlers.listing import audiences_of
from firsthand.services.archive.handlers.transcripts import read_by_viewer
from firsthand.services.archive.model import Cue, Recording, Transcript, Viewer
from firsthand.services.archive.model.captions import packed, unpacked
from firsthand.services.archive.model.words import lines_with, marked, words_of
from firsthand.services.archive.repository import Transcripts
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import EARLIEST
from firsthand.shared.service import Context
from firsthand.shared.store import NoSuchPlace
from firsthand.shared.tasks import ended
from firsthand.shared.vault import VaultError

MOST_WORDS: Final = 10  # of a question
LINES_SHOWN: Final = 3  # of a recording
_WORDS_AT_ONCE: Final = 5000  # a few milliseconds, after which others have their turn
_A_PAGE: Final = 200  # transcripts that are read at once
_OVERLAP: Final = timedelta(minutes=2)  # by which clocks of replicas, and the length of a write, may differ
_WAIT: Final = 2.0  # seconds, until an index that is being read answers with what it has
_FEW: Final = 500  # transcripts, up to which they are sorted for each question
_PLACE: Final = attrgetter("place")
_MOST_LOOKS: Final = 100  # transcripts that a page opens; the rest is on the next


Place = tuple[float, str]


@dataclass(frozen=True)
class Entry:
    """A transcript in the index."""

    id: str
    contact_id: str
    file: str
    language: str
    shown_to: str
    place: Place  # by which they are sorted: when it was approved, and the id
    words: int  # a hash of them as they are stored, by which it is seen whether they are others


@dataclass(frozen=True)
class FoundLine:
    """A line with its words, and which of them were asked for."""

    cue: Cue
    pieces: list[tuple[str, bool]]


@dataclass(frozen=True)
class Found:
    """A recording in which it is said, with the first lines."""

    recording: Recording
    language: str
    lines: list[FoundLine]


@dataclass(frozen=True)
class Results:
    """One page of what was found, where the next one begins, and whether all transcripts were looked at."""

    found: list[Found]
    next: str | None
    complete: bool


@dataclass
class _Shelf:
    """The words of one institution: by a word's number the numbers of the transcripts that have it, ascending."""

    having: "dict[int, array[int]]" = field(default_factory=dict)
    entries: dict[int, Entry] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)  # by transcript id
    next_number: int = 0
    seen_until: datetime = EARLIEST + _OVERLAP
    reading: asyncio.Task[None] | None = None
    order: list[tuple[int, Entry]] = field(default_factory=list)  # the last approved first; empty: to be sorted anew

    def add(self, entry: Entry, words: Iterable[int]) -> None:
        number = self.next_number
        self.next_number += 1
        for word in words:
            self.having.setdefault(word, array("I")).append(number)
        self.entries[number], self.numbers[entry.id] = entry, number
        self.order = []

    def replace(self, number: int, entry: Entry) -> None:
        """Know it anew, with the same words."""
        self.entries[number] = entry
        self.order = []

    async def remove(self, ids: Iterable[str]) -> None:
        """Leave nothing of them: neither what they are called, nor which words they have."""
        gone = [number for id_ in ids if (number := self.numbers.pop(id_, None)) is not None]
        for number in gone:
            del self.entries[number]
        self.order = []
        for looked_at, (word, having) in enumerate(list(self.having.items()) if gone else ()):
            if looked_at % _WORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
            for number in gone:
                place = bisect_left(having, number)
                if place < len(having) and having[place] == number:
                    del having[place]
            if not having and self.having.get(word) is having:  # it may have come anew meanwhile
                del self.having[word]

    def with_all(self, words: Iterable[int], shown_to: Collection[str], after: Place | None, most: int) -> list[Entry]:
        """Those that have all of the words and are shown to one of these, the last approved first."""
        lists = sorted((self.having.get(word, array("I")) for word in words), key=len)
        numbers = set(lists[0]).intersection(*lists[1:])
        if len(numbers) < _FEW:
            having = sorted((self.entries[one] for one in numbers if one in self.entries), key=_PLACE, reverse=True)
        else:
            having = [entry for number, entry in self._ordered() if number in numbers]
        found = (one for one in having if one.shown_to in shown_to and (after is None or one.place < after))
        return list(islice(found, most))

    def _ordered(self) -> list[tuple[int, Entry]]:
        if not self.order:
            self.order = sorted(self.entries.items(), key=lambda one: one[1].place, reverse=True)
        return self.order


class WordIndex:
    """What is said in the recordings of all institutions that are searched here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secret = secrets.token_hex(32)
        self._shelves: dict[InstitutionId, _Shelf] = {}

    async def with_all(
        self, institution: InstitutionId, words: Iterable[str], shown_to: Collection[str], after: Place | None
    ) -> tuple[list[Entry], bool]:
        """The next transcripts that have all of the words, and whether all of them were looked at."""
        shelf = self._shelves.setdefault(institution, _Shelf())
        if shelf.reading is None:
            shelf.reading = asyncio.create_task(self._read(institution, shelf), name="search index")
            shelf.reading.add_done_callback(self._note_failure)
        reading = shelf.reading
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), _WAIT)
        return shelf.with_all(map(self._number, words), shown_to, after, _MOST_LOOKS + 1), reading.done()

    def _note_failure(self, reading: asyncio.Task[None]) -> None:
        """Whoever waits for it is told; nobody may."""
        if not reading.cancelled() and (error := reading.exception()):
            self._context.log.warning("the search index lags behind: %s", type(error).__name__)

    async def close(self) -> None:
        """End all reading."""
        await ended([shelf.reading for shelf in self._shelves.values() if shelf.reading])

    async def forget(self, institution: InstitutionId, contact_id: str) -> None:
        """Leave nothing of a contact."""
        if shelf := self._shelves.get(institution):
            await shelf.remove([entry.id for entry in shelf.entries.values() if entry.contact_id == contact_id])

    async def drop(self, institution: InstitutionId, entry: Entry) -> None:
        """Leave nothing of a transcript that is no longer there."""
        if shelf := self._shelves.get(institution):
            await shelf.remove([entry.id])

    async def _read(self, institution: InstitutionId, shelf: _Shelf) -> None:
        """Read what has changed since it was read last; all of it at first, and where their number is another.

        Fewer, once some were removed; more, where a replica's clock is behind by more than the overlap.
        """
        try:
            transcripts = Transcripts(self._context, institution)
            await self._take_since(transcripts, shelf, shelf.seen_until - _OVERLAP)
            if await transcripts.count_shown() != len(shelf.numbers):
                there = await self._take_since(transcripts, shelf, EARLIEST)
                await shelf.remove(shelf.numbers.keys() - there)
        finally:
            shelf.reading = None

    async def _take_since(self, transcripts: Transcripts, shelf: _Shelf, since: datetime) -> set[str]:
        """Know those that changed since; gives their ids."""
        ids: set[str] = set()
        after = None
        while True:
            page = await transcripts.shown_since(since, after, _A_PAGE)
            for one in page.items:
                await self._take(shelf, one)
                ids.add(one.id)
                shelf.seen_until = max(shelf.seen_until, one.changed_at)
            if (after := page.next) is None:
                return ids

    async def _take(self, shelf: _Shelf, one: Transcript) -> None:
        assert one.words
        entry = Entry(
            one.id,
            one.contact_id,
            one.file,
            one.language,
            one.shown_to,
            ((one.approved_at or one.changed_at).timestamp(), one.id),
            hash(one.words),
        )
        known = shelf.numbers.get(one.id)
        if known is not None and shelf.entries[known].words == entry.words:
            shelf.replace(known, entry)
            return
        await shelf.remove([one.id])
        try:
            text = await self._context.vault.open(one.institution, one.contact_id, one.field("words"), one.words)
        except VaultError:  # it is being erased, or was: it is known, so that nobody looks for it, and has no words
            text = packed("")
        shelf.add(entry, map(self._number, unpacked(text).split()))

    def _number(self, word: str) -> int:
        """SipHash, under a secret that this process has thought of. Two words of the same number are told apart by the
        texts themselves.
        """
        return hash(self._secret + word)


async def keep_index(context: Context) -> None:
    """End the reading with the service."""
    try:
        await asyncio.Event().wait()
    finally:
        await context.own(WordIndex).close()


async def search(
    context: Context, institution: InstitutionId, viewer: Viewer, text: str, *, after: str | None, limit: int
) -> Results:
    """Where it is said, in what this viewer may watch and read now, the last approved first. Raises CannotTell while
    the gate is shut, and NoSuchPlace.
    """
    await gate_of(context).be_sure()
    words = sorted(words_of(text), key=len, reverse=True)[:MOST_WORDS]
    if not words:
        return Results([], None, complete=True)
    index = context.own(WordIndex)
    audiences = await audiences_of(context, institution, viewer)
    entries, complete = await index.with_all(institution, words, audiences, _place_of(after) if after else None)
    found: list[Found] = []
    last: Entry | None = None
    for entry in entries[:_MOST_LOOKS]:
        last = entry
        if one := await _found(context, index, institution, entry, viewer, words):
            found.append(one)
        if len(found) == limit:
            break
    if last is None or last is entries[-1]:
        return Results(found, None, complete)
    at, id_ = last.place
    return Results(found, f"{at!r}~{id_}", complete)


def _place_of(after: str) -> Place:
    """Raises NoSuchPlace."""
    at, _, id_ = after.partition("~")
    try:
        return float(at), id_
    except ValueError:
        raise NoSuchPlace from None


async def _found(
    context: Context, index: WordIndex, institution: InstitutionId, entry: Entry, viewer: Viewer, words: list[str]
) -> Found | None:
    try:
        written = await read_by_viewer(context, institution, entry.contact_id, entry.language, viewer)
    except (CannotTell, NotOpen):
        if await Transcripts(context, institution).get(entry.file, entry.language) is None:
            await index.drop(institution, entry)
        return None
    if written.transcript.file != entry.file:
        return None
    lines = written.lines.cues(lines_with(written.lines.said, words, LINES_SHOWN))
    shown = [FoundLine(cue, list(marked(cue.text, words))) for cue in lines]
    return Found(written.recording, entry.language, shown) if shown else None


__all__ = ["Found", "FoundLine", "Results", "WordIndex", "keep_index", "search"]
