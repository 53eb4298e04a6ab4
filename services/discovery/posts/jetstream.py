"""Lines of Bluesky's Jetstream: one event a line, the author by id only. https://github.com/bluesky-social/jetstream"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from firsthand.services.discovery.model.accounts import bluesky_post
from firsthand.services.discovery.model.addresses import bluesky_author
from firsthand.services.discovery.posts.bluesky import from_record
from firsthand.services.discovery.posts.post import (
    AccountBack,
    AccountGone,
    Ignored,
    Malformed,
    Post,
    Removed,
    maybe,
    need,
)

_POSTS: Final = "app.bsky.feed.post"
# States of an account that its server gives it for a while, and that say nothing of its owner.
_OF_THE_SERVER: Final = frozenset({"desynchronized", "throttled"})


def read_post(raw: dict[str, Any]) -> Post | Ignored | Removed | AccountGone | AccountBack:
    """Read one line. A post's deletion becomes `Removed`, the end of an account `AccountGone`, its return
    `AccountBack`; other records are left out. Raises Malformed.
    """
    did, kind = need(raw, "did", str), need(raw, "kind", str)
    if not did.startswith("did:"):
        raise Malformed("`did` is not an account's id")
    if kind == "account":
        return _of_account(did, maybe(raw, "account", dict))
    if kind != "commit":
        return Ignored("not-a-post")
    commit = need(raw, "commit", dict)
    if need(commit, "collection", str) != _POSTS:
        return Ignored("not-a-post")
    rkey, operation = need(commit, "rkey", str), need(commit, "operation", str)
    if operation == "delete":
        return Removed(bluesky_post(did, rkey))
    if operation not in ("create", "update"):
        return Ignored("not-a-post")
    at = _at(raw) if operation == "update" else None
    return from_record(need(commit, "record", dict), did, rkey, bluesky_author(did, ""), changed_at=at)


def _of_account(did: str, account: dict[str, Any]) -> Ignored | AccountGone | AccountBack:
    """Read what became of an account: deleted, deactivated, suspended or taken down, or there again."""
    owners = tuple(bluesky_author(did, "").owners)
    if account.get("active") is True:
        return AccountBack(owners)
    if account.get("active") is False and account.get("status") not in _OF_THE_SERVER:
        return AccountGone(owners)
    return Ignored("not-a-post")


def _at(raw: dict[str, Any]) -> datetime | None:
    """Return when Jetstream saw the event."""
    micros = raw.get("time_us")
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros) if isinstance(micros, int) else None
    except OverflowError:
        return None


__all__ = ["read_post"]
