"""Consent's templates and words."""

from pathlib import Path
from typing import Final

from shared.web.pages import Pages

pages: Final = Pages("consent", Path(__file__).parent.parent)
