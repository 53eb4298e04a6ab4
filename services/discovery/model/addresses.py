"""Addresses of posts and profiles, brought to one form, so that the same person or post is known again.

Nothing is ever fetched: what an address says is all that is read from it. What sites' addresses mean is a table
(`sites.py`). The time is linear in the length of an address, which is bounded before anything else.
"""

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from firsthand.services.discovery.model.accounts import (
    BLUESKY_HANDLE,
    DID,
    UNRESOLVED,
    Account,
    Address,
    bluesky_profile,
    elsewhere,
    home_of,
    host_in_one_form,
    host_of,
    nobody,
    of_home,
    on_bluesky,
    on_site,
    parameters,
    plain,
    unreadable,
)
from firsthand.services.discovery.model.fediverse import on_the_fediverse
from firsthand.services.discovery.model.sites import (
    BLUESKY_HANDLES,
    BLUESKY_HOSTS,
    BRIDGED_FROM_WEB,
    BRIDGED_TO_BLUESKY,
    BRIDGES,
    KNOWN,
    REDIRECTS,
    SHORTENED,
    Site,
    belongs_to_known,
    named_by_host,
    site_of,
    without_variant,
)
from firsthand.shared.refused import Refused

_LONGEST: Final = 2000
_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)


def read_address(given: str, on: str = "") -> Address:
    """Read the address of a post or profile, or a handle. `on`: the site of the table on which a mere `@name` is meant.

    Raises Refused: it is no address, which shows what one looks like, or it names nobody, which says how to find one
    that does.
    """
    text = _cleaned(given)
    try:
        if on in KNOWN and text.startswith("@") and (person := KNOWN[on].person({"name": text[1:]}, bare=True)):
            return on_site(KNOWN[on], *person, spelled=text[1:])
        if text.startswith("at://"):
            return _record(text)
        if text.startswith("acct:"):
            text = f"@{text.removeprefix('acct:').removeprefix('@')}"
        if text.startswith("@"):
            return _handle(text[1:])
        if "/" not in text and (address := _bare(text)):
            return address
        return _read_url(urlsplit(text if _SCHEME.match(text) else f"https://{text}"))
    except ValueError:  # of a host or port that is none
        raise unreadable() from None


def fediverse_author(acct: str, profile: str, uri: str = "") -> Address:
    """Read the author of a post as Mastodon's API gives it: `acct` (with the account's domain where that is another
    server's), the address of the profile, and the account's id. Raises Refused.

    Where the account's domain and the web's differ, both are kept: people know the one, addresses have the other.
    """
    user, _, home = acct.partition("@")
    try:
        home = home_of(home) if home else ""
        web = host_of(urlsplit(profile))
        if home in BRIDGES or site_of(home):
            address = of_home(user, home)
            did = uri.rpartition("/ap/")[2]
            return replace(address, accounts=(did, *address.accounts)) if DID.match(did) else address
        if site_of(web):
            return read_address(profile)
        address = of_home(user, home or web)
    except ValueError:
        raise unreadable() from None
    accounts = dict.fromkeys((*address.accounts, f"{user.lower()}@{plain(web)}"))
    with contextlib.suppress(Refused):  # of a profile that stands on some page of another site
        address = replace(address, profile=read_address(profile).url)
    return replace(address, accounts=tuple(accounts))


def bluesky_author(did: str, handle: str) -> Address:
    """Read the author of a Bluesky post, by id and handle (empty: not told). A bridged one is the native one."""
    if handle.endswith(BRIDGED_TO_BLUESKY):
        try:
            native = on_bluesky(handle)
        except (Refused, ValueError):
            native = None
        if native and native.platform != "bluesky":
            return replace(native, elsewhere=(("bluesky", did),))
    profile, shown = bluesky_profile(did), f"@{handle}" if handle else ""
    # The id stays when the handle changes, so it comes first. A handle that does not resolve names nobody.
    accounts = (did,) if handle in ("", UNRESOLVED) else (did, handle)
    return Address("bluesky", profile, is_post=False, handle=shown, accounts=accounts, profile=profile, site="bluesky")


def current_accounts(known: Iterable[Account]) -> list[Account]:
    """Name accounts as they are named today; an earlier release may have named them otherwise, or named nobody."""
    return list(dict.fromkeys(now for account in known for now in _current(account)))


def _current(account: Account) -> Sequence[Account]:
    platform, name = account
    if platform == "bluesky" and name.startswith("did:"):
        return [account]
    try:
        match platform:
            case "bluesky":
                return on_bluesky(name).owners
            case "mastodon":
                return _handle(name).owners
            case "instagram":
                return read_address(f"https://www.instagram.com/{name}/").owners
            case _:
                return read_address(name).owners
    except (Refused, ValueError):
        return []


