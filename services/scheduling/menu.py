"""Scheduling's entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import TEAM, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (Section(60, "meetings", "/scheduling/meetings", N_("Meetings"), TEAM, _CATALOGUES),)
