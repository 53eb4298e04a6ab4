"""The rules of archive, without I/O and without a clock."""

from services.archive.model.recording import (
    Learners,
    Media,
    Recording,
    RecordingEvent,
    Viewer,
)
from services.archive.model.upload import Upload
from services.archive.model.viewing import Viewing

__all__ = ["Learners", "Media", "Recording", "RecordingEvent", "Upload", "Viewer", "Viewing"]
