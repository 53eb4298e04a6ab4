"""The words of archive's pages and problems, by the codes of its model."""

from collections.abc import Mapping
from typing import Final

from shared.events.contact import Scope
from shared.texts import N_

CANNOT_TELL_TITLE: Final = N_("We cannot check the family's permission right now")
CANNOT_TELL: Final = N_("This is not the family's doing. Try again in a moment.")
NOT_OPEN_TITLE: Final = N_("This recording is not available")
# The same whatever the reason, also where there is no such recording.
NOT_OPEN: Final = N_("Families decide what may be seen, and may change it at any time.")

AUDIENCES: Final[Mapping[Scope, str]] = {
    "share-cohort": N_("The students who learn from this case, and their tutors"),
    "share-institution": N_("Students and teachers of the whole institution"),
    "share-partners": N_("Partner institutions"),
    "share-public": N_("Everybody"),
}
