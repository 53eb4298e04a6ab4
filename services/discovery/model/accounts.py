"""An account as its site knows it: what an address says of whose it is, and the one form of hosts and handles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import idna

from firsthand.services.discovery.model.sites import (
    BRIDGED_FROM_BLUESKY,
    BRIDGED_FROM_WEB,
    BRIDGED_TO_BLUESKY,
    BRIDGES,
    KNOWN,
    REDIRECTS,
    Platform,
    Site,
    site_of,
)
from firsthand.shared.refused import Refused
from firsthand.shared.texts import N_

Account = tuple[Platform, str]  # a platform, and a name under which it knows somebody

BLUESKY_HANDLE: Final = re.compile(r"^([a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$")  # a domain name
UNRESOLVED: Final = "handle.invalid"  # what Bluesky shows of everybody whose handle does not lead to the account
DID: Final = re.compile(r"^did:[a-z]+:[A-Za-z0-9._:%-]{1,300}$")
FEDIVERSE_NAME: Final = re.compile(r"^[a-z0-9_~-](?:[a-z0-9_.~-]{0,200}[a-z0-9_~-])?$")  # folded
_RECORD_KEY: Final = re.compile(r"^[A-Za-z0-9._:~-]{1,512}$")  # atproto.com/specs/record-key
_HOST: Final = re.compile(r"^([a-z0-9-]{1,63}\.){1,30}[a-z0-9-]{2,63}$")
_LONGEST_HOST: Final = 253  # characters of a domain name
_TRACKING: Final = re.compile(r"^(utm_.*|igsh|igshid|fbclid|gclid|si)$", re.IGNORECASE)
_MOST_FIELDS: Final = 100  # parameters of one address
_ESCAPE: Final = re.compile(r"%[0-9a-fA-F]{2}")
_IN_PATH: Final = "/%:@!$&'()*+,;=~-._"  # what a path may hold as it is

_FACEBOOK_NUMBER: Final = KNOWN["facebook"].profile_by_id.removesuffix("{id}")
_YOUTUBE_NUMBERS: Final = tuple(
    KNOWN["youtube"].profile_by_id.format(id=f"{kind}/") for kind in ("channel", "c", "user")
)


@dataclass(frozen=True)
class Address:
    """An address that a person gave. `accounts` are the names under which its platform knows the owner, the surest
    first; empty when the address does not say whose it is. `elsewhere`: the same account on other platforms.
    """

    platform: Platform
    url: str  # canonical, safe to open
    is_post: bool
    handle: str = ""  # as it is shown; empty where the account is known by a number only
    accounts: tuple[str, ...] = ()
    elsewhere: tuple[Account, ...] = ()
    profile: str = ""  # of the owner
    site: str = ""  # which one it is of: a key of the table, `bluesky`, `fediverse`, or empty for any other
    spelled: str = ""  # the handle as it was given

    @property
    def owners(self) -> list[Account]:
        """Every name of the owner, with its platform."""
        return [*((self.platform, account) for account in self.accounts), *self.elsewhere]


def is_number(account: str) -> bool:
    """Return whether an account's name is only what its site calls it, by which nobody would search for a person."""
    return account.startswith(("did:", _FACEBOOK_NUMBER, *_YOUTUBE_NUMBERS))


def may_stay_a_number(account: str) -> bool:
    """Return whether the account may have no handle, so that the number is all that anybody can give."""
    return account.startswith(_FACEBOOK_NUMBER)


def host_in_one_form(text: str) -> str:
    """Return a host in lower case, ASCII, without a dot at its end. ValueError if it is none."""
    host = text.lower().removesuffix(".")
    if not host.isascii() and len(host) <= _LONGEST_HOST:
        host = idna.encode(host, uts46=True).decode()
    if len(host) > _LONGEST_HOST or not _HOST.match(host):
        raise ValueError("no host")
    return host


def host_of(url: SplitResult) -> str:
    """Return the host of a URL, with its port where that is not the usual one. ValueError."""
    host, port = host_in_one_form(url.hostname or ""), url.port
    return f"{host}:{port}" if port and port not in (80, 443) else host


def home_of(text: str) -> str:
    """Return the server that a fediverse handle names, with its port if it has one. ValueError."""
    return host_of(urlsplit(f"https://{text}"))


def plain(host: str) -> str:
    """Return a host as accounts name it."""
    short = host.removeprefix("www.")
    return short if "." in short else host


def parameters(url: SplitResult) -> Mapping[str, str]:
    """Return the parameters of a URL. ValueError when they are too many for an address that somebody copied."""
    return dict(parse_qsl(url.query, max_num_fields=_MOST_FIELDS))


def canonical(host: str, url: SplitResult) -> str:
    """Return a URL on a host without what only says where it was copied. ValueError."""
    query = urlencode([(k, v) for k, v in parse_qsl(url.query, max_num_fields=_MOST_FIELDS) if not _TRACKING.match(k)])
    path = _ESCAPE.sub(lambda escape: escape[0].upper(), quote(url.path.rstrip("/"), safe=_IN_PATH))
    return urlunsplit(("https", host, path, query, ""))


