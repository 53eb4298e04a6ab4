"""The names of places whose clocks we show."""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import get_timezone_location

# Where readers write a city otherwise than CLDR does.
_AS_READ: Final[Mapping[tuple[str, str], str]] = {("ar", "America/Phoenix"): "فينيكس"}


def city(zone: str, locale: Locale) -> str:
    """Name the city of a time zone (IANA name) in a language."""
    known = _AS_READ.get((locale.language, zone))
    return known or str(get_timezone_location(ZoneInfo(zone), locale=locale, return_city=True))


__all__ = ["city"]
