"""Archive's entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import STUDENT, TEAM, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (Section(70, "recordings", "/archive/recordings", N_("Recordings"), TEAM | STUDENT, _CATALOGUES),)
