"""Posts in the real formats of the platforms, read as they stream in, in flat memory."""

from firsthand.services.discovery.posts.entries import (
    FORMATS,
    Entries,
    Entry,
    Format,
    Unreadable,
    entries_of,
    recognise,
)
from firsthand.services.discovery.posts.formats import read_entry
from firsthand.services.discovery.posts.post import AccountBack, AccountGone, Ignored, Post, Removed

__all__ = [
    "FORMATS",
    "AccountBack",
    "AccountGone",
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
