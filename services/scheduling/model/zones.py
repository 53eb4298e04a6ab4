"""Time zones with the plain names of their places, to choose from and to search."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_name

from firsthand.shared.places import city, is_zone
from firsthand.shared.texts import normalized

# Places that people look for and that stand under another one's name, as families would type them.
_ALSO = {
    "America/New_York": "New Jersey Newark Boston Philadelphia Washington Atlanta Miami Florida نيوجيرسي Nueva Jersey",
    "America/Chicago": "Texas Houston Dallas Austin Illinois Minnesota Tennessee تكساس Tejas",
    "America/Denver": "Colorado Utah New Mexico Salt Lake City كولورادو",
    "America/Phoenix": "Arizona Tucson أريزونا فينكس",
    "America/Los_Angeles": "California San Francisco Seattle Washington State Nevada Las Vegas Oregon كاليفورنيا",
    "Asia/Qatar": "Doha Ad-Dawhah الدوحة",
    "Asia/Kolkata": "Mumbai Delhi Chennai Bangalore مومباي دلهي",
    "Asia/Riyadh": "Jeddah Mecca Medina جدة مكة",
    "Asia/Shanghai": "Beijing بكين Pekín",
    "Australia/Sydney": "Canberra New South Wales",
    "Europe/London": "England Scotland Wales Manchester Edinburgh Cardiff إنجلترا Inglaterra",
    "Pacific/Auckland": "Wellington Christchurch",
}

_COMMA = {"ar": "، "}


@dataclass(frozen=True)
class Place:
    """One zone to choose from: its place, and the time there now."""

    zone: str
    name: str  # e.g. `New York, United States`
    clock: datetime  # in the zone


def places(language: str, now: datetime, find: str = "") -> list[Place]:
    """List the zones by city, in a language; with `find`, those whose city, country or name holds its words."""
    wanted = _plain(find).split()
    return [
        Place(zone, name, now.astimezone(ZoneInfo(zone)))
        for zone, name, searched in _named(language)
        if all(word in searched for word in wanted)
    ]


@cache
def _named(language: str) -> list[tuple[str, str, str]]:
    locale = Locale.parse(language)
    found = []
    for zone, territory in get_global("zone_territories").items():
        if territory in {"001", "ZZ"} or not is_zone(zone):  # of no country, such as Etc/GMT+5
            continue
        town = city(zone, locale)
        country = locale.territories.get(territory, "")
        known_as = get_timezone_name(ZoneInfo(zone), "long", zone_variant="generic", locale=locale)
        searched = _plain(f"{town} {country} {known_as} {zone.replace('_', ' ')} {_ALSO.get(zone, '')}")
        name = town if country in {"", town} else f"{town}{_COMMA.get(language, ', ')}{country}"
        found.append((zone, name, searched))
    return sorted(found, key=lambda entry: _plain(entry[1]))


def _plain(text: str) -> str:
    """Fold case, accents and the Arabic letters that people write either way."""
    folded = "".join(c for c in normalized("NFKD", text.casefold()) if not unicodedata.combining(c))
    return folded.translate(str.maketrans("ىة", "يه"))


__all__ = ["Place", "is_zone", "places"]
