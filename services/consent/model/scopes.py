"""Scopes: what each one needs, and what a set of them means. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from firsthand.shared.events.contact import SCOPES, Scope
from firsthand.shared.events.envelope import Unknown

RECORD: Final[frozenset[Scope]] = frozenset({"record-video", "record-audio"})
SHARE: Final[frozenset[Scope]] = frozenset({"share-cohort", "share-institution", "share-partners", "share-public"})

# A scope makes sense only together with one of these.
NEEDS: Final[Mapping[Scope, frozenset[Scope]]] = {
    "record-video": frozenset({"meet"}),
    "record-audio": frozenset({"meet"}),
    "transcript": RECORD,
    **dict.fromkeys(SHARE, RECORD),
    "download": SHARE,
}

# Families are asked only for what a page can do today. The contract knows more scopes; what was allowed through the API
# stands.
ASKED: Final[tuple[Scope, ...]] = (
    "meet",
    "record-video",
    "record-audio",
    "transcript",
    "share-cohort",
    "share-institution",
    "download",
)

# What a yes to another scope includes: who may record the picture records the sound with it, and so on.
_WIDER: Final[Mapping[Scope, tuple[Scope, ...]]] = {
    "record-audio": ("record-video",),
    "share-cohort": ("share-institution", "share-public"),
    "share-institution": ("share-public",),
    "share-partners": ("share-public",),
}

Media = Literal["video", "audio"]


def ordered(scopes: Iterable[Scope]) -> list[Scope]:
    """Each scope once, in the order of the contract, so that equal sets are equal lists."""
    chosen = frozenset(scopes)
    return [scope for scope in SCOPES if scope in chosen]


def unmet(scopes: Iterable[Scope]) -> list[Scope]:
    """The scopes whose need is not among the others."""
    chosen = frozenset(scopes)
    return [scope for scope in ordered(chosen) if scope in NEEDS and not NEEDS[scope] & chosen]


def settled(scopes: Iterable[Scope]) -> list[Scope]:
    """Drop what has lost its need, until nothing does: a no takes with it what depends on it."""
    chosen = ordered(scopes)
    while lost := unmet(chosen):
        chosen = [scope for scope in chosen if scope not in lost]
    return chosen


def included_in(scope: Scope, allowed: Iterable[Scope]) -> Scope | None:
    """The scope that was allowed and includes this one; None when none does."""
    chosen = frozenset(allowed)
    return next((wider for wider in _WIDER.get(scope, ()) if wider in chosen), None)


def widest(allowed: Iterable[Scope]) -> list[Scope]:
    """The allowed scopes without those that another includes, so that a page never contradicts itself."""
    chosen = ordered(allowed)
    return [scope for scope in chosen if included_in(scope, chosen) is None]


def covers(scopes: Iterable[Scope], media: Media | Unknown) -> bool:
    """Whether a recording with these media is no wider than the scopes: a picture needs its own yes, sound either; what
    a newer release calls otherwise needs one that we do not know.
    """
    chosen = frozenset(scopes)
    if media == "video":
        return "record-video" in chosen
    return media == "audio" and bool(RECORD & chosen)
