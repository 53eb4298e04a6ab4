"""Posts of `app.bsky.feed.searchPosts`. https://docs.bsky.app/docs/api/app-bsky-feed-search-posts"""

from typing import Any, Final

from firsthand.services.discovery.model.accounts import Address, bluesky_post
from firsthand.services.discovery.model.addresses import bluesky_author
from firsthand.services.discovery.posts.post import Ignored, Malformed, Post, language_of, maybe, need, time_of

_TAG_FEATURE: Final = "app.bsky.richtext.facet#tag"
# An author who asks apps to show nothing to visitors does not speak to the public.
_NOT_PUBLIC: Final = "!no-unauthenticated"


def read_post(raw: dict[str, Any]) -> Post | Ignored:
    """Read one entry of `posts`. Raises Malformed."""
    told = need(raw, "author", dict)
    did, rkey = _post_of(need(raw, "uri", str))
    labels = {label.get("val") for label in maybe(told, "labels", list) if isinstance(label, dict)}
    if _NOT_PUBLIC in labels:
        return Ignored("not-public")
    if "bot" in labels:
        return Ignored("bot")
    handle = need(told, "handle", str).lower()
    author = bluesky_author(did, handle)
    return from_record(need(raw, "record", dict), did, rkey, author, name=maybe(told, "displayName", str))


def from_record(record: dict[str, Any], did: str, rkey: str, author: Address, *, name: str = "") -> Post:
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
