"""What happened on a journey, in plain words and in order, from its state and its records."""

from collections.abc import Sequence
from typing import Any, Final

from firsthand.services.consent.http.words import ACTS, CHOSE_END, SCOPES
from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import Record
from firsthand.services.consent.model.scopes import widest
from firsthand.shared.texts import N_
from firsthand.shared.web.languages import Language

_TONES: Final = {"granted": "good", "released": "good", "declined": "off", "withdrawn": "stop", "paused": "wait"}


def history_of(journey: Journey, records: Sequence[Record], language: Language) -> list[dict[str, Any]]:
    """Entries as the timeline of the pages takes them: title, at, by, text, points, tone."""
    entries = [*_invitation(journey, language), *_records(records, language), *_others(journey, language)]
    return sorted(entries, key=lambda entry: entry["at"])


def _invitation(journey: Journey, language: Language) -> list[dict[str, Any]]:
    told, say = journey.invitation, language.gettext
    dated = (
        (told.sent_at, N_("We sent you a first message"), "go"),
        (told.reminded_at, N_("We sent you a reminder"), "go"),
        (told.answered_at, N_("You answered"), "go"),
        (journey.link_made_at, N_("Your personal link was created"), "go"),
    )
    return [{"title": say(title), "at": at, "tone": tone} for at, title, tone in dated if at]


def _records(records: Sequence[Record], language: Language) -> list[dict[str, Any]]:
    say = language.gettext
    entries = []
    for record in records:
        by = ""
        if record.actor == "system":
            by = say(N_("automatically, because your permission ended"))
        elif record.actor != "family":
            by = say(N_("recorded by our team, as you told us"))
        told = record.act in {"granted", "changed"} and record.until is None
        entries.append(
            {
                "title": say(CHOSE_END if record.until else ACTS[record.act]),
                "at": record.at,
                "by": by,
                "text": say(N_("You agreed to:")) if told else language.date(record.until) if record.until else "",
                "points": [say(SCOPES[scope]) for scope in widest(record.scopes)] if told else [],
                "tone": _TONES.get(record.act, "go"),
            }
        )
    return entries


def _others(journey: Journey, language: Language) -> list[dict[str, Any]]:
    say = language.gettext
    entries: list[dict[str, Any]] = []
    if journey.recording and journey.recording.held_at:
        entries.append({"title": say(N_("Your recording arrived")), "at": journey.recording.held_at, "tone": "go"})
    entries += [
        {"title": say(N_("Some of your information was deleted")), "at": answer.at, "tone": "stop"}
        for answer in journey.answers.values()
    ]
    return entries
