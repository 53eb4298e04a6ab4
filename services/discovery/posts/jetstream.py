"""Lines of Bluesky's Jetstream: one event a line, the author by id only. https://github.com/bluesky-social/jetstream"""

from typing import Any, Final

from firsthand.services.discovery.model.accounts import bluesky_post
from firsthand.services.discovery.model.addresses import bluesky_author
from firsthand.services.discovery.posts.bluesky import from_record
from firsthand.services.discovery.posts.post import Ignored, Malformed, Post, Removed, need

_POSTS: Final = "app.bsky.feed.post"


def read_post(raw: dict[str, Any]) -> Post | Ignored | Removed:
    """Read one line. A post's deletion becomes `Removed`; other records are left out. Raises Malformed."""
    did, kind = need(raw, "did", str), need(raw, "kind", str)
    if not did.startswith("did:"):
        raise Malformed("`did` is not an account's id")
    if kind != "commit":
        return Ignored("not-a-post")
    commit = need(raw, "commit", dict)
    if need(commit, "collection", str) != _POSTS:
        return Ignored("not-a-post")
    rkey, operation = need(commit, "rkey", str), need(commit, "operation", str)
    if operation == "delete":
        return Removed(bluesky_post(did, rkey))
    if operation != "create":
        return Ignored("not-a-post")
    return from_record(need(commit, "record", dict), did, rkey, bluesky_author(did, ""))


__all__ = ["read_post"]