def _cleaned(given: str) -> str:
    """Return what was copied without what came along with it. Raises Refused."""
    if len(given) > 2 * _LONGEST:
        raise unreadable()
    start, end = 0, len(given)
    while start < end and (_came_along(given[start]) or given[start] in _OPENING):
        start += 1
    while end > start and (_came_along(given[end - 1]) or given[end - 1] in _CLOSING):
        end -= 1
    text = given[start:end]
    if not text or len(text) > _LONGEST or any(c.isspace() or not c.isprintable() for c in text):
        raise unreadable()
    return text


# Of a sentence or a message in which an address stood.
_OPENING: Final = frozenset("(<[{\"'“‘«")
_CLOSING: Final = frozenset(")>]}\"'”’».,;:!?،؛؟")


def _came_along(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"


def _read_url(url: SplitResult, *, within: bool = False) -> Address:
    """Read a URL. `within`: it stood in another one. Raises Refused, or ValueError."""
    where = host_of(url)
    host = where.partition(":")[0]
    if url.scheme.lower() not in ("http", "https") or url.username or url.password:
        raise unreadable()
    parts = [unquote(part) for part in url.path.split("/") if part not in ("", ".")]
    if any(not part.isprintable() or part != part.strip() for part in parts):
        raise unreadable()
    if host in BRIDGES and not within:
        return _bridged(host, url)
    if host in BRIDGES or host in REDIRECTS or without_variant(host) in REDIRECTS:
        raise nobody()
    if host in BLUESKY_HOSTS or without_variant(host) in BLUESKY_HOSTS:
        return _in_app(parts)
    if host.endswith(BLUESKY_HANDLES):
        return on_bluesky(host)
    if site := site_of(host):
        return _at(site, [SHORTENED[host], *parts] if host in SHORTENED else parts, url)
    if owner := named_by_host(host):
        site, name = owner
        return _at(site, [f"@{name}", *parts], url)
    if belongs_to_known(host):
        raise nobody()
    return on_the_fediverse(where, parts, url) or elsewhere(where, url)


def _in_app(parts: list[str]) -> Address:
    match parts:
        case ["profile", account, "post", rkey, *_]:
            return on_bluesky(account, rkey)
        case ["profile", account, *_]:
            return on_bluesky(account)
    raise nobody()


def _at(site: Site, parts: list[str], url: SplitResult) -> Address:
    """Read an address of a site of the table."""
    named = site.read(parts, parameters(url))
    if named is None:
        if site.others_are_posts and len(parts) > 1:
            return Address(site.platform, elsewhere(host_of(url), url).url, is_post=True, site=site.key)
        raise nobody()
    if not named.name and not named.number:
        return Address(site.platform, named.post, is_post=True, site=site.key)
    address = on_site(site, named.name, named.number, named.spelled)
    return replace(address, url=named.post, is_post=True) if named.post else address


def _record(text: str) -> Address:
    """Read an address of the AT protocol."""
    match text.removeprefix("at://").split("/"):
        case [account, "app.bsky.feed.post", rkey]:
            return on_bluesky(account, rkey)
        case [account] | [account, "app.bsky.actor.profile", *_]:
            return on_bluesky(account)
    raise unreadable()


def _handle(text: str) -> Address:
    """`name@home` of the fediverse, or a Bluesky handle. Raises Refused, or ValueError."""
    name, at, home = text.partition("@")
    return of_home(name, home_of(home)) if at else on_bluesky(name)


def _bare(text: str) -> Address | None:
    """A handle on Bluesky without its sign: a domain name and nothing else, which is no site that we know."""
    try:
        host = host_in_one_form(text)
    except ValueError:
        return None
    if host.startswith("www.") or not BLUESKY_HANDLE.match(host):
        return None
    if host.endswith((BLUESKY_HANDLES, BRIDGED_TO_BLUESKY)):
        return on_bluesky(host)
    known = site_of(host) or named_by_host(host) or belongs_to_known(host)
    return None if known or host in REDIRECTS | BLUESKY_HOSTS | BRIDGES else on_bluesky(host)


def _bridged(host: str, url: SplitResult) -> Address:
    """Read an address of Bridgy Fed, which carries the native one."""
    kind, _, rest = url.path.lstrip("/").partition("/")
    inner = unquote(rest)
    match kind:
        case "r":
            return _read_url(urlsplit(inner), within=True)
        case "ap" | "bsky" | "web" if inner.startswith("@"):
            return _handle(inner[1:])
        case "ap" | "bsky" if inner:
            return on_bluesky(inner.partition("/")[0])
        case "web" if inner:
            return of_home(inner.partition("/")[0], "web.brid.gy")
        case "convert":
            inner = inner.partition("/")[2]
            return _record(inner) if inner.startswith("at://") else _read_url(urlsplit(inner), within=True)
    if host in BRIDGED_FROM_WEB and kind and not rest:
        return of_home(unquote(kind), host)
    raise nobody()


__all__ = ["bluesky_author", "current_accounts", "fediverse_author", "read_address"]
