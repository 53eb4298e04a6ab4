"""Consent's entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import TEAM, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (Section(50, "invitations", "/consent/invitations", N_("Invitations"), TEAM, _CATALOGUES),)
