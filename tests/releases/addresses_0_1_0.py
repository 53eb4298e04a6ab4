"""How release 0.1.0 read an address, word for word: its marks were made of these names. Never change it."""

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import idna

from firsthand.shared.refused import Refused
from firsthand.shared.texts import N_

Platform = Literal["bluesky", "mastodon", "instagram", "other"]

_LONGEST: Final = 2000
_TRACKING: Final = re.compile(r"^(utm_.*|igsh|igshid|fbclid|gclid|si)$", re.IGNORECASE)
_INSTAGRAM_WORDS: Final = frozenset({"explore", "stories", "accounts", "about", "direct", "p", "reel", "reels", "tv"})
_INSTAGRAM_NAME: Final = re.compile(r"^[a-z0-9._]{1,30}$")
_BLUESKY_HANDLE: Final = re.compile(r"^([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$")  # a domain name
_DID: Final = re.compile(r"^did:[a-z]+:[A-Za-z0-9._:%-]+$")
_MASTODON_NAME: Final = re.compile(r"^@?([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)(?:@([a-z0-9.-]+(?::\d+)?))?$")
_HOST: Final = re.compile(r"^([a-z0-9-]{1,63}\.)+[a-z0-9-]{2,63}(:\d{1,5})?$")


@dataclass(frozen=True)
class Address:
    """An address that a person gave. `accounts` are the names under which its owner is known, the surest first;
    empty when the address does not say whose it is.
    """

    platform: Platform
    url: str  # canonical, safe to open
    is_post: bool
    handle: str = ""  # as it is shown
    accounts: tuple[str, ...] = ()


def read_address(given: str) -> Address:
    """Read the address of a post or profile, or a handle. Raises Refused, which shows what an address looks like."""
    text = given.strip()
    if not text or len(text) > _LONGEST or any(c.isspace() or not c.isprintable() for c in text):
        raise _unreadable()
    if text.startswith("at://"):
        return _bluesky(text.removeprefix("at://").replace("app.bsky.feed.", "").split("/"))
    if text.startswith("@") and (name := _MASTODON_NAME.match(text)) and name[2] and _HOST.match(name[2].lower()):
        return _mastodon_profile(name[1], name[2].lower())
    if text.startswith("@") and _BLUESKY_HANDLE.match(text[1:].lower()):
        return _bluesky([text[1:]])
    try:
        return _read_url(urlsplit(text if "://" in text else f"https://{text}"))
    except ValueError:  # of a host or port that is none
        raise _unreadable() from None


def bluesky_post(did: str, rkey: str) -> str:
    """The address of a Bluesky post: by the account's id, which stays when a handle changes."""
    return f"https://bsky.app/profile/{did}/post/{rkey}"


def bluesky_profile(did: str) -> str:
    return f"https://bsky.app/profile/{did}"


def _read_url(url: SplitResult) -> Address:
    host, port = (url.hostname or "").lower(), url.port
    host = idna.encode(host, uts46=True).decode() if not host.isascii() and len(host) < 200 else host
    where = f"{host}:{port}" if port and port not in (80, 443) else host
    if url.scheme not in ("http", "https") or url.username or url.password or not _HOST.match(where):
        raise _unreadable()
    parts = [unquote(part) for part in url.path.split("/") if part]
    if host in ("instagram.com", "www.instagram.com", "m.instagram.com", "instagr.am"):
        return _instagram(parts)
    if host in ("bsky.app", "www.bsky.app", "staging.bsky.app"):
        return _bluesky(parts[1:] if parts[:1] == ["profile"] else [])
    return _mastodon(where, parts) or _other(where, url)


def _instagram(parts: list[str]) -> Address:
    site = "https://www.instagram.com"
    match parts:
        case [("p" | "reel" | "reels" | "tv"), code, *_]:
            return Address("instagram", f"{site}/p/{code}/", is_post=True)
        case [name, ("p" | "reel"), code, *_] if _instagram_name(name):
            handle = name.lower()
            return Address("instagram", f"{site}/p/{code}/", is_post=True, handle=f"@{handle}", accounts=(handle,))
        case ["stories", name, *_] if _instagram_name(name):
            handle = name.lower()
        case [name, *_] if _instagram_name(name):
            handle = name.lower()
        case _:
            raise _unreadable()
    return Address("instagram", f"{site}/{handle}/", is_post=False, handle=f"@{handle}", accounts=(handle,))


def _instagram_name(name: str) -> bool:
    return name.lower() not in _INSTAGRAM_WORDS and _INSTAGRAM_NAME.match(name.lower()) is not None


def _bluesky(parts: list[str]) -> Address:
    if not parts:
        raise _unreadable()
    account = parts[0].removeprefix("@")
    if _DID.match(account):
        handle = ""
    elif _BLUESKY_HANDLE.match(account.lower()):
        account = account.lower()
        handle = f"@{account}"
    else:
        raise _unreadable()
    if len(parts) >= 3 and parts[1] == "post":
        return Address("bluesky", bluesky_post(account, parts[2]), is_post=True, handle=handle, accounts=(account,))
    return Address("bluesky", bluesky_profile(account), is_post=False, handle=handle, accounts=(account,))


def _mastodon(host: str, parts: list[str]) -> Address | None:
    """A Mastodon-like address: `/@name`, `/@name@elsewhere`, `/users/name`, each with a post's id or not."""
    if parts[:1] == ["users"] and len(parts) > 1:
        name, rest = _MASTODON_NAME.match(parts[1]), [part for part in parts[2:] if part != "statuses"]
    elif parts and parts[0].startswith("@"):
        name, rest = _MASTODON_NAME.match(parts[0]), parts[1:]
    else:
        return None
    if name is None or (rest and not rest[0].isalnum()):
        return None
    home = (name[2] or host).lower()
    profile = _mastodon_profile(name[1], home)
    if not rest or not rest[0].isdigit():
        return profile
    shown = name[1] if home == host else f"{name[1]}@{home}"
    url = f"https://{host}/@{shown}/{rest[0]}"
    return Address("mastodon", url, is_post=True, handle=profile.handle, accounts=profile.accounts)


def _mastodon_profile(name: str, home: str) -> Address:
    account = f"{name.lower()}@{home}"
    return Address("mastodon", f"https://{home}/@{name}", is_post=False, handle=f"@{name}@{home}", accounts=(account,))


def _other(host: str, url: SplitResult) -> Address:
    """Another site: only its address says whose page it is."""
    query = urlencode([(k, v) for k, v in parse_qsl(url.query) if not _TRACKING.match(k)])
    path = url.path.rstrip("/")
    canonical = urlunsplit(("https", host, path, query, ""))
    return Address("other", canonical, is_post=False, handle=f"{host}{path}", accounts=(canonical,))


def _unreadable() -> Refused:
    return Refused(
        "address",
        N_("Copy the address of the profile or post from your browser. It starts with https://."),
        title=N_("We could not read this address"),
        kind="invalid",
        fields={"address": N_("Copy it from your browser. It starts with https://.")},
    )


__all__ = ["Address", "Platform", "bluesky_post", "bluesky_profile", "read_address"]
