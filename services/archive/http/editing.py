"""What the pages on which a recording is changed have in common: for its family, and for the tutor on its behalf."""

import json
from typing import Annotated, Any, Final, Literal

from fastapi import Form
from pydantic import BaseModel, ValidationError

from firsthand.services.archive.handlers.versions import propose_edits
from firsthand.services.archive.model import Edit, Recording
from firsthand.services.archive.model.edits import OF_ALL, Area, Kind, clock_of, place_of, removed
from firsthand.services.archive.model.refusals import not_edited
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import Note, Word
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context

# Of a picture, what can be named without drawing it.
_HALVES: Final = {
    "left": Area(left=0, top=0, width=500, height=1000),
    "right": Area(left=500, top=0, width=500, height=1000),
    "top": Area(left=0, top=0, width=1000, height=500),
    "bottom": Area(left=0, top=500, width=1000, height=500),
}


class Typed(BaseModel):
    """A change as somebody typed it; kept when it is refused."""

    kind: Literal["", Kind] = ""
    start: Word = ""
    end: Word = ""
    part: Literal["", "left", "right", "top", "bottom", "drawn"] = ""  # of the picture; else all of it
    drawn: Word = ""  # left, top, width, height in thousandths

    @property
    def edit(self) -> Edit:
        """Raises Refused."""
        if not self.kind:
            raise not_edited("no-edits")
        of_all = self.kind in OF_ALL
        start, end = (0, 0) if of_all else (place_of(self.start), place_of(self.end))
        return Edit(kind=self.kind, start=start, end=end, area=self._area if self.kind == "blur" else None)

    @property
    def _area(self) -> Area | None:
        if self.part != "drawn":
            return _HALVES.get(self.part)
        sides = self.drawn.split(",")
        if len(sides) != len(Area.model_fields):
            raise not_edited("no-area")
        try:
            return Area.model_validate(dict(zip(Area.model_fields, sides, strict=True)))
        except ValidationError:
            raise not_edited("no-area") from None


TypedEdit = Annotated[Typed, Form()]


class TypedWish(BaseModel):
    """What a family asks for as it typed it; kept when it is refused."""

    place: Word = ""
    text: Note = ""

    @property
    def milliseconds(self) -> int | None:
        """Raises Refused."""
        return place_of(self.place) if self.place else None


def is_editable(one: Recording | None) -> bool:
    """Whether something of it can be changed now, at all."""
    return one is not None and one.media is not None and one.state == "held" and one.consent.state == "granted"


def part_of(edit: Edit) -> str:
    """Name the part of the picture that is blurred: a half, "some" of it, or, where it is all of it, nothing."""
    if edit.area is None:
        return ""
    return next((name for name, area in _HALVES.items() if area == edit.area), "some")


def shown(one: Recording, typed: Typed | None = None) -> dict[str, Any]:
    """What the templates of `_edits.html` are given."""
    return {
        "clock": clock_of,
        "part_of": part_of,
        "of_all": OF_ALL,
        "length": clock_of(round(1000 * one.media.duration_seconds)) if one.media else "",
        "shorter": removed(one.draft) / 1000,
        "draft_json": json.dumps([edit.model_dump() for edit in one.draft]),
        "typed": typed or Typed(),
    }


async def add(context: Context, institution: InstitutionId, contact_id: str, typed: Typed) -> None:
    """Add a change to those that are kept. Raises Refused."""
    await propose_edits(context, institution, contact_id, [typed.edit], more=True)


async def remove(context: Context, institution: InstitutionId, contact_id: str, one: Recording, number: int) -> None:
    """Take a change back. Raises Refused."""
    kept = [edit for place, edit in enumerate(one.draft) if place != number]
    await propose_edits(context, institution, contact_id, kept)


__all__ = ["Refused", "Typed", "TypedEdit", "TypedWish", "add", "is_editable", "remove", "shown"]
