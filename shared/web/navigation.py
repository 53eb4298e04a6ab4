"""The sections of the staff pages, and who sees which."""

from dataclasses import dataclass
from typing import Final

from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_

_TEAM: Final = frozenset({"tutor", "coordinator"})
_COORDINATOR: Final = frozenset({"coordinator"})


@dataclass(frozen=True)
class Section:
    """One entry of the navigation. `key` is what a page sets as `nav_current`."""

    key: str
    url: str
    text: str
    roles: frozenset[str]


_SECTIONS: Final = (
    Section("today", "/portal/today", N_("Today"), _TEAM),
    Section("journeys", "/portal/journeys", N_("Journeys"), _TEAM),
    Section("cases", "/discovery/cases", N_("Cases"), _TEAM),
    Section("leads", "/discovery/leads", N_("Leads"), _TEAM),
    Section("invitations", "/consent/invitations", N_("Invitations"), _TEAM),
    Section("meetings", "/scheduling/meetings", N_("Meetings"), _TEAM),
    Section("recordings", "/archive/recordings", N_("Recordings"), _TEAM | {"student"}),
    Section("suggest", "/discovery/nominate", N_("Suggest a person"), frozenset({"student"})),
    Section("people", "/portal/people", N_("People"), _COORDINATOR),
    Section("institution", "/portal/institution", N_("Institution"), _COORDINATOR),
)


def sections(staff: Staff | None) -> tuple[Section, ...]:
    """Give the sections that a signed-in person may open, in the order of the chain."""
    return tuple(section for section in _SECTIONS if staff is not None and section.roles & staff.roles)


__all__ = ["Section", "sections"]
