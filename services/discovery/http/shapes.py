"""What the forms of the case pages send, and what is said of a field that is not right."""

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData

from services.discovery.model.cases import CaseDetails
from shared.texts import N_
from shared.web.languages import NAMES

_SEPARATORS: Final = re.compile(r"[\s,،;]+")

WRONG: Final[Mapping[str, str]] = {
    "prefix": N_("Two to six letters from A to Z, e.g. CLP"),
    "title": N_("Write a title of at most 120 characters"),
    "condition": N_("Give the condition's plain name in each language that you chose"),
    "hashtags": N_("Write at least one; a hashtag has letters, digits and underscores only"),
    "languages": N_("Choose at least one language"),
    "cohorts": N_("Choose from the list"),
    "tutors": N_("Choose from the list"),
    "safeguarding_contact": N_("Choose from the list"),
    "number": N_("Write the approval's number"),
    "expires_at": N_("Choose the day on which the approval ends"),
}


def case_fields(form: FormData) -> dict[str, Any]:
    """Read the form of a case into the fields of a draft or a change, not yet checked."""
    names = {code: text for code in NAMES if (text := _text(form, f"condition_{code}"))}
    return {
        "title": _text(form, "title"),
        "condition": names,
        "hashtags": _list(form, "hashtags"),
        "languages": [str(code) for code in form.getlist("languages")],
        "cohorts": _list(form, "cohorts"),
        "tutors": _list(form, "tutors"),
        "safeguarding_contact": _text(form, "safeguarding_contact"),
    }


def filled(details: CaseDetails, prefix: str = "") -> dict[str, Any]:
    """Give what a case's form shows."""
    return {"prefix": prefix, **details.model_dump()}


def day_ends(day: str, zone: str) -> datetime:
    """Give the end of a day (ISO date) in a zone: the first moment of the next. ValueError if it is no date."""
    start = datetime.combine(datetime.strptime(day, "%Y-%m-%d").date(), time(), ZoneInfo(zone))  # noqa: DTZ007 - a date
    return start + timedelta(days=1)


def what_is_wrong(faults: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name each field that is not right once, with what it should be."""
    fields = dict.fromkeys(place.partition(".")[0] or "condition" for place in faults)
    return [(field, WRONG.get(field, N_("This is not right"))) for field in fields]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _list(form: FormData, name: str) -> list[str]:
    """Read several values, or one with spaces, commas or lines between."""
    texts = [value for value in form.getlist(name) if isinstance(value, str)]
    return [part for text in texts for part in _SEPARATORS.split(text) if part]


__all__ = ["WRONG", "case_fields", "day_ends", "filled", "what_is_wrong"]
