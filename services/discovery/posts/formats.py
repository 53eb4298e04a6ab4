"""Which module reads an entry of which format."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from firsthand.services.discovery.posts import bluesky, instagram, jetstream, mastodon
from firsthand.services.discovery.posts.entries import Entry, Format, Unreadable
from firsthand.services.discovery.posts.post import AccountBack, AccountGone, Ignored, Malformed, Post, Removed

Word = Post | Ignored | Removed | AccountGone | AccountBack

_READERS: Final[Mapping[Format, Callable[[dict[str, Any]], Word]]] = {
    "bluesky": bluesky.read_post,
    "jetstream": jetstream.read_post,
    "mastodon": mastodon.read_post,
    "instagram": instagram.read_post,
}


def read_entry(format_: Format, entry: Entry) -> Word | Unreadable:
    """Read a platform's file; unreadable entries are returned with their number and a reason."""
    if not isinstance(entry.raw, dict):
        return Unreadable(entry.number, "the entry is not an object")
    try:
        return _READERS[format_](entry.raw)
    except Malformed as error:
        return Unreadable(entry.number, str(error), error.advice)


__all__ = ["read_entry"]
