"""`firsthand import posts`: a file of posts goes into a case over HTTP, a bounded batch at a time."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from firsthand.services.discovery.posts import FORMATS, Entries, Entry, Format, Unreadable, entries_of, recognise

_PIECE: Final = 64 * 1024  # bytes read from the file at once
_BATCH: Final = 1000  # entries sent in one request
_BATCH_BYTES: Final = 4 * 1024 * 1024  # and so many bytes at most
_HEAD: Final = 8192
_SHOWN: Final = 20  # unreadable entries printed; the rest are counted
_BUSY: Final = httpx.codes.TOO_MANY_REQUESTS
_LONGEST_WAIT: Final = 60  # seconds, whatever is asked for
_TIMEOUT: Final = 120.0  # seconds that one batch may take
# How a batch of entries is written again as the platform writes them.
_AROUND: Final[dict[Format, tuple[bytes, bytes, bytes]]] = {
    "bluesky": (b'{"posts":[', b",", b"]}"),
    "mastodon": (b"[", b",", b"]"),
    "instagram": (b'{"data":[', b",", b"]}"),
    "jetstream": (b"", b"\n", b"\n"),
}


class ImportRefused(Exception):  # noqa: N818 - the field's word
    """The import cannot be done, or not to its end; the message is one line that says why and what to do."""


@dataclass
class Totals:
    """What became of all batches. Unreadable entries carry their numbers in the whole file."""

    counts: Counter[str] = field(default_factory=Counter)
    ignored_because: Counter[str] = field(default_factory=Counter)
    problems: list[Unreadable] = field(default_factory=list)

    def add(self, report: dict[str, Any], numbers: list[int]) -> None:
        for what in ("imported", "merged", "ignored", "removed", "changed", "lapsed", "unreadable"):
            self.counts[what] += report[what]
        self.ignored_because.update(report["ignored_because"])
        for problem in report["problems"]:
            self.problems.append(Unreadable(numbers[problem["entry"] - 1], problem["reason"]))

    def unreadable(self, entry: Unreadable) -> None:
        self.counts["unreadable"] += 1
        self.problems.append(entry)


def import_posts(file: Path, case: str, url: str, token: str, format: str | None = None) -> Totals:  # noqa: A002
    """Send a file's posts to a running system, with a progress bar, and print what became of them.

    `format` None: told by the content. Raises ImportRefused. What was sent before stays in; the same file again merges.
    """
    console = Console(stderr=True, highlight=False)
    try:
        with file.open("rb") as posts:
            known = _format(posts, file, format)
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT) as http:
                case_id = _case_id(http, case, url)
                totals = _send_all(http, f"/discovery/api/v1/cases/{case_id}/posts", known, posts, console)
    except OSError as error:
        raise ImportRefused(f"{file} cannot be read: {error.strerror or error}.") from error
    except httpx.TransportError as error:
        raise ImportRefused(f"Nobody answers at {url}: {error}. Is Firsthand running there?") from error
    _print(totals, known, console)
    return totals


def _format(posts: BinaryIO, file: Path, said: str | None) -> Format:
    known: Format | None = next((one for one in FORMATS if one == said), None)
    if said and known is None:
        raise ImportRefused(f"{said} is not a format. It is one of {', '.join(FORMATS)}.")
    found = recognise(posts.read(_HEAD))
    posts.seek(0)
    if known == "jetstream" and found is None:
        return known
    if found is None or (known and known != found):
        seems = f"; it looks like {found}" if found else ""
        raise ImportRefused(f"{file} is not an answer of {known or 'a known platform'}{seems}.")
    return found


def _case_id(http: httpx.Client, case: str, url: str) -> str:
    cases: dict[str, str] = {}
    after: str | None = None
    while True:
        answer = http.get("/discovery/api/v1/cases", params={"after": after} if after else {})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ImportRefused("The token was not accepted. Make a new one with: firsthand token create.")
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise ImportRefused("The token may not import posts. It needs a tutor's, coordinator's or machine's role.")
        if not answer.is_success:
            raise ImportRefused(f"{url} answered {answer.status_code}. Is it the address of Firsthand?")
        page = answer.json()
        cases |= {one["prefix"]: str(one["case_id"]) for one in page["items"]}
        if (after := page.get("next")) is None:
            break
    if case.upper() not in cases:
        there = f"There are {', '.join(sorted(cases))}." if cases else "There is none yet."
        raise ImportRefused(f"There is no case {case}. {there}")
    return cases[case.upper()]


def _send_all(http: httpx.Client, path: str, known: Format, posts: BinaryIO, console: Console) -> Totals:
    totals = Totals()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        size = posts.seek(0, 2)
        posts.seek(0)
        task = progress.add_task("0 posts", total=size)
        for batch in _batches(known, posts, totals):
            content = _written(known, batch)
            while (answer := http.post(path, params={"format": known}, content=content)).status_code == _BUSY:
                wait = _wait_of(answer)
                progress.update(task, description=f"{totals.counts['imported']} posts; busy, goes on in {wait} s")
                time.sleep(wait)
            if not answer.is_success:
                raise ImportRefused(_said(answer))
            totals.add(answer.json(), [entry.number for entry in batch])
            progress.update(task, completed=posts.tell(), description=f"{totals.counts['imported']} posts")
        progress.update(task, completed=size, description=f"{totals.counts['imported']} posts")
    totals.problems.sort(key=lambda problem: problem.number)
    return totals


def _wait_of(answer: httpx.Response) -> int:
    """Read for how many seconds a busy system wants to be left alone."""
    told = answer.headers.get("Retry-After", "")
    return min(max(int(told), 1), _LONGEST_WAIT) if told.isdecimal() else 1


def _batches(known: Format, posts: BinaryIO, totals: Totals) -> Iterator[list[Entry]]:
    """Split the file into batches of bounded size; count entries that are not entries at all."""
    batch: list[Entry] = []
    started = 0
    for entry in _entries(entries_of(known), posts):
        if isinstance(entry, Unreadable):
            totals.unreadable(entry)
            continue
        batch.append(entry)
        if len(batch) >= _BATCH or posts.tell() - started >= _BATCH_BYTES:
            yield batch
            batch, started = [], posts.tell()
    if batch:
        yield batch


def _entries(entries: Entries, posts: BinaryIO) -> Iterator[Entry | Unreadable]:
    while piece := posts.read(_PIECE):
        yield from entries.feed(piece)
    yield from entries.finish()


def _written(known: Format, batch: list[Entry]) -> bytes:
    before, between, after = _AROUND[known]
    return before + between.join(json.dumps(entry.raw, separators=(",", ":")).encode() for entry in batch) + after


def _said(answer: httpx.Response) -> str:
    """Return the reason of a refusal, in the system's words."""
    try:
        problem = answer.json()
        return f"{problem['title']}. {problem.get('detail', '')}".strip()
    except (ValueError, KeyError):
        return f"The system answered {answer.status_code}. What was sent before stays in; try again."


