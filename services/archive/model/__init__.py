"""The rules of archive, without I/O and without a clock."""

from firsthand.services.archive.model.captions import Cue
from firsthand.services.archive.model.clip import Clip
from firsthand.services.archive.model.edits import Edit
from firsthand.services.archive.model.recording import (
    Learners,
    Media,
    Recording,
    RecordingEvent,
    Viewer,
    is_shown_to_nobody,
)
from firsthand.services.archive.model.transcript import Transcript
from firsthand.services.archive.model.upload import Upload
from firsthand.services.archive.model.version import Extra, Original, Track, Version
from firsthand.services.archive.model.viewing import Viewing

__all__ = [
    "Clip",
    "Cue",
    "Edit",
    "Extra",
    "Learners",
    "Media",
    "Original",
    "Recording",
    "RecordingEvent",
    "Track",
    "Transcript",
    "Upload",
    "Version",
    "Viewer",
    "Viewing",
    "is_shown_to_nobody",
]
