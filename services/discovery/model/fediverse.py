"""Addresses of fediverse software, of which any host may run any: an account, a post of it, or a post of nobody named.

An account is `name@host`, in whatever form the software writes it (`sites.py` has the forms).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import SplitResult

from firsthand.services.discovery.model.accounts import FEDIVERSE_NAME, Address, canonical, home_of, nobody, of_home
from firsthand.services.discovery.model.sites import (
    FEDIVERSE_NOBODY,
    FEDIVERSE_NUMBERED_POSTS,
    FEDIVERSE_PEOPLE,
    FEDIVERSE_POSTS,
    PROFILE_PARTS,
)

_NUMBER: Final = re.compile(r"^[0-9]{1,40}$")  # a post's id in Mastodon
_ULID: Final = re.compile(r"^[0-9A-HJKMNP-TV-Z]{26}$", re.IGNORECASE)  # a post's id in GoToSocial
_OWN_PAGES: Final = frozenset({"web", "deck"})  # Mastodon's own, in front of the same paths
_FEEDS: Final = (".rss", ".atom", ".json")  # behind an account on its own server
_BEFORE_POSTS: Final = frozenset({"statuses", "notes", "posts"})


def on_the_fediverse(host: str, parts: Sequence[str], url: SplitResult) -> Address | None:
    """Read the path of a URL. None if it has no form of the fediverse. Raises Refused, or ValueError."""
    if parts and parts[0] in _OWN_PAGES and parts[1:] and parts[1].startswith("@"):
        parts = parts[1:]
    match parts:
        case [kind, *_] if kind in FEDIVERSE_NOBODY or "/".join(parts[:2]) in FEDIVERSE_NOBODY:
            raise nobody()
        case [kind, number] if kind in FEDIVERSE_NUMBERED_POSTS and _NUMBER.match(number):
            return Address("other", canonical(host, url), is_post=True)
        case ["p", name, number] if _NUMBER.match(number) and FEDIVERSE_NAME.match(name.lower()):
            return replace(of_home(name, host), url=f"https://{host}/p/{name}/{number}", is_post=True)  # Pixelfed
        case [kind, post] | ["videos", kind, post] if kind in FEDIVERSE_POSTS and post.isascii():
            return Address("other", canonical(host, url), is_post=True)
        case [first, *rest] if first.startswith("@"):
            return _of_account(host, first[1:], rest, url)
        case [kind, name, *rest] if kind.lower() in FEDIVERSE_PEOPLE:
            found = _of_account(host, name.removeprefix("@"), rest, url)
            return _where_it_stands(found, f"https://{host}/{kind.lower()}/{name}") if kind != "users" else found
    return None


def _where_it_stands(found: Address | None, page: str) -> Address | None:
    """Leave a profile where it was found: not every software has `/@name`. A bridged one has its native page."""
    if found is None or found.site != "fediverse":
        return found
    return replace(found, profile=page, url=found.url if found.is_post else page)


def _of_account(host: str, given: str, rest: Sequence[str], url: SplitResult) -> Address | None:
    name, at, home = given.partition("@")
    for feed in _FEEDS:
        name = name.removesuffix(feed)
    if not FEDIVERSE_NAME.match(name.lower()) and not at:
        return None
    home = home_of(home) if at else host
    account = of_home(name, home)
    post = _post_of(f"https://{host}/@{name if home == host else f'{name}@{home}'}", rest)
    if post == "":
        return account
    return replace(account, url=post or canonical(host, url), is_post=True)


def _post_of(profile: str, rest: Sequence[str]) -> str | None:
    """The address of a post by what follows the account; empty for a part of the profile, None for a form unknown.

    What is unknown is a post of its own, so that two posts of one author stay two.
    """
    match rest:
        case [number] | ["statuses", number] if _NUMBER.match(number):
            return f"{profile}/{number}"
        case ["statuses", ulid] if _ULID.match(ulid):
            return f"{profile}/statuses/{ulid.upper()}"
        case [part, _, *_] if part.lower() in _BEFORE_POSTS:
            return None
        case [part, *_] if part.lower().partition(".")[0] not in PROFILE_PARTS:
            return None
    return ""


__all__ = ["on_the_fediverse"]
