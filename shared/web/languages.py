"""Languages: which one a visitor reads, its catalogue, and how it writes dates, times, durations and places."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal
from unicodedata import bidirectional
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from babel import Locale, dates, lists, numbers, units
from babel.core import UnknownLocaleError, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthand.shared.places import city
from firsthand.shared.web.accept import accepted

COOKIE: Final = "fh_lang"
DEFAULT: Final = "en"
_SHELL: Final = Path(__file__).parent


def _named(code: str) -> str:
    """Name a language in itself, as it stands at the beginning of a line."""
    name = str(Locale.parse(code).display_name)
    return name[:1].upper() + name[1:]


# The texts are written in English; a catalogue in `locale/` brings another language, and nothing else is needed.
NAMES: Final[Mapping[str, str]] = {
    code: _named(code) for code in (DEFAULT, *sorted(path.stem for path in (_SHELL / "locale").glob("*.po")))
}
# Where CLDR differs from what our readers write: Spanish is that of Latin America; an Arabic date names its month and
# has no comma after the weekday.
_REGIONS: Final[Mapping[str, str]] = {"es": "es_419"}
# English dates are American unless the reader is where they are written otherwise.
_ENGLISH: Final = frozenset({"AU", "GB", "IE", "IN", "NZ", "ZA"})
_DATES: Final[Mapping[tuple[str, str], str]] = {("ar", "full"): "EEEE d MMMM y", ("ar", "medium"): "d MMMM y"}
_A_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True)
class Language:
    """One language of the pages. `translations` holds the shell's catalogue merged with one service's."""

    code: str
    translations: NullTranslations = field(repr=False, compare=False)
    territory: str = ""  # where its English is read (ISO 3166), if dates are written otherwise there

    @property
    def name(self) -> str:
        return NAMES[self.code]

    @property
    def direction(self) -> Literal["ltr", "rtl"]:
        return "rtl" if self.locale.text_direction == "rtl" else "ltr"

    @property
    def locale(self) -> Locale:
        return _locale(self.code, self.territory)

    def read_in(self, territory: str) -> "Language":
        """Write dates and times as they are written in a territory."""
        return replace(self, territory=territory) if self.code == DEFAULT and territory in _ENGLISH else self

    def gettext(self, message: str, **values: object) -> str:
        """Translate, then fill `%(name)s` places."""
        text: str = self.translations.ugettext(message) if message else ""
        return text % self.isolated(values) if values else text

    def ngettext(self, singular: str, plural: str, n: int, **values: object) -> str:
        """Translate with the right plural form for `n` (Arabic has six)."""
        text: str = self.translations.ungettext(singular, plural, n)
        return str(text % {"num": n, **self.isolated(values)})

    def isolated(self, values: Mapping[str, object]) -> dict[str, object]:
        """Keep what runs the other way in one piece inside a text from right to left (Unicode UAX 9): names of
        institutions, addresses, references.
        """
        if self.direction == "ltr":
            return dict(values)
        return {key: _isolated(value) if isinstance(value, str) else value for key, value in values.items()}

    def series(self, texts: Iterable[str]) -> str:
        """Write texts one after the other, where each may hold commas of its own."""
        return ("\N{ARABIC SEMICOLON} " if self.direction == "rtl" else "; ").join(texts)

    def date(self, day: date, width: Literal["full", "long", "medium", "short"] = "full") -> str:
        """Write a day, by default with its weekday."""
        return dates.format_date(day, _DATES.get((self.code, width), width), locale=self.locale)

    def time(self, at: datetime | time, zone: str = "UTC") -> str:
        """Write hours and minutes as the clock on the wall in `zone` (IANA name) shows them.

        Twelve o'clock is midnight or noon, in words, and an hour that the clock shows twice says which of the two.
        """
        short = dates.format_time(at, "short", tzinfo=ZoneInfo(zone), locale=self.locale)
        if isinstance(at, time):
            return short
        local = at.astimezone(ZoneInfo(zone))
        return self._which(self._twelve(local) or short, local)

    def when(self, at: datetime, zone: str = "UTC") -> str:
        """Write weekday, day and time in `zone` (IANA name), without the zone's name (see `place`)."""
        local = at.astimezone(ZoneInfo(zone))
        # Spanish says one o'clock otherwise than the other hours: "a la 1:05", "a las 2:05".
        return self.ngettext(
            "%(date)s at %(time)s",
            "%(date)s at %(time)s",
            local.hour % 12 or 12,
            date=self.date(local.date()),
            time=self._time_in_words(at, local, zone),
        )

    def _time_in_words(self, at: datetime, local: datetime, zone: str) -> str:
        if self.code != "ar" or self._twelve(local):
            return self.time(at, zone)
        # In a sentence the half of the day is a word; the letter that CLDR writes is for tables.
        halves = dates.get_period_names("wide", "stand-alone", self.locale)
        hours = f"{dates.format_time(local, 'h:mm', locale=self.locale)} {halves['am' if local.hour < 12 else 'pm']}"  # noqa: PLR2004
        return self._which(hours, local)

    def _twelve(self, local: datetime) -> str:
        """Write the hours that a clock of twelve hours calls 12, which nobody reads alike; empty for all others."""
        if local.hour % 12 or "H" in self.locale.time_formats["short"].pattern:
            return ""
        clock = dates.format_time(local, "h:mm", locale=self.locale)
        if local.hour:
            return self.gettext("12 noon") if not local.minute else self.gettext("%(time)s\u202fPM", time=clock)
        if local.minute:
            return self.gettext("%(time)s after midnight", time=clock)
        return self.gettext("12 midnight, as the day begins")

    def _which(self, clock: str, local: datetime) -> str:
        """Say which of the two it is where the clocks go back and show an hour again."""
        if local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset():
            return clock
        if local.fold:
            return self.gettext("%(time)s, after the clocks go back", time=clock)
        return self.gettext("%(time)s, before the clocks go back", time=clock)

    def place(self, zone: str) -> str:
        """Name a zone by its place, e.g. `Phoenix time`: plainer than an abbreviation or an offset."""
        if zone in {"UTC", "Etc/UTC"}:
            return self.gettext("universal time")
        return self.gettext("%(city)s time", city=city(zone, self.locale))

    def duration(self, length: timedelta | float) -> str:
        """Write a length (timedelta or seconds) in hours and minutes; under a minute in seconds."""
        seconds = round(length.total_seconds() if isinstance(length, timedelta) else length)
        minutes, hours = round(seconds / 60) % 60, round(seconds / 60) // 60
        parts = [(hours, "hour"), (minutes, "minute")] if seconds >= 60 else [(seconds, "second")]  # noqa: PLR2004
        words = [units.format_unit(n, unit, length="long", locale=self.locale) for n, unit in parts if n]
        return lists.format_list(words, style="standard", locale=self.locale) if words else self.gettext("0 minutes")

    def ago(self, at: datetime, now: datetime) -> str:
        """Write how long ago, or in how long."""
        return str(dates.format_timedelta(at - now, add_direction=True, locale=self.locale))

    def number(self, value: float) -> str:
        return str(numbers.format_decimal(value, locale=self.locale))

    def tongue(self, code: str) -> str:
        """Name another language (BCP 47) in this one; one that nobody knows is named by its code."""
        try:
            return str(Locale.parse(code, sep="-").get_display_name(self.locale) or code)
        except (UnknownLocaleError, ValueError):
            return str(self.locale.languages.get(code, code))


