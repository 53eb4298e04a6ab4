"""Consent's pages: templates in `services/consent/pages`, catalogues in `services/consent/locale`."""

from pathlib import Path
from typing import Final

from firsthand.shared.web.pages import Pages

pages: Final = Pages("consent", Path(__file__).parents[1])
