"""The navigation of the staff pages: what each service brings to it in its `menu.py`, and who sees which entry."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firsthand.shared.sessions import Staff

TEAM: Final = frozenset({"tutor", "coordinator"})
COORDINATOR: Final = frozenset({"coordinator"})
OPERATOR: Final = frozenset({"operator"})
STUDENT: Final = frozenset({"student"})


@dataclass(frozen=True)
class Section:
    """One entry. Every service shows all of them, so each says where its words are translated."""

    place: int  # entries of all services stand in this order
    key: str  # what a page sets as `nav_current`
    url: str
    text: str
    roles: frozenset[str]
    catalogues: Path


def sections(menu: Iterable[Section], staff: Staff | None) -> tuple[Section, ...]:
    """Give the entries that a signed-in person may open, in their order."""
    seen = (section for section in menu if staff is not None and section.roles & staff.roles)
    return tuple(sorted(seen, key=lambda section: section.place))
