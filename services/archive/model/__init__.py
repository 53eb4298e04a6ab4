"""The rules of archive, without I/O and without a clock."""

from firsthand.services.archive.model.edits import Edit
from firsthand.services.archive.model.recording import (
    Learners,
    Media,
    Recording,
    RecordingEvent,
    Viewer,
    is_shown_to_nobody,
)
from firsthand.services.archive.model.upload import Upload
from firsthand.services.archive.model.version import Extra, Original, Track, Version
from firsthand.services.archive.model.viewing import Viewing

__all__ = [
    "Edit",
    "Extra",
    "Learners",
    "Media",
    "Original",
    "Recording",
    "RecordingEvent",
    "Track",
    "Upload",
    "Version",
    "Viewer",
    "Viewing",
    "is_shown_to_nobody",
]
