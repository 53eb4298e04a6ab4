"""The names under which release 0.1.0 knew an account, so that the marks it made spare the same people today.

It read an address of any site but Instagram and Bluesky either as Mastodon's (`/@name` on any host) or as a page of its
own, capitals and all. A mark does not tell of what it is; so the ways are gone through in which an address may have
been spelled: the hosts of the site, the forms of its addresses, and capitals.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.sites import (
    BRIDGED_FROM_BLUESKY,
    BRIDGED_TO_BLUESKY,
    FEDIVERSE_PEOPLE,
    KNOWN,
    SITES,
    Site,
    without_dots,
)

# A handle with so many letters is gone through in every mixture of capitals (4096); a longer one in the usual ones.
_LETTERS: Final = 12
_USUAL_VARIANTS: Final = ("", "www.", "m.", "mobile.")
_RARE_VARIANTS: Final = ("web.", "mbasic.", "touch.", "old.", "new.", "np.", "music.", "es-la.", "ar-ar.")
_VARIANTS: Final = (*_USUAL_VARIANTS, *_RARE_VARIANTS)
_WORD: Final = re.compile(r"[a-z]+")
# As 0.1.0 read a name behind `@`.
_AS_MASTODON: Final = re.compile(r"^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$")


def earlier_names(account: Account, spelled: str = "") -> Iterator[Account]:
    """Name an account (as it is named today) as 0.1.0 may have. `spelled`: the handle as it was given now."""
    platform, name = account
    match platform:
        case "bluesky":
            yield from _of_bluesky(name)
        case "mastodon":
            yield from _of_the_fediverse(name, spelled)
        case "instagram":  # of whose hosts it knew those that people use, and then capitals do not count
            yield from _in_every_form(KNOWN[platform], _usual(name, spelled))
        case "other":
            yield from _of_a_site(name, spelled)


def _of_bluesky(name: str) -> Iterator[Account]:
    if name.startswith("did:"):
        yield "other", f"https://bsky.brid.gy/ap/{name}"
    else:
        yield "other", f"https://{name}"  # a handle without its sign
        for host in sorted(BRIDGED_FROM_BLUESKY):
            yield "mastodon", f"{name}@{host}"
    yield "other", f"https://bsky.brid.gy/r/https://bsky.app/profile/{name}"


def _of_the_fediverse(name: str, spelled: str) -> Iterator[Account]:
    user, _, home = name.partition("@")
    yield "mastodon", f"{user}@www.{home}"
    yield "bluesky", f"{user.replace('_', '-')}.{home}{BRIDGED_TO_BLUESKY}"
    for kind, spelling, www in itertools.product(FEDIVERSE_PEOPLE, _usual(user, spelled), ("", "www.")):
        yield "other", f"https://{www}{home}/{kind}/{spelling}"


def _of_a_site(account: str, spelled: str) -> Iterator[Account]:
    """`account` is the canonical address of a profile, or a page of a site that is not known."""
    for site in SITES:
        if name := _taken_off(site.profile, account, unless=site.profile_by_id):
            yield from _by_handle(site, name, spelled)
            return
        if number := _taken_off(site.profile_by_id, account, unless=site.profile):
            yield from _by_number(site, number, spelled)
            return
    yield from _of_a_page(account)


def _by_handle(site: Site, name: str, spelled: str) -> Iterator[Account]:
    usual = _usual(name, spelled)
    if site.fold is without_dots:
        usual += [one for at in range(1, len(name)) for one in _usual(f"{name[:at]}.{name[at:]}", "")]
    main = urlsplit(site.profile).path.strip("/")
    most = [f"{variant}{host}" for host in site.hosts[:2] for variant in _USUAL_VARIANTS]
    for host, spelling in itertools.product(most, [*usual, *_every(name)]):
        yield _as_read(host, main.format(name=spelling))
    yield from _in_every_form(site, usual)


def _in_every_form(site: Site, spellings: Iterable[str]) -> Iterator[Account]:
    forms = [form.removesuffix("/*") for form in site.people if "{any}" not in form]
    for host, form, spelling in itertools.product(_hosts(site, _VARIANTS), forms, spellings):
        yield _as_read(host, form.format(name=spelling))


def _by_number(site: Site, number: str, spelled: str) -> Iterator[Account]:
    kind, slash, name = number.partition("/")
    if kind in ("c", "user") and slash:
        spellings = [*_usual(unquote(name), spelled), *_every(unquote(name))]
        for host, before, spelling in itertools.product(_hosts(site, _USUAL_VARIANTS), (f"{kind}/", ""), spellings):
            yield _as_read(host, f"{before}{spelling}")
        return
    forms = [form.removesuffix("/*") for form in site.numbers if "{any}" not in form and "{id}" in form]
    for host in _hosts(site, _VARIANTS):
        yield _as_read(host, number)
        for form in forms:
            yield _as_read(host, form.format(id=number))


def _of_a_page(account: str) -> Iterator[Account]:
    url = urlsplit(account)
    for host, path in itertools.product((url.netloc, f"www.{url.netloc}"), {url.path, unquote(url.path)}):
        yield "other", url._replace(netloc=host, path=path).geturl()


def _taken_off(template: str, account: str, unless: str) -> str:
    """Return the handle or number in an account's canonical address; empty if it has not this form but the other."""
    before, after = _around(template)
    other, _ = _around(unless)
    if not template or not account.startswith(before) or not account.endswith(after):
        return ""
    if unless and len(other) > len(before) and account.startswith(other):
        return ""
    return unquote(account.removeprefix(before).removesuffix(after))


def _around(template: str) -> tuple[str, str]:
    before, _, rest = template.partition("{")
    return before, rest.partition("}")[2]


def _hosts(site: Site, variants: Iterable[str]) -> list[str]:
    return [f"{variant}{host}" for host in site.hosts for variant in variants]


def _as_read(host: str, path: str) -> Account:
    """Name what 0.1.0 made of an address."""
    first = path.partition("/")[0]
    if first.startswith("@") and _AS_MASTODON.match(first[1:]):
        return "mastodon", f"{first[1:].lower()}@{host}"
    return "other", f"https://{host}/{path}"


def _usual(name: str, spelled: str) -> list[str]:
    """Return the usual spellings of a handle: as it was given, small, with capitals where words begin, escaped."""
    plain = [spelled, name, name.capitalize(), _WORD.sub(lambda word: word[0].capitalize(), name), name.upper()]
    escaped = [quote(one, safe="") for one in plain if not one.isascii()]
    return list(dict.fromkeys(one for one in (*plain, *escaped) if one))


def _every(name: str) -> Iterator[str]:
    """Go through the mixtures of capitals, where they are not too many."""
    if sum(character.isalpha() for character in name) <= _LETTERS:
        yield from map("".join, itertools.product(*({c, c.upper()} if c.isascii() else {c} for c in name)))


__all__ = ["earlier_names"]
