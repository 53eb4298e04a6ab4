"""What a family, or a tutor on its behalf, wants changed in a recording: stretches that are taken out, silenced or
blurred, the picture as a whole, the voices.

An edit list is no rendered file. It names stretches of what is shown now, in milliseconds from its beginning.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from firsthand.services.archive.model.refusals import not_edited

MOST_EDITS: Final = 100
_SHORTEST_LEFT: Final = 1000  # milliseconds; less is no recording any more
_PARTS, _DIGITS = 3, 5  # of a place that is typed
_LATEST: Final = 24 * 3600 * 1000

_WHOLE: Final = 1000  # thousandths

Milliseconds = Annotated[int, Field(ge=0, le=_LATEST)]
Thousandths = Annotated[int, Field(ge=0, le=_WHOLE)]
OfAll = Literal["no-picture", "voice"]  # is of the whole recording
Kind = Literal["cut", "silence", "blur", OfAll]
OF_ALL: Final[tuple[OfAll, ...]] = get_args(OfAll)


class Area(BaseModel):
    """A part of the picture, in thousandths of its width and height."""

    model_config = ConfigDict(frozen=True)

    left: Thousandths
    top: Thousandths
    width: Annotated[Thousandths, Field(gt=0)]
    height: Annotated[Thousandths, Field(gt=0)]

    @model_validator(mode="after")
    def _is_within(self) -> Self:
        if self.left + self.width > _WHOLE or self.top + self.height > _WHOLE:
            raise ValueError("reaches beyond the picture")
        return self


class Edit(BaseModel):
    """A stretch, from `start` up to, not including, `end`; and of a blur, the part of the picture, if not all of it."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    start: Milliseconds
    end: Milliseconds
    area: Area | None = None

    @model_validator(mode="after")
    def _has_an_area_only_of_a_blur(self) -> Self:
        if self.area and self.kind != "blur":
            raise ValueError("only what is blurred has an area")
        return self


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


def checked(edits: Iterable[Edit], duration_seconds: float, *, picture: bool, sound: bool) -> list[Edit]:
    """Give the edits in order, those that reach beyond the end cut off there. `picture`, `sound`: what there is to be
    changed. Raises Refused.
    """
    length = round(duration_seconds * 1000)
    found = [
        Edit(kind=edit.kind, start=0, end=length)
        if edit.kind in OF_ALL
        else edit.model_copy(update={"end": min(edit.end, length)})
        for edit in edits
    ]
    if len(found) > MOST_EDITS:
        raise not_edited("too-many-edits")
    if any(edit.start >= edit.end for edit in found):
        raise not_edited("no-stretch")
    if length - removed(found) < _SHORTEST_LEFT:
        raise not_edited("nothing-left")
    kinds = {edit.kind for edit in found}
    if not picture and not kinds.isdisjoint({"blur", "no-picture"}):
        raise not_edited("no-picture")
    if not sound and not kinds.isdisjoint({"silence", "voice"}):
        raise not_edited("no-sound")
    if not sound and "no-picture" in kinds:
        raise not_edited("nothing-left")
    return sorted(set(found), key=_place)


def _place(edit: Edit) -> tuple[int, int, str, tuple[int, ...]]:
    area = edit.area
    return edit.start, edit.end, edit.kind, (area.left, area.top, area.width, area.height) if area else ()


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


def blurs_of(edits: Sequence[Edit]) -> list[tuple[int, ...]]:
    """From when until when, in milliseconds, and the part of the picture: left, top, width, height in thousandths."""
    whole = Area(left=0, top=0, width=_WHOLE, height=_WHOLE)
    found = [(edit.start, edit.end, edit.area or whole) for edit in edits if edit.kind == "blur"]
    return sorted((start, end, area.left, area.top, area.width, area.height) for start, end, area in found)


def removed(edits: Sequence[Edit]) -> int:
    """By how much it becomes shorter, in milliseconds."""
    return sum(end - start for start, end in cuts_of(edits))


__all__ = [
    "MOST_EDITS",
    "OF_ALL",
    "Area",
    "Edit",
    "Kind",
    "Milliseconds",
    "blurs_of",
    "checked",
    "clock_of",
    "cuts_of",
    "place_of",
    "removed",
    "silences_of",
]
