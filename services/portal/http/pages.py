"""The portal's pages: templates in `services/portal/pages`, catalogues in `services/portal/locale`."""

from pathlib import Path
from typing import Final

from firsthand.shared.web.pages import Pages

pages: Final = Pages("portal", Path(__file__).parents[1])
