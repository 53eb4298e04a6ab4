"""The words of archive's pages and problems, by the codes of its model."""

from collections.abc import Mapping
from typing import Final

from services.archive.model import RefusalCode
from shared.events.contact import Scope
from shared.texts import N_

CANNOT_TELL_TITLE: Final = N_("We cannot check the family's permission right now")
CANNOT_TELL: Final = N_("This is not the family's doing. Try again in a moment.")
NOT_OPEN_TITLE: Final = N_("This recording is not available")
# The same whatever the reason, also where there is no such recording.
NOT_OPEN: Final = N_("Families decide what may be seen, and may change it at any time.")

REFUSALS: Final[Mapping[RefusalCode, str]] = {
    "closed": N_(
        "This recording is closed. Nothing can be uploaded for this contact any more. Delete your own copies."
    ),
    "not-expected": N_("No recorded meeting is noted. First close the meeting as held."),
    "released": N_("The family has said yes to exactly this recording. It cannot be replaced."),
    "not-allowed": N_("The family does not allow a recording at this moment. Wait, or ask the family."),
    "expired": N_("The family's permission has ended. Delete your own copies of the recording."),
    "empty": N_("The file is empty. Choose the recording and try again."),
    "too-large": N_("The file is larger than what can be taken in. Make a smaller version and try again."),
    "too-long": N_("More came than was announced, or than can be taken in. Begin the upload again."),
    "not-media": N_(
        "This file is neither a video nor a sound recording that can be played. Choose the recording itself, for "
        "example an MP4 or M4A file. The file was not kept."
    ),
}

AUDIENCES: Final[Mapping[Scope, str]] = {
    "share-cohort": N_("The students who learn from this case, and their tutors"),
    "share-institution": N_("Students and teachers of the whole institution"),
    "share-partners": N_("Partner institutions"),
    "share-public": N_("Everybody"),
}
