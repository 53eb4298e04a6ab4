"""The rules of archive, without I/O and without a clock."""

from services.archive.model.recording import (
    Learners,
    Media,
    Recording,
    RecordingEvent,
    RefusalCode,
    Refused,
    Viewer,
)

__all__ = ["Learners", "Media", "Recording", "RecordingEvent", "RefusalCode", "Refused", "Viewer"]