def _print(totals: Totals, known: Format, console: Console) -> None:
    counts = totals.counts
    if not any(counts[what] for what in ("imported", "merged", "ignored", "removed")):
        console.print(f"[yellow]Nothing could be read. The file looks like an answer from {known}.[/]")
    console.print(f"{counts['imported']} posts from {known} imported, {counts['merged']} were there already.")
    if counts["changed"]:
        console.print(f"{counts['changed']} of these were updated.")
    if counts["lapsed"]:
        console.print(f"{counts['lapsed']} leads are no longer available and were closed.")
    if counts["removed"]:
        console.print(f"{counts['removed']} were deleted by their authors and let go.")
    if counts["ignored"]:
        reasons = ", ".join(f"{many} {because}" for because, many in totals.ignored_because.most_common())
        console.print(f"{counts['ignored']} left out: {reasons}.")
    if counts["unreadable"]:
        console.print(f"[yellow]{counts['unreadable']} unreadable:[/]")
    for problem in totals.problems[:_SHOWN]:
        console.print(f"  entry {problem.number}: {problem.reason}")
    if counts["unreadable"] > _SHOWN:
        console.print(f"  and {counts['unreadable'] - min(_SHOWN, len(totals.problems))} more")


__all__ = ["ImportRefused", "Totals", "import_posts"]
