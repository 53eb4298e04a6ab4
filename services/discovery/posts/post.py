"""What an entry of a platform's answer becomes."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.sites import Platform

IgnoredBecause = Literal[
    "not-a-post", "not-public", "bot", "group", "memorial", "opted-out", "no-hashtag", "asked-before", "deleted"
]

_LANGUAGE: Final = re.compile(r"^[a-z]{2,3}$")
_NO_LANGUAGE: Final = frozenset({"und", "mul", "mis", "zxx"})  # ISO 639's words for not knowing
# Of one post, before anything looks at it; few servers of the fediverse allow 30,000 characters.
_LONGEST: Final = 50_000
_MOST_PARTS: Final = 1000  # tags, links and labels
# How people ask, in their name or profile, not to be searched or met by machines.
_OPTED_OUT: Final = re.compile(r"#(nobots?|noindex|nosearch|noarchive)\b", re.IGNORECASE)
T = TypeVar("T", str, int, bool, dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class Post:
    """A public post. `accounts` are the author's names on the platform, the surest first; empty where it names none.
    `elsewhere`: the author's names on other platforms.
    """

    platform: Platform
    permalink: str
    posted_at: datetime | None  # None: the platform does not say
    language: str
    text: str
    tags: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    handle: str = ""
    name: str = ""
    profile: str = ""
    elsewhere: tuple[Account, ...] = ()
    labels: tuple[str, ...] = ()  # of the post and its author, as moderators and authors set them
    changed_at: datetime | None = None  # when the author last edited it; None: the platform does not say

    @property
    def owners(self) -> list[Account]:
        """Every name of the author, with its platform."""
        return [*((self.platform, account) for account in self.accounts), *self.elsewhere]


@dataclass(frozen=True, slots=True)
class Ignored:
    """An entry that is read and left out. A lead of the same post lapses for the same reason.

    `owners`: the author, where the reason holds for everything that they posted.
    """

    because: IgnoredBecause
    permalink: str = field(default="", compare=False)
    owners: tuple[Account, ...] = field(default=(), compare=False)
    changed_at: datetime | None = field(default=None, compare=False)  # when the author last edited it


@dataclass(frozen=True, slots=True)
class Removed:
    """The author deleted a post: erase what we keep of it."""

    permalink: str


@dataclass(frozen=True, slots=True)
class AccountGone:
    """An account was deleted, deactivated, suspended or taken down, with all its posts."""

    owners: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class AccountBack:
    """An account is there again: what comes of it from now on counts."""

    owners: tuple[Account, ...]


class Malformed(ValueError):  # noqa: N818 - the entry's state
    """The entry lacks what a post needs; the message names the field, never its content.

    `advice`: what to do, marked for the catalogues, where something can be done.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.advice = advice


def need(raw: dict[str, Any], field: str, kind: type[T]) -> T:
    """Give a field that a post cannot do without. Raises Malformed."""
    value = raw.get(field)
    if not isinstance(value, kind) or value in ("", {}, []):
        raise Malformed(f"`{field}` is missing" if field not in raw else f"`{field}` is not as the platform gives it")
    return _sound(value)


def maybe(raw: dict[str, Any], field: str, kind: type[T]) -> T:
    """Give a field that may be absent, empty when it is or has another type."""
    value = raw.get(field)
    return _sound(value) if isinstance(value, kind) else kind()


def _sound(value: T) -> T:
    """Cut what is too long for a post, and replace half characters, which JSON can escape and no encoding can write."""
    if isinstance(value, list):
        return value[:_MOST_PARTS]
    return value[:_LONGEST].encode("utf-8", "replace").decode() if isinstance(value, str) else value


def asks_not_to_be_found(*texts: str) -> bool:
    """Return whether one of these texts of a profile opts out of searches or bots."""
    return any(_OPTED_OUT.search(text) for text in texts)


def time_of(raw: dict[str, Any], field: str) -> datetime:
    """Read a time in one of the ways platforms write it (RFC 3339, or `+0000` as Instagram). Raises Malformed."""
    try:
        at = datetime.fromisoformat(need(raw, field, str))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise error if isinstance(error, Malformed) else Malformed(f"`{field}` is not a time") from error


def language_of(tag: object) -> str:
    """Return the language of a BCP 47 tag without its region; empty if it is invalid."""
    primary = tag.split("-")[0].lower() if isinstance(tag, str) else ""
    return primary if _LANGUAGE.match(primary) and primary not in _NO_LANGUAGE else ""


__all__ = [
    "AccountBack",
    "AccountGone",
    "Ignored",
    "IgnoredBecause",
    "Malformed",
    "Post",
    "Removed",
    "asks_not_to_be_found",
    "language_of",
    "maybe",
    "need",
    "time_of",
]
