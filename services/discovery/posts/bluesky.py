"""Posts of `app.bsky.feed.searchPosts`. https://docs.bsky.app/docs/api/app-bsky-feed-search-posts"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from firsthand.services.discovery.model.accounts import Address, bluesky_post
from firsthand.services.discovery.model.addresses import bluesky_author
from firsthand.services.discovery.posts.post import (
    Ignored,
    IgnoredBecause,
    Malformed,
    Post,
    asks_not_to_be_found,
    language_of,
    maybe,
    need,
    time_of,
)

_LONGEST_LABEL: Final = 128  # characters; the protocol's limit
_TAG_FEATURE: Final = "app.bsky.richtext.facet#tag"
# An author who asks apps to show nothing to visitors does not speak to the public.
_NOT_PUBLIC: Final = frozenset({"!no-unauthenticated", "!takedown", "!suspend"})


def read_post(raw: dict[str, Any]) -> Post | Ignored:
    """Read one entry of `posts`. Raises Malformed."""
    told = need(raw, "author", dict)
    did, rkey = _post_of(need(raw, "uri", str))
    of_author, of_post = _labels(told), _labels(raw)
    name, handle = maybe(told, "displayName", str), maybe(told, "handle", str).lower()
    if because := _left_out(of_author, name):
        return Ignored(because, bluesky_post(did, rkey), tuple(bluesky_author(did, handle).owners))
    if _NOT_PUBLIC & set(of_post):
        return Ignored("not-public", bluesky_post(did, rkey))
    author = bluesky_author(did, need(told, "handle", str).lower())
    record = need(raw, "record", dict)
    return from_record(record, did, rkey, author, name=name, labels=(*of_author, *of_post))


def _left_out(labels: Sequence[str], name: str) -> IgnoredBecause | None:
    """Why nothing of an account is for us. https://docs.bsky.app/docs/advanced-guides/moderation"""
    if _NOT_PUBLIC & set(labels):
        return "not-public"
    if "bot" in labels:
        return "bot"
    return "opted-out" if asks_not_to_be_found(name) else None


def _labels(of: dict[str, Any]) -> list[str]:
    """Return the labels in force: one with `neg` takes back an earlier one of the same source."""
    found: dict[tuple[str, str], bool] = {}
    for label in maybe(of, "labels", list):
        if isinstance(label, dict) and isinstance(label.get("val"), str):
            found[maybe(label, "src", str), label["val"][:_LONGEST_LABEL]] = not label.get("neg")
    return list(dict.fromkeys(value for (_, value), holds in found.items() if holds))


def _self_labels(record: dict[str, Any]) -> list[str]:
    values = maybe(maybe(record, "labels", dict), "values", list)
    return _labels({"labels": values})


def from_record(
    record: dict[str, Any],
    did: str,
    rkey: str,
    author: Address,
    *,
    name: str = "",
    labels: Sequence[str] = (),
    changed_at: datetime | None = None,
) -> Post:
    """Read the record of a post, as searches and Jetstream give it. Raises Malformed."""
    languages = maybe(record, "langs", list)
    return Post(
        platform=author.platform,
        permalink=bluesky_post(did, rkey),
        posted_at=time_of(record, "createdAt"),
        language=language_of(languages[0]) if languages else "",
        text=maybe(record, "text", str),
        tags=_tags(record),
        accounts=author.accounts,
        elsewhere=author.elsewhere,
        handle=author.handle,
        name=name,
        profile=author.profile,
        labels=tuple(dict.fromkeys((*labels, *_self_labels(record)))),
        changed_at=changed_at,
    )


def _post_of(uri: str) -> tuple[str, str]:
    match uri.removeprefix("at://").split("/"):
        case [did, "app.bsky.feed.post", rkey] if did.startswith("did:") and rkey:
            return did, rkey
    raise Malformed("`uri` is not that of a post")


def _tags(record: dict[str, Any]) -> tuple[str, ...]:
    features = (
        feature
        for facet in maybe(record, "facets", list)
        if isinstance(facet, dict)
        for feature in maybe(facet, "features", list)
        if isinstance(feature, dict) and feature.get("$type") == _TAG_FEATURE
    )
    named = [feature.get("tag") for feature in features] + maybe(record, "tags", list)
    return tuple(tag for tag in named if isinstance(tag, str))


__all__ = ["from_record", "read_post"]
