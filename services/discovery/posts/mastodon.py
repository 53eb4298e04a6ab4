"""Statuses of Mastodon's hashtag timeline. https://docs.joinmastodon.org/entities/Status/"""

import html
import re
from typing import Any, Final

from firsthand.services.discovery.model.accounts import Address
from firsthand.services.discovery.model.addresses import fediverse_author, read_address
from firsthand.services.discovery.posts.post import Ignored, Malformed, Post, language_of, maybe, need, time_of
from firsthand.shared.refused import Refused

# `unlisted` is public, only not promoted; followers-only and direct posts are not for us.
_PUBLIC: Final = frozenset({"public", "unlisted"})
_NEW_LINE: Final = frozenset({"br", "br/", "br /", "/p"})
_NO_CHARACTER: Final = re.compile(r"&#[0-9]{8,};?")  # larger than any; Python refuses to read long numbers
# How people on Mastodon ask, in their profile, not to be searched or met by machines.
_OPTED_OUT: Final = re.compile(r"#(nobots?|noindex|nosearch|noarchive)\b", re.IGNORECASE)


def read_post(raw: dict[str, Any]) -> Post | Ignored:
    """Read one status. Raises Malformed."""
    account = need(raw, "account", dict)
    if need(raw, "visibility", str) not in _PUBLIC or account.get("limited") or account.get("suspended"):
        return Ignored("not-public")
    if account.get("bot"):
        return Ignored("bot")
    if account.get("noindex") or _OPTED_OUT.search(_plain(maybe(account, "note", str))):
        return Ignored("opted-out")
    if isinstance(raw.get("reblog"), dict):
        return Ignored("not-a-post")
    author = _author(account)
    warning, content = maybe(raw, "spoiler_text", str), _plain(maybe(raw, "content", str))
    return Post(
        platform=author.platform,
        permalink=_canonical(maybe(raw, "url", str) or need(raw, "uri", str)),
        posted_at=time_of(raw, "created_at"),
        language=language_of(raw.get("language")),
        text=f"{warning}\n{content}" if warning else content,
        tags=tuple(tag["name"] for tag in maybe(raw, "tags", list) if _named(tag)),
        accounts=author.accounts,
        elsewhere=author.elsewhere,
        handle=author.handle,
        name=maybe(account, "display_name", str),
        profile=author.profile,
    )


def _author(account: dict[str, Any]) -> Address:
    try:
        return fediverse_author(need(account, "acct", str), need(account, "url", str), maybe(account, "uri", str))
    except Refused as error:
        raise Malformed("`account` does not say whose post it is") from error


def _named(tag: object) -> bool:
    return isinstance(tag, dict) and isinstance(tag.get("name"), str)


def _canonical(url: str) -> str:
    try:
        return read_address(url).url
    except Refused as error:
        raise Malformed("`url` is no address of a post", error.text) from error


def _plain(content: str) -> str:
    """Return the text of a status's HTML, in linear time. It is never shown as HTML."""
    before, *elements = content.split("<")
    pieces = [before]
    for element in elements:
        tag, end, behind = element.partition(">")
        if end:
            pieces.append("\n" if tag.strip().lower() in _NEW_LINE else "")
            pieces.append(behind)
        else:
            pieces.append(f"<{element}")
    return html.unescape(_NO_CHARACTER.sub("\ufffd", "".join(pieces))).strip()


__all__ = ["read_post"]