@cache
def _locale(code: str, territory: str) -> Locale:
    """Give the locale, of which a page asks thousands of times."""
    return Locale(code, territory=territory) if territory else Locale.parse(_REGIONS.get(code, code))


def _isolated(value: str) -> str:
    if not any(bidirectional(letter) == "L" for letter in value):
        return value
    return "\N{FIRST STRONG ISOLATE}" + value + "\N{POP DIRECTIONAL ISOLATE}"


@cache
def language(code: str, *folders: Path) -> Language:
    """Load a language: the shell's catalogue, then those of `folders` (each `<folder>/<code>.po`). Unknown: English."""
    if code not in NAMES:
        code = DEFAULT
    translations: NullTranslations = NullTranslations()
    for folder in (_SHELL / "locale", *folders):
        path = folder / f"{code}.po"
        if not path.is_file():
            continue
        loaded = _load(path)
        if isinstance(translations, Translations):
            translations.merge(loaded)  # type: ignore[no-untyped-call]
        else:
            translations = loaded
    return Language(code, translations)


def _load(path: Path) -> Translations:
    with path.open("rb") as file:
        catalogue = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def language_of(request: Request) -> str:
    """Tell the code of the language to answer in: the visitor's choice, else the family's own, else the browser's."""
    chosen: str | None = getattr(request.state, "language_chosen", None)
    family = getattr(request.state, "family", None)
    if chosen is None and family is not None:
        spoken: str = family.language.split("-")[0]
        if spoken in NAMES:
            return spoken
    return chosen or str(getattr(request.state, "language", DEFAULT))


def territory_of(request: Request) -> str:
    """Tell where the visitor's English is read: the territory of the first English that the browser asks for."""
    tags = (tag.split("-") for tag in accepted(request.headers.get("accept-language", "")))
    return next((parts[1].upper() for parts in tags if parts[0] == DEFAULT and len(parts) > 1), "")


def negotiate(accept_language: str) -> str:
    """Pick a language of ours from an Accept-Language header."""
    wanted = accepted(accept_language)
    # `*` stands for any that is not named otherwise: then ours, in our order.
    others = [code for code in NAMES if code not in wanted] if wanted.get("*") else []
    tags = [tag for tag, weight in wanted.items() if weight and tag != "*"]
    return negotiate_locale([*tags, *others], list(NAMES), sep="-") or DEFAULT


class LanguageMiddleware:
    """Puts the visitor's language into `request.state` and keeps a choice made with `?lang=` in a cookie."""

    def __init__(self, app: ASGIApp, *, secure: bool = False) -> None:
        self._app = app
        self._name, self._secure = (f"__Host-{COOKIE}", "; Secure") if secure else (COOKIE, "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = (parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang") or [""])[-1]
        kept = Request(scope).cookies.get(self._name, "")
        chosen = next((code for code in (asked, kept) if code in NAMES), None)
        state = scope.setdefault("state", {})
        state["language_chosen"] = chosen
        state["language"] = chosen or negotiate(headers.get("accept-language", ""))

        async def send_with_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                if answer.get("content-type", "").startswith(("text/html", "application/problem+json")):
                    answer.add_vary_header("Accept-Language")
                    answer.add_vary_header("Cookie")
                if asked in NAMES and asked != kept:
                    answer.append(
                        "set-cookie",
                        f"{self._name}={asked}; Path=/; Max-Age={_A_YEAR}; SameSite=Lax; HttpOnly{self._secure}",
                    )
            await send(message)

        await self._app(scope, receive, send_with_language)


__all__ = ["DEFAULT", "NAMES", "Language", "LanguageMiddleware", "language", "language_of", "negotiate", "territory_of"]