def bluesky_post(did: str, rkey: str) -> str:
    """The address of a Bluesky post: by the account's id, which stays when a handle changes."""
    return f"https://bsky.app/profile/{did}/post/{rkey}"


def bluesky_profile(did: str) -> str:
    return f"https://bsky.app/profile/{did}"


def on_bluesky(given: str, rkey: str = "") -> Address:
    """A Bluesky account by handle or id, or a post of it. A bridged handle is the native account.

    Raises Refused, or ValueError.
    """
    account, native, handle = given.removeprefix("@"), None, ""
    if rkey and not _RECORD_KEY.match(rkey):
        raise unreadable()
    if not DID.match(account):
        account = host_in_one_form(account)
        if not BLUESKY_HANDLE.match(account):
            raise unreadable()
        if account == UNRESOLVED:
            raise nobody()
        native, handle = _native(account), f"@{account}"
    profile = bluesky_profile(account)
    address = native or Address(
        "bluesky", profile, is_post=False, handle=handle, accounts=(account,), profile=profile, site="bluesky"
    )
    return replace(address, url=bluesky_post(account, rkey), is_post=True) if rkey else address


def _native(handle: str) -> Address | None:
    """Return the fediverse account for which a handle on Bluesky stands. A dash was an underscore there."""
    if not handle.endswith(BRIDGED_TO_BLUESKY):
        return None
    user, _, home = handle.removesuffix(BRIDGED_TO_BLUESKY).partition(".")
    if not _HOST.match(home) or home in BRIDGES:
        return None
    return replace(of_home(user.replace("-", "_"), home), elsewhere=(("bluesky", handle),))


def on_site(site: Site, name: str, number: str, spelled: str = "") -> Address:
    """An account of a site of the table, by its folded handle or its number."""
    profile = site.profile_of(name, number)
    return Address(
        site.platform,
        profile,
        is_post=False,
        handle=f"@{name}" if name else "",
        accounts=(name if site.platform == "instagram" else profile,),
        # A Threads account is an Instagram account of the same name.
        elsewhere=(("instagram", name),) if site.key == "threads" else (),
        profile=profile,
        site=site.key,
        spelled=spelled or name,
    )


def of_home(name: str, home: str) -> Address:
    """The account that the fediverse calls `name@home`. Raises Refused, or ValueError."""
    host = home.partition(":")[0]
    if host in BRIDGED_FROM_BLUESKY:
        return on_bluesky(name)
    if host in BRIDGED_FROM_WEB:
        native = host_in_one_form(name)
        return elsewhere(native, urlsplit(f"https://{native}"))
    if (site := site_of(host)) is not None:
        person = site.person({"name": name}, bare=True)
        if person is None:
            raise nobody()
        return on_site(site, *person, spelled=name)
    user, domain = name.lower(), plain(home)
    if not FEDIVERSE_NAME.match(user) or host in REDIRECTS or host in BRIDGES:
        raise unreadable()
    profile = f"https://{domain}/@{name}"
    return Address(
        "mastodon",
        profile,
        is_post=False,
        handle=f"@{name}@{domain}",
        accounts=(f"{user}@{domain}",),
        profile=profile,
        site="fediverse",
        spelled=name,
    )


def elsewhere(host: str, url: SplitResult) -> Address:
    """A page of a site that we do not know: only its address says whose it is. ValueError."""
    page, account = canonical(host, url), canonical(plain(host), url)
    handle = f"{host}{url.path.rstrip('/')}"
    return Address("other", page, is_post=False, handle=handle, accounts=(account,), profile=page)


def unreadable() -> Refused:
    """What was given is no address."""
    return Refused(
        "address",
        N_("Copy the address of the profile or post from your browser. It starts with https://."),
        title=N_("We could not read this address"),
        kind="invalid",
        fields={"address": N_("Copy it from your browser. It starts with https://.")},
    )


def nobody() -> Refused:
    """An address that leads to somebody, perhaps, but does not name them."""
    return Refused(
        "names-nobody",
        N_("Open it and copy the address that your browser then shows."),
        title=N_("This address does not say whose it is"),
        kind="invalid",
        fields={"address": N_("Open it and copy the address that your browser then shows.")},
    )


__all__ = [
    "BLUESKY_HANDLE",
    "DID",
    "FEDIVERSE_NAME",
    "UNRESOLVED",
    "Account",
    "Address",
    "bluesky_post",
    "bluesky_profile",
    "canonical",
    "elsewhere",
    "home_of",
    "host_in_one_form",
    "host_of",
    "is_number",
    "may_stay_a_number",
    "nobody",
    "of_home",
    "on_bluesky",
    "on_site",
    "parameters",
    "plain",
    "unreadable",
]
