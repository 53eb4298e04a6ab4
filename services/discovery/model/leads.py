"""A lead: a public post or profile that might become a contact, kept for 30 days at most."""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from firsthand.services.discovery.model.accounts import Account
from firsthand.services.discovery.model.sites import Platform
from firsthand.shared.events.contact import Language
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

KEPT_FOR: Final = timedelta(days=30)  # product.md: a post's text waits for a decision 30 days at most
WEEK_KEPT_FOR: Final = KEPT_FOR + timedelta(days=7)  # a week's key, from its first lead on
LONGEST_TEXT: Final = 5000  # characters of a post that are kept while it waits

Source = Literal["bluesky", "jetstream", "mastodon", "instagram", "by-hand"]
LeadState = Literal["waiting", "cleared", "refused", "asked-before", "lapsed"]

# Why a lead lapsed; None in documents of releases that did not say.
LapsedBecause = Literal[
    "undecided",
    "case-closed",
    "deleted",
    "account-gone",
    "no-hashtag",
    "not-public",
    "opted-out",
    "bot",
    "group",
    "memorial",
]

RefusalReason = Literal[
    "off-topic", "gone", "not-public", "not-adult", "vulnerable", "commercial", "opted-out", "other"
]
REASONS: Final[dict[RefusalReason, str]] = {
    "off-topic": N_("The post is about something else"),
    "gone": N_("The post was deleted or hidden"),
    "not-public": N_("The account is not public"),
    "not-adult": N_("The account belongs to a child"),
    "vulnerable": N_("The person seems vulnerable or in distress"),
    "commercial": N_("The account belongs to a clinic, a company or a charity"),
    "opted-out": N_("The person does not want to be contacted"),
    "other": N_("Another reason"),
}
# These say something about the person, who is then not shown again; the others only about the post.
_ABOUT_THE_PERSON: Final = frozenset({"not-public", "not-adult", "vulnerable", "commercial", "opted-out"})


