"""The texts that a new case begins with, and the places in them."""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any, Final

from babel import Locale

from firsthand.services.consent.model.texts import TextBody
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.portal import InstitutionState

_FOLDER: Final = Path(__file__).parents[1] / "texts"
_DAYS_A_MONTH: Final = 365 / 12
_DAYS_IN_TWO_MONTHS: Final = 61
_ROUNDING: Final = 1e-9

_RIGHT_TO_LEFT: Final = frozenset({"ar", "dv", "fa", "he", "ps", "ur", "yi"})

# The places that may stand in a text, in `{braces}`.
PLACES: Final = ("institution", "country", "condition", "audience", "account", "verify", "keep", "reward")


@cache
def languages() -> tuple[str, ...]:
    """The languages that there are texts in, English first."""
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.json")), key=lambda code: (code != "en", code)))


def template(language: str, *, with_reward: bool = False) -> TextBody:
    """The text to begin with, its places not yet filled; English where the language has none."""
    raw = _read(language if language in languages() else "en")
    reward_some = raw.pop("reward_some")
    del raw["lengths"]
    return TextBody.model_validate(raw | ({"reward": reward_some} if with_reward else {}))


def places(institution: InstitutionState, case: CaseState, language: str) -> dict[str, str]:
    """What stands in the places, for a case in a language."""
    short = language.split("-", maxsplit=1)[0]
    condition = case.condition.get(language) or case.condition.get(short) or case.condition.get("en") or case.title
    return {
        "institution": _isolated(institution.name, short),
        "country": _country(institution.country, short),
        "condition": condition,
        "account": _isolated(institution.account or institution.name, short),
        "verify": _isolated(institution.verify_address or institution.website or institution.name, short),
        "keep": length_of(institution.keep_recordings_days, short),
        "reward": _isolated(institution.reward, short),
    }


def length_of(days: int, language: str) -> str:
    """Write a length of time in words, e.g. `24 months` or `شهران`: in days below two months, else in months, rounded
    up. The plural forms stand in the language's file.
    """
    unit, n = ("day", days) if days < _DAYS_IN_TWO_MONTHS else ("month", math.ceil(days / _DAYS_A_MONTH - _ROUNDING))
    code = language if language in languages() else "en"
    forms: dict[str, str] = _read(code)["lengths"][unit]
    return forms.get(Locale.parse(code).plural_form(n), forms["other"]).format(n=n)


def _country(code: str, language: str) -> str:
    """Name a country (ISO 3166) in a language; one that nobody knows keeps its code."""
    spoken = Locale.parse(language if language in languages() else "en")
    return str(spoken.territories.get(code, code))


def _isolated(value: str, language: str) -> str:
    """Keep a handle or a telephone number in one piece inside a text that runs from right to left (Unicode UAX 9)."""
    return f"\u2068{value}\u2069" if value and language in _RIGHT_TO_LEFT else value


def _read(language: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return raw
