"""Archive's pages: templates in `services/archive/pages`, catalogues in `services/archive/locale`."""

from pathlib import Path
from typing import Final

from firsthand.shared.web.pages import Pages

pages: Final = Pages("archive", Path(__file__).parents[1])
