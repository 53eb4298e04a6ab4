"""Discovery's entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import STUDENT, TEAM, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (
    Section(30, "cases", "/discovery/cases", N_("Cases"), TEAM, _CATALOGUES),
    Section(40, "leads", "/discovery/leads", N_("Leads"), TEAM, _CATALOGUES),
    Section(80, "suggest", "/discovery/nominate", N_("Suggest a person"), STUDENT, _CATALOGUES),
)
