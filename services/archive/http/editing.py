"""What the pages on which a recording is changed have in common: for its family, and for the tutor on its behalf."""

import json
from typing import Annotated, Any, Literal

from fastapi import Form
from pydantic import BaseModel

from firsthand.services.archive.handlers.versions import propose_edits
from firsthand.services.archive.model import Edit, Recording
from firsthand.services.archive.model.edits import clock_of, place_of, removed
from firsthand.services.archive.model.refusals import not_edited
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.inputs import Note, Word
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context


class Typed(BaseModel):
    """A change as somebody typed it; kept when it is refused."""

    kind: Literal["", "cut", "silence", "no-picture"] = ""
    start: Word = ""
    end: Word = ""


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


def shown(one: Recording, typed: Typed | None = None) -> dict[str, Any]:
    """What the templates of `_edits.html` are given."""
    return {
        "clock": clock_of,
        "length": clock_of(round(1000 * one.media.duration_seconds)) if one.media else "",
        "shorter": removed(one.draft) / 1000,
        "draft_json": json.dumps([edit.model_dump() for edit in one.draft]),
        "typed": typed or Typed(),
    }


async def add(context: Context, institution: InstitutionId, contact_id: str, typed: Typed) -> None:
    """Add a change to those that are kept. Raises Refused."""
    if not typed.kind:
        raise not_edited("no-edits")
    edit = Edit(kind=typed.kind, start=place_of(typed.start), end=place_of(typed.end))
    await propose_edits(context, institution, contact_id, [edit], more=True)


async def remove(context: Context, institution: InstitutionId, contact_id: str, one: Recording, number: int) -> None:
    """Take a change back. Raises Refused."""
    kept = [edit for place, edit in enumerate(one.draft) if place != number]
    await propose_edits(context, institution, contact_id, kept)


__all__ = ["Refused", "Typed", "TypedEdit", "TypedWish", "add", "is_editable", "remove", "shown"]
