"""The portal's entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import COORDINATOR, TEAM, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (
    Section(10, "today", "/portal/today", N_("Today"), TEAM, _CATALOGUES),
    Section(20, "journeys", "/portal/journeys", N_("Journeys"), TEAM, _CATALOGUES),
    Section(90, "people", "/portal/people", N_("People"), COORDINATOR, _CATALOGUES),
    Section(100, "institution", "/portal/institution", N_("Institution"), COORDINATOR, _CATALOGUES),
)
