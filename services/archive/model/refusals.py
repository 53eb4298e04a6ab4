"""Why a recording is not taken in."""

from collections.abc import Mapping
from typing import Final, Literal

from firsthand.shared.refused import Kind, Refused
from firsthand.shared.texts import N_

RefusalCode = Literal[
    "closed", "not-expected", "released", "not-allowed", "expired", "empty", "too-large", "too-long", "not-media"
]

_TEXTS: Final[Mapping[RefusalCode, str]] = {
    "closed": N_("This recording is closed. Nothing more can be uploaded for this contact. Delete your own copies."),
    "not-expected": N_("There is no recorded meeting yet. First close the meeting: it took place."),
    "released": N_("The family has approved exactly this recording. It cannot be replaced."),
    "not-allowed": N_("The family does not allow a recording at the moment. Wait, or ask the family."),
    "expired": N_("The family's permission has ended. Delete your own copies of the recording."),
    "empty": N_("The file is empty. Choose the recording and try again."),
    "too-large": N_("The file is too large. Make a smaller version and try again."),
    "too-long": N_("We received more data than announced, or more than we can accept. Start the upload again."),
    "not-media": N_(
        "We cannot play this file as video or sound. Choose the recording itself, for example an MP4 or M4A file. We "
        "did not keep the file."
    ),
}

# The others say that the recording's state does not allow it.
_KINDS: Final[Mapping[RefusalCode, Kind]] = {
    "too-large": "too-large",
    "too-long": "too-large",
    "not-media": "invalid",
    "empty": "invalid",
}


def not_taken_in(code: RefusalCode) -> Refused:
    """Make the refusal of a recording, or of an upload, with what to do instead."""
    return Refused(
        code,
        _TEXTS[code],
        title=N_("The recording was not accepted"),
        kind=_KINDS.get(code, "not-possible"),
    )
