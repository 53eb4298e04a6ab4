"""Media of the Instagram Graph API's hashtag edges, which name no author.

https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-hashtag/recent-media
"""

from typing import Any

from firsthand.services.discovery.model.addresses import read_address
from firsthand.services.discovery.posts.post import Malformed, Post, maybe, need, time_of
from firsthand.shared.refused import Refused


def read_post(raw: dict[str, Any]) -> Post:
    """Read one entry of `data`. Raises Malformed."""
    need(raw, "id", str)
    return Post(
        platform="instagram",
        permalink=_canonical(need(raw, "permalink", str)),
        posted_at=time_of(raw, "timestamp") if raw.get("timestamp") else None,  # top media may come without
        language="",
        text=maybe(raw, "caption", str),
        tags=(),
    )


def _canonical(permalink: str) -> str:
    try:
        address = read_address(permalink)
    except Refused as error:
        raise Malformed("`permalink` is no address of a post", error.text) from error
    if address.platform != "instagram" or not address.is_post:
        raise Malformed("`permalink` is not that of an Instagram post")
    return address.url


__all__ = ["read_post"]
