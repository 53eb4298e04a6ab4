"""What a family, or a tutor on its behalf, wants changed in a recording: stretches that are taken out or silenced.

An edit list is no rendered file. It names stretches of what is shown now, in milliseconds from its beginning.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from firsthand.services.archive.model.refusals import not_edited

MOST_EDITS: Final = 100
_SHORTEST_LEFT: Final = 1000  # milliseconds; less is no recording any more
_PARTS, _DIGITS = 3, 5  # of a place that is typed
_LATEST: Final = 24 * 3600 * 1000

Milliseconds = Annotated[int, Field(ge=0, le=_LATEST)]


class Edit(BaseModel):
    """A stretch, from `start` up to, not including, `end`."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["cut", "silence", "no-picture"]  # the last one is of the whole recording
    start: Milliseconds
    end: Milliseconds


def place_of(text: str) -> int:
    """Read a place in a recording as somebody typed it: `65`, `1:05`, `1:05.5` or `1:02:03`, in the digits of any
    script; milliseconds. Raises Refused.
    """
    whole, _, tenths = text.strip().replace(",", ".").replace("٫", ".").partition(".")
    parts = whole.split(":")
    if not 1 <= len(parts) <= _PARTS or not all(part.isdecimal() and len(part) <= _DIGITS for part in parts):
        raise not_edited("no-place")
    if tenths and not (tenths.isdecimal() and len(tenths) <= _DIGITS):
        raise not_edited("no-place")
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    place = 1000 * seconds + (round(1000 * int(tenths) / 10 ** len(tenths)) if tenths else 0)
    return min(place, _LATEST)


def clock_of(milliseconds: int) -> str:
    """Write a place as a player does: `1:05`, or `1:05.5`."""
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{text}.{rest // 100}" if rest >= 100 else text  # noqa: PLR2004 - a tenth of a second


def checked(edits: Iterable[Edit], duration_seconds: float) -> list[Edit]:
    """Give the edits in order, those that reach beyond the end cut off there. Raises Refused."""
    length = round(duration_seconds * 1000)
    found = [
        Edit(kind=edit.kind, start=0, end=length)
        if edit.kind == "no-picture"
        else edit.model_copy(update={"end": min(edit.end, length)})
        for edit in edits
    ]
    if len(found) > MOST_EDITS:
        raise not_edited("too-many-edits")
    if any(edit.start >= edit.end for edit in found):
        raise not_edited("no-stretch")
    if length - removed(found) < _SHORTEST_LEFT:
        raise not_edited("nothing-left")
    return sorted(set(found), key=lambda edit: (edit.start, edit.end, edit.kind))


def cuts_of(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """What is taken out: stretches in order that do not touch, in milliseconds."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((edit.start, edit.end) for edit in edits if edit.kind == "cut"):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def silences_of(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    return sorted((edit.start, edit.end) for edit in edits if edit.kind == "silence")


def removed(edits: Sequence[Edit]) -> int:
    """By how much it becomes shorter, in milliseconds."""
    return sum(end - start for start, end in cuts_of(edits))


__all__ = ["MOST_EDITS", "Edit", "Milliseconds", "checked", "clock_of", "cuts_of", "place_of", "removed", "silences_of"]
