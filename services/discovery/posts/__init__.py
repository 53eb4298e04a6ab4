"""Posts in the real formats of the platforms, read as they stream in, in flat memory."""

from services.discovery.posts.entries import (
    FORMATS,
    Entries,
    Entry,
    Format,
    Unreadable,
    entries_of,
    recognise,
)
from services.discovery.posts.formats import read_entry
from services.discovery.posts.post import Ignored, Post, Removed

__all__ = [
    "FORMATS",
    "Entries",
    "Entry",
    "Format",
    "Ignored",
    "Post",
    "Removed",
    "Unreadable",
    "entries_of",
    "read_entry",
    "recognise",
]
