"""Why a recording is not taken in."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from firsthand.shared.refused import Kind, Refused
from firsthand.shared.texts import N_

RefusalCode = Literal[
    "closed",
    "not-expected",
    "released",
    "not-allowed",
    "expired",
    "empty",
    "too-large",
    "too-long",
    "too-many",
    "not-media",
    "too-demanding",
    "no-room",
    "no-sound",
    "no-such-track",
    "chosen",
    "damaged",
]

EditRefusal = Literal[
    "too-many-edits",
    "no-place",
    "no-stretch",
    "nothing-left",
    "no-picture",
    "no-sound",
    "no-area",
    "nothing-to-edit",
    "no-edits",
    "no-such-version",
    "no-wish",
    "too-many-wishes",
    "no-such-wish",
]

WordsRefusal = Literal[
    "no-captions",
    "no-language",
    "not-unicode",
    "too-large",
    "too-many",
    "longer",
    "not-allowed",
    "no-recording",
    "changed",
    "no-such-line",
]

_WORDS_TEXTS: Final[Mapping[WordsRefusal, str]] = {
    "no-captions": N_("We found no captions in this file. Choose a WebVTT (.vtt) or SubRip (.srt) file."),
    "no-language": N_("Choose the language first, then the file."),
    "not-unicode": N_("We cannot read the letters of this file. Save it as UTF-8 and try again."),
    "too-large": N_("The file is too large for captions. Choose a WebVTT (.vtt) or SubRip (.srt) file."),
    "too-many": N_("There are captions in too many languages. Remove some first."),
    "longer": N_("These captions go on after the recording has ended. They seem to belong to another recording."),
    "not-allowed": N_("The family does not allow a transcript of its recording."),
    "no-recording": N_("There is no recording yet. Upload it first, then its captions."),
    "changed": N_("The text has changed meanwhile. Read it again, then decide."),
    "no-such-line": N_("This line is no longer here."),
}

ClipRefusal = Literal["no-title", "no-stretch", "too-many"]

_CLIP_TEXTS: Final[Mapping[ClipRefusal, str]] = {
    "no-title": N_("Write what to look out for."),
    "no-stretch": N_("The start must be before the end, and within the recording. Check the two times."),
    "too-many": N_("This recording has too many clips. Remove some first."),
}

_EDIT_TEXTS: Final[Mapping[EditRefusal, str]] = {
    "too-many-edits": N_("There are too many changes. Make a version of these first, then go on."),
    "no-place": N_("Write a time as minutes and seconds, for example 1:05."),
    "no-stretch": N_("The start must be before the end, and within the recording. Check the two times."),
    "nothing-left": N_("Nothing would be left of the recording. To have all of it deleted, withdraw."),
    "no-picture": N_("This recording has no picture that could be changed."),
    "no-sound": N_("This recording has no sound that could be changed."),
    "no-area": N_("Draw a rectangle over the picture, or choose a half of it."),
    "nothing-to-edit": N_("There is no recording that can be changed now."),
    "no-edits": N_("Say first what is to be changed."),
    "no-wish": N_("Write what we should change."),
    "too-many-wishes": N_("You have asked for many changes. Wait until they are made, or write to us."),
    "no-such-wish": N_("This was already answered."),
    "no-such-version": N_("This version is no longer here."),
}

_TEXTS: Final[Mapping[RefusalCode, str]] = {
    "closed": N_("This recording is closed. Nothing more can be uploaded for this contact. Delete your own copies."),
    "not-expected": N_("There is no recorded meeting yet. First close the meeting: it took place."),
    "released": N_("The family has approved exactly this recording. It cannot be replaced."),
    "not-allowed": N_("The family does not allow a recording at the moment. Wait, or ask the family."),
    "expired": N_("The family's permission has ended. Delete your own copies of the recording."),
    "empty": N_("The file is empty. Choose the recording and try again."),
    "too-large": N_("The file is too large. Make a smaller version and try again."),
    "too-long": N_("We received more data than announced, or more than we can accept. Start the upload again."),
    "too-many": N_("You have too many unfinished uploads. Finish or cancel some of them, then try again."),
    "not-media": N_(
        "We cannot play this file as video or sound. Choose the recording itself, for example an MP4 or M4A file. We "
        "did not keep the file."
    ),
    "too-demanding": N_(
        "We could not check this file within our limits of memory and time. Export the recording as a smaller MP4 file "
        "and try again. We did not keep the file."
    ),
    "no-room": N_(
        "Our storage is almost full, so we cannot take in recordings now. Keep your file, ask the operator to make "
        "room, and continue later."
    ),
    "no-sound": N_("The family allows sound only, and this file has no sound. We did not keep the file."),
    "no-such-track": N_("Choose at least one track of this file."),
    "chosen": N_("The tracks of this file were chosen already. To choose others, upload the file again."),
    "damaged": N_("The uploaded file cannot be read any more. Upload it again."),
}

# The others say that the recording's state does not allow it.
_KINDS: Final[Mapping[RefusalCode, Kind]] = {
    "too-large": "too-large",
    "too-long": "too-large",
    "not-media": "invalid",
    "too-demanding": "invalid",
    "no-room": "no-room",
    "empty": "invalid",
    "no-sound": "invalid",
    "no-such-track": "invalid",
}


def not_taken_in(code: RefusalCode) -> Refused:
    """Make the refusal of a recording, or of an upload, with what to do instead."""
    return Refused(
        code,
        _TEXTS[code],
        title=N_("The recording was not accepted"),
        kind=_KINDS.get(code, "not-possible"),
    )


def not_edited(code: EditRefusal) -> Refused:
    """Make the refusal of a change to a recording."""
    states = ("nothing-to-edit", "no-edits", "no-such-version", "too-many-wishes", "no-such-wish")
    return Refused(
        code,
        _EDIT_TEXTS[code],
        title=N_("The recording was not changed"),
        kind="not-possible" if code in states else "invalid",
    )


def not_written(code: WordsRefusal) -> Refused:
    """Make the refusal of a written version of a recording, or of a change to one."""
    states = ("not-allowed", "too-many", "no-recording", "changed", "no-such-line")
    kind: Kind = "too-large" if code == "too-large" else "not-possible" if code in states else "invalid"
    return Refused(code, _WORDS_TEXTS[code], title=N_("The transcript was not changed"), kind=kind)


def not_clipped(code: ClipRefusal) -> Refused:
    """Make the refusal of a clip."""
    kind: Kind = "not-possible" if code == "too-many" else "invalid"
    return Refused(code, _CLIP_TEXTS[code], title=N_("The clip was not made"), kind=kind)


def no_copies() -> Refused:
    """Make the refusal of a word that copies were destroyed where nobody waits for it."""
    return Refused(
        "no-copies",
        N_("There are no copies to confirm now."),
        title=N_("Nothing was changed"),
        kind="not-possible",
    )


def not_all_copies() -> Refused:
    """Make the refusal of a word that leaves some places out."""
    return Refused(
        "copies-left",
        N_("Confirm all three places. If a copy is still there, destroy it first."),
        title=N_("Nothing was changed"),
        kind="invalid",
    )


def refused_before(code: str) -> Refused:
    """Make the refusal that was kept of an upload, also by a release whose reasons were others."""
    known: tuple[RefusalCode, ...] = get_args(RefusalCode)
    return not_taken_in(next((one for one in known if one == code), "not-media"))