class Checks(BaseModel):
    """What a tutor has looked at, each answered with yes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    public: bool = False
    adult: bool = False
    not_vulnerable: bool = False
    not_asked_before: bool = False

    def require(self) -> None:
        """Raise Refused unless every one is a yes."""
        if missing := [name for name, yes in self if not yes]:
            raise Refused(
                "checks",
                N_("If any answer is no, refuse the lead."),
                title=N_("Every check needs a yes"),
                kind="invalid",
                fields={f"checks.{name}": N_("The answer must be yes") for name in missing},
            )


class Content(BaseModel):
    """What a lead says of somebody: sealed as one, while it waits."""

    permalink: str
    text: str = ""
    handle: str = ""
    name: str = ""
    profile: str = ""
    accounts: list[str] = []  # the names under which the author is known to the platform, the surest first
    elsewhere: list[Account] = []  # and to other platforms
    labels: list[str] = []  # of the post and its author, as moderators and authors set them

    def seen_again(self, later: "Content") -> "Content":
        """Return what a later look says. A source that names the author by number only takes no name away."""
        if later.handle or not self.accounts:
            return later
        author = {"handle", "name", "profile", "accounts", "elsewhere", "labels"}
        labels = list(dict.fromkeys([*self.labels, *later.labels]))
        return later.model_copy(update={**self.model_dump(include=author), "labels": labels})


class Lead(Document):
    """A post or profile in a case. Its id is the mark of case and permalink: the same post is the same lead."""

    kind: ClassVar[str] = "lead"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("state", "posted_at"),
        Index.on("case_id", "state", "posted_at"),
        Index.on("case_id", "state", "language", "posted_at"),
        Index.on("author", "state"),
        Index.on("also", "state"),
    )
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("state",), ("case_id", "state"))

    case_id: str
    platform: Platform
    source: Source
    posted_at: AwareDatetime  # of a nominated profile: when it was nominated
    found_at: AwareDatetime
    found_by: str  # person id
    language: str = ""  # empty: the platform does not say
    tags: list[str] = []  # the case's own hashtags that it carries
    author: str | None = None  # the author's marks, which reveal nothing
    also: str | None = None
    week: str  # whose key seals the content: see `week_of`
    content: Sealed | None = None
    state: LeadState = "waiting"
    decided_by: str = ""
    decided_at: AwareDatetime | None = None
    reason: RefusalReason | None = None
    contact_id: str = ""
    lapsed_because: LapsedBecause | None = None
    looked_at: AwareDatetime | None = None  # None: when it was found
    looked_by: Source | None = None  # which source said so last; None: the one that found it
    changed_at: AwareDatetime | None = None  # when its author last edited it, as far as a source said

    @property
    def marks(self) -> list[str]:
        return [mark for mark in (self.author, self.also) if mark]

    def clear(self, contact_id: str, by: str, at: datetime) -> None:
        self.contact_id = contact_id
        self._decide("cleared", by, at)

    def refuse(self, reason: RefusalReason, by: str, at: datetime) -> bool:
        """Refuse it. Tells whether the reason is about the person, who is then not shown again."""
        self.must_wait()
        self.reason = reason
        self._decide("refused", by, at)
        return reason in _ABOUT_THE_PERSON

    def close(self, at: datetime) -> None:
        """Its author became a contact, was refused or said no elsewhere in the institution."""
        self._decide("asked-before", "system", at)

    def lapse(self, because: LapsedBecause, at: datetime) -> None:
        """It waits no more, and no tutor decided."""
        self.lapsed_because = because
        self._decide("lapsed", "system", at)

    def accepts(self, changed_at: datetime | None) -> bool:
        """Return whether a look at the post as edited then is no older than what is known."""
        return self.changed_at is None or (changed_at is not None and changed_at >= self.changed_at)

    def must_wait(self) -> None:
        if self.state != "waiting":
            raise Refused(
                "decided",
                N_("Someone else decided it, or it has expired. Go back to the leads."),
                title=N_("This lead has already been decided"),
            )

    def wipe(self) -> None:
        """Leave nothing that says whose it was; the id stays, so that the same post does not come again."""
        self.content, self.author, self.also, self.due_at = None, None, None, None

    def _decide(self, state: LeadState, by: str, at: datetime) -> None:
        self.state, self.decided_by, self.decided_at = state, by, at
        self.content, self.due_at = None, None


class Gone(Document):
    """That a post or an account was deleted, remembered in case its posts arrive later.

    Its id is the mark of the post in a case, or of the account, and reveals nothing.
    """

    kind: ClassVar[str] = "gone"


class Week(Document):
    """The leads of one case found in one week (id = owner of the key that seals them): the key goes when all went."""

    kind: ClassVar[str] = "week"

    case_id: str
    names: int | None = None  # by which rules the authors of its leads are named: see `people.NAMES`


def week_of(case_id: str, at: datetime) -> str:
    """Name the key of the leads of a case found in the ISO week of `at`."""
    year, week, _ = at.isocalendar()
    return f"leads-{case_id}-{year}w{week:02d}"


def week_ends(at: datetime) -> datetime:
    """When no lead of the ISO week of `at` can be waiting any more."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=8 - at.isoweekday()) + KEPT_FOR


class Clearing(BaseModel):
    """What a tutor says when clearing a lead."""

    model_config = ConfigDict(extra="forbid")

    profile: Annotated[
        str,
        Field(max_length=4000, description="the profile's address or a handle; needed where the platform gives none"),
    ] = ""
    checks: Checks = Checks()
    language: Annotated[
        Language | None, Field(description="in which to write; the post's where it is one of the case's")
    ] = None


__all__ = [
    "KEPT_FOR",
    "LONGEST_TEXT",
    "REASONS",
    "WEEK_KEPT_FOR",
    "Checks",
    "Clearing",
    "Content",
    "Gone",
    "LapsedBecause",
    "Lead",
    "LeadState",
    "RefusalReason",
    "Source",
    "Week",
    "week_ends",
    "week_of",
]
