"""The words of archive's pages and problems, by the codes of its model."""

from collections.abc import Collection, Mapping
from typing import Final

from firsthand.services.archive.model import Extra
from firsthand.shared.events.contact import Scope
from firsthand.shared.texts import N_

CANNOT_TELL_TITLE: Final = N_("We cannot check the family's permission right now")
CANNOT_TELL: Final = N_("The family has not changed anything. Try again in a moment.")
NOT_OPEN_TITLE: Final = N_("This recording is not available")
# The same whatever the reason, also where there is no such recording.
NOT_OPEN: Final = N_("Families decide who can watch, and can change it at any time.")

AUDIENCES: Final[Mapping[Scope, str]] = {
    "share-cohort": N_("Our group of students and their teachers"),
    "share-institution": N_("All students and teachers of the institution"),
    "share-partners": N_("Students and teachers of partner universities"),
    "share-public": N_("Anyone"),
}

# What of a file does not go into the viewing copy. "We left out: ..."
LEFT_OUT: Final[Mapping[Extra, str]] = {
    "words": N_("titles, names and notes"),
    "place": N_("the place where it was recorded"),
    "chapters": N_("chapter marks"),
    "subtitles": N_("subtitles"),
    "attachments": N_("attached files"),
    "data": N_("other data"),
    "cover": N_("a cover picture"),
    "pictures": N_("pictures that were not chosen"),
    "sounds": N_("sound that was not chosen"),
}


def widest(audience: Collection[Scope]) -> list[Scope]:
    """Leave out an audience that another one includes: who reads both takes them for two groups."""
    if "share-public" in audience:
        return ["share-public"]
    return [scope for scope in audience if scope != "share-cohort" or "share-institution" not in audience]
