"""The names of places whose clocks we show."""

from collections.abc import Mapping
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location

# Where readers write a city otherwise than CLDR does.
_AS_READ: Final[Mapping[tuple[str, str], str]] = {("ar", "America/Phoenix"): "فينيكس"}


# What the files of a system name beside the zones: its own clock, and none.
_NO_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})


def is_zone(name: str) -> bool:
    """Tell whether this is an IANA time zone's name, which means the same on every machine."""
    return name in _zones()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_ZONES)


def city(zone: str, locale: Locale) -> str:
    """Name the city of a time zone (IANA name) in a language."""
    if known := _AS_READ.get((locale.language, zone)):
        return known
    for name in (zone, *_former_names().get(zone, ())):
        if translated := locale.time_zones.get(name, {}).get("city"):
            return str(translated)
    return str(get_timezone_location(ZoneInfo(zone), locale=locale, return_city=True)).rpartition("/")[2]


def territory(zone: str) -> str:
    """Tell in which territory (ISO 3166) a time zone's city is; empty for a zone without one."""
    return str(get_global("zone_territories").get(zone, ""))


@cache
def _former_names() -> dict[str, list[str]]:
    """CLDR translates some cities under the name that their zone had before, e.g. `Asia/Calcutta`."""
    former: dict[str, list[str]] = {}
    for old, new in get_global("zone_aliases").items():
        former.setdefault(new, []).append(old)
    return former


__all__ = ["city", "is_zone", "territory"]
