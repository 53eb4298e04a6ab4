"""Whose post a lead is: what the platform says, and what a tutor adds who has looked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firsthand.services.discovery.model.accounts import Account, Address, is_number, may_stay_a_number
from firsthand.services.discovery.model.addresses import current_accounts, read_address
from firsthand.services.discovery.model.leads import Content, Lead
from firsthand.services.discovery.model.sites import Platform
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.texts import N_


@dataclass(frozen=True)
class Who:
    """Who a lead's author is, as the platform and the tutor say, and where the post stands."""

    platform: Platform
    accounts: Sequence[Account]
    spelled: str  # the handle as it was given
    handle: str
    name: str
    profile: str
    post: str


def authors(platform: Platform, content: Content) -> list[Account]:
    """Every name of a lead's author, with its platform, as accounts are named today."""
    return current_accounts([*((platform, account) for account in content.accounts), *content.elsewhere])


def who_is(lead: Lead, content: Content | None, given: str) -> Who:
    """Combine the platform's data with the tutor's address. Raises Refused when neither names the author."""
    if content is None:
        raise NotFound
    accounts = authors(lead.platform, content)
    if given.strip():
        return _who_is_named(lead, content, accounts, _profile(given, _site_of(lead, content)))
    asked = asks_for(lead, content)
    if asked == "profile":
        raise Refused(
            "profile-needed",
            N_("The platform does not say. Open the post and copy the address of the author's profile."),
            title=N_("Whose post is it?"),
            kind="invalid",
            fields={"profile": N_("Copy the address of the author's profile")},
        )
    if asked == "handle":
        raise _handle_needed()
    platform, spelled = accounts[0][0], spelled_in(content.permalink)
    return Who(platform, accounts, spelled, content.handle, content.name, content.profile, content.permalink)


def asks_for(lead: Lead, content: Content) -> Literal["profile", "handle"] | None:
    """Return what a tutor must add for the author to be known again: the profile's address, where the platform names
    nobody, or the handle, where it gives a number only. A Bluesky account whose handle does not resolve has none.
    """
    accounts = authors(lead.platform, content)
    if not accounts:
        return "profile"
    return "handle" if all(is_number(name) for _, name in accounts) and not content.handle else None


def _who_is_named(lead: Lead, content: Content, accounts: list[Account], address: Address) -> Who:
    """Take the author's profile from the tutor, who has looked. Raises Refused: it is not of the same platform."""
    if not address.accounts or not _on_the_same_site(lead, content, address):
        raise Refused(
            "profile",
            N_("Open the post and copy the address of the author's profile on the same platform."),
            title=N_("This is not the author's profile"),
            kind="invalid",
            fields={"profile": N_("Copy the address of the author's profile")},
        )
    accounts = list(dict.fromkeys([*accounts, *address.owners]))
    if all(is_number(name) and not may_stay_a_number(name) for _, name in accounts) and not content.handle:
        raise _handle_needed()
    handle = address.handle or content.handle
    return Who(
        address.platform,
        accounts,
        address.spelled,
        handle,
        content.name,
        address.profile or content.profile,
        content.permalink,
    )


def _on_the_same_site(lead: Lead, content: Content, address: Address) -> bool:
    """Return whether an account may be that of the lead's author. A post that was bridged has its native author."""
    if lead.platform != "other":
        return lead.platform in {platform for platform, _ in address.owners}
    return _site_of(lead, content) in ("", address.site)


def _site_of(lead: Lead, content: Content) -> str:
    """The site of the table on which a lead's author is; empty where it is none, or not known."""
    if lead.platform != "other":
        return lead.platform
    try:
        return read_address(content.permalink).site
    except Refused:  # an earlier release read it
        return ""


def spelled_in(permalink: str) -> str:
    """The handle as an address gives it; empty where it gives none."""
    try:
        return read_address(permalink).spelled
    except Refused:
        return ""


def _profile(given: str, site: str) -> Address:
    """Read the address of the author's profile, or the handle on that site. Raises Refused, of this field."""
    try:
        return read_address(given, on=site)
    except Refused as refused:
        fields = {"profile": next(iter(refused.fields.values()), refused.text)}
        raise Refused(refused.code, refused.text, title=refused.title, kind=refused.kind, fields=fields) from None


def _handle_needed() -> Refused:
    return Refused(
        "handle-needed",
        N_("We know this account only by a number. Open the profile and copy the account's name, for example @name."),
        title=N_("What is the account called?"),
        kind="invalid",
        fields={"profile": N_("Copy the account's name from the profile")},
    )


__all__ = ["Who", "asks_for", "authors", "spelled_in", "who_is"]
