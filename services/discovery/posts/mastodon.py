"""Statuses of Mastodon's hashtag timeline. https://docs.joinmastodon.org/entities/Status/"""

import contextlib
import html
import re
from typing import Any, Final

from firsthand.services.discovery.model.accounts import Account, Address
from firsthand.services.discovery.model.addresses import fediverse_author, read_address
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
from firsthand.shared.refused import Refused

# `unlisted` is public, only not promoted; followers-only and direct posts are not for us.
_PUBLIC: Final = frozenset({"public", "unlisted"})
_NEW_LINE: Final = frozenset({"br", "br/", "br /", "/p"})
_NO_CHARACTER: Final = re.compile(r"&#[0-9]{8,};?")  # larger than any; Python refuses to read long numbers


def read_post(raw: dict[str, Any]) -> Post | Ignored:
    """Read one status. Raises Malformed."""
    account = need(raw, "account", dict)
    visibility = need(raw, "visibility", str)
    if because := _left_out(account):
        return _ignored(raw, because, account)
    if visibility not in _PUBLIC:
        return _ignored(raw, "not-public")
    if isinstance(raw.get("reblog"), dict):
        return Ignored("not-a-post")
    author = _author(account)
    moved = _moved_to(account)
    warning, content = maybe(raw, "spoiler_text", str), _plain(maybe(raw, "content", str))
    return Post(
        platform=author.platform,
        permalink=_canonical(maybe(raw, "url", str) or need(raw, "uri", str)),
        posted_at=time_of(raw, "created_at"),
        language=language_of(raw.get("language")),
        text=f"{warning}\n{content}" if warning else content,
        tags=tuple(tag["name"] for tag in maybe(raw, "tags", list) if _named(tag)),
        accounts=author.accounts,
        elsewhere=(*author.elsewhere, *(moved.owners if moved else ())),
        handle=(moved or author).handle,
        name=maybe(account, "display_name", str),
        profile=(moved or author).profile,
        changed_at=time_of(raw, "edited_at") if raw.get("edited_at") else None,
    )


def _left_out(account: dict[str, Any]) -> IgnoredBecause | None:
    """Why nothing of an account is for us. https://docs.joinmastodon.org/entities/Account/

    `discoverable` and `indexable` are off until somebody turns them on, so that they tell of no wish; and what carries
    a hashtag is found by it either way.
    """
    if account.get("limited") or account.get("suspended"):
        return "not-public"
    if account.get("memorial"):
        return "memorial"
    if account.get("group"):
        return "group"
    if account.get("bot"):
        return "bot"
    return "opted-out" if account.get("noindex") or asks_not_to_be_found(*_profile_texts(account)) else None


def _profile_texts(account: dict[str, Any]) -> list[str]:
    fields = [field for field in maybe(account, "fields", list) if isinstance(field, dict)]
    pairs = [_plain(maybe(field, part, str)) for field in fields for part in ("name", "value")]
    return [_plain(maybe(account, "note", str)), maybe(account, "display_name", str), *pairs]


def _ignored(raw: dict[str, Any], because: IgnoredBecause, account: dict[str, Any] | None = None) -> Ignored:
    """Leave a status out, and all of its author's if the account is the reason."""
    permalink, owners = "", tuple[Account, ...]()
    with contextlib.suppress(Malformed):
        permalink = _canonical(maybe(raw, "url", str) or need(raw, "uri", str))
    with contextlib.suppress(Malformed):
        owners = tuple(_author(account).owners) if account else ()
    return Ignored(because, permalink, owners)


def _moved_to(account: dict[str, Any]) -> Address | None:
    """Return the account that replaces this one. None where there is none, or it is not readable."""
    moved = account.get("moved")
    with contextlib.suppress(Malformed):
        return _author(moved) if isinstance(moved, dict) else None
    return None


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
