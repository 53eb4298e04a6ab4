"""Webhooks' entries of the staff navigation."""

from pathlib import Path
from typing import Final

from firsthand.shared.texts import N_
from firsthand.shared.web.navigation import COORDINATOR, OPERATOR, Section

_CATALOGUES: Final = Path(__file__).parent / "locale"

MENU: Final = (
    Section(95, "webhooks", "/webhooks/endpoints", N_("Webhooks"), COORDINATOR, _CATALOGUES),
    Section(
        96, "deployment-webhooks", "/webhooks/deployment/endpoints", N_("Webhooks for operators"), OPERATOR, _CATALOGUES
    ),
)
