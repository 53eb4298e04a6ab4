"""A case: its condition, the people who may be contacted, and its approvals."""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from firsthand.services.discovery.model.hashtags import is_hashtag
from firsthand.shared.acting import Responsible
from firsthand.shared.events.contact import Language
from firsthand.shared.events.discovery import ApprovalKind, ApprovalState, CaseState
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import KeptInstant, Tidy
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_

APPROVALS: Final[tuple[ApprovalKind, ...]] = ("ethics", "data-protection")
ENDS_SOON: Final = timedelta(days=30)
# A clearing that died between taking a place and making the contact leaves a place that nobody uses; it takes
# milliseconds when it lives.
PLACE_LAPSES_AFTER: Final = timedelta(minutes=2)

# It goes into texts and events: one line of what can be read.
Line = Annotated[str, Tidy, StringConstraints(min_length=1, max_length=120)]
Hashtag = Annotated[str, Tidy, StringConstraints(max_length=400)]
Goal = Annotated[str, Tidy, StringConstraints(min_length=1, max_length=300)]
Goals = Annotated[list[Goal], Field(max_length=12, description="what students are to learn from the case")]
Prefix = Annotated[str, Tidy, StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z]{2,6}$")]


class Approval(BaseModel):
    """One approval, as it was entered."""

    number: Line
    expires_at: KeptInstant
    entered_by: Id
    entered_at: AwareDatetime


class CaseDetails(BaseModel):
    """What a coordinator writes of a case. ValueError when something is missing."""

    model_config = ConfigDict(extra="forbid")

    title: Line
    condition: Annotated[dict[Language, Line], Field(description="the condition's plain name by language")]
    hashtags: Annotated[list[Hashtag], Field(min_length=1, max_length=60)]
    languages: Annotated[list[Language], Field(min_length=1)]
    cohorts: list[Id] = []
    tutors: list[Id] = []
    safeguarding_contact: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$", description="a person id")] = ""

    @field_validator("hashtags")
    @classmethod
    def _hashtags(cls, given: list[str]) -> list[str]:
        tags = list(dict.fromkeys(tag.strip().lstrip("#＃") for tag in given if tag.strip("#＃ ")))
        for tag in tags:
            if not is_hashtag(tag):
                raise ValueError("a hashtag has letters, digits and underscores only, no spaces or hyphens")
        return tags

    @model_validator(mode="after")
    def _named_in_each_language(self) -> Self:
        for language in self.languages:
            if language not in self.condition:
                raise ValueError(f"the condition has no plain name in {language}")
        return self


class CaseDraft(CaseDetails):
    """A new case."""

    prefix: Annotated[Prefix, Field(description="2 to 6 letters, unique in the institution; references begin with it")]
    goals: Goals = []


class CaseChange(BaseModel):
    """The fields of a case that may change. Its prefix stays, because references carry it."""

    model_config = ConfigDict(extra="forbid")

    title: Line | None = None
    condition: dict[Language, Line] | None = None
    hashtags: list[Hashtag] | None = None
    languages: list[Language] | None = None
    cohorts: list[Id] | None = None
    tutors: list[Id] | None = None
    goals: Goals | None = None
    safeguarding_contact: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] | None = None
    state: Literal["open", "closed"] | None = None


class Case(Document):
    """A learning case. Its id follows from its prefix, so that a prefix is taken by storing the case."""

    kind: ClassVar[str] = "case"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("state", "prefix"),)
    counts: ClassVar[tuple[tuple[str, ...], ...]] = ((), ("state",))

    prefix: str
    details: CaseDetails
    goals: list[str] = []  # beside the details, in which 0.1 allows nothing that it does not know
    approvals: dict[ApprovalKind, Approval] = {}
    state: Literal["open", "closed"] = "open"
    opened_by: str
    opened_at: AwareDatetime

    def change(self, change: CaseChange, now: datetime) -> None:
        """Apply the given fields. ValueError (pydantic's) when they contradict each other."""
        given = change.model_dump(exclude_none=True)
        self.state = given.pop("state", self.state)
        self.goals = given.pop("goals", self.goals)
        self.details = CaseDetails.model_validate({**self.details.model_dump(), **given})
        # The leads of a closed case are not kept waiting: the timer lets them go.
        self.due_at = now if self.state == "closed" else None

    def approve(self, kind: ApprovalKind, approval: Approval) -> None:
        self.approvals = {**self.approvals, kind: approval}

    def responsible(self, tutor_id: str = "") -> Responsible:
        """The people responsible for the case, or for a contact of it with this tutor."""
        return Responsible(self.details.tutors, tutor_id)

    def takes_names_from(self, staff: Staff) -> bool:
        """Whether this person may name somebody for the case: who acts on it, and the students who learn from it."""
        learns = "student" in staff.roles and not staff.cohorts.isdisjoint(self.details.cohorts)
        return learns or self.responsible().include(staff)

    def may_contact(self, now: datetime) -> None:
        """Check that a person may be contacted for this case now. Raises Refused with the missing part."""
        if self.state == "closed":
            raise Refused(
                "case-closed",
                N_("A coordinator can open it again on the case's page."),
                title=N_("This case is closed"),
            )
        if not self.details.safeguarding_contact:
            raise Refused(
                "no-safeguarding-contact",
                N_("A coordinator enters one on the case's page. Until then, no one can be contacted."),
                title=N_("No safeguarding contact is set"),
            )
        for kind in APPROVALS:
            approval = self.approvals.get(kind)
            if approval is None or approval.expires_at <= now:
                title, text = _MISSING[kind] if approval is None else _ENDED[kind]
                raise Refused("no-approval", text, title=title)

    def said(self) -> CaseState:
        """The case as others may know it."""
        details = self.details
        return CaseState(
            case_id=self.id,
            prefix=self.prefix,
            title=details.title,
            condition=details.condition,
            languages=details.languages,
            cohorts=details.cohorts,
            tutors=details.tutors,
            goals=self.goals,
            approvals=[
                ApprovalState(kind=kind, number=approval.number, expires_at=approval.expires_at)
                for kind, approval in self.approvals.items()
            ],
            safeguarding_contact=details.safeguarding_contact,
            state=self.state,
        )


_ASK: Final = N_("A coordinator enters it on the case's page. You can review leads, but no one can be contacted.")
_MISSING: Final = {
    "ethics": (N_("This case has no ethics approval"), _ASK),
    "data-protection": (N_("This case has no data protection approval"), _ASK),
}
_ENDED: Final = {
    "ethics": (N_("The ethics approval of this case has expired"), _ASK),
    "data-protection": (N_("The data protection approval of this case has expired"), _ASK),
}


class Place(BaseModel):
    """A contact's place among those of a case who are on their way at once, with its running number."""

    number: int
    at: AwareDatetime


class Places(Document):
    """The places of one case (id = case id) and its running number: taken in one write."""

    kind: ClassVar[str] = "places"

    last_number: int = 0
    taken: dict[str, Place] = {}  # by the person's mark

    def take_place(self, mark: str, limit: int, now: datetime) -> Place:
        """Give this person's place: the same when asked again. Raises Refused when `limit` are on their way."""
        if mark not in self.taken:
            if len(self.taken) >= limit:
                raise Refused(
                    "case-full",
                    N_("Wait until a journey is finished, or ask a coordinator about the limit."),
                    title=N_("This case has reached your institution's limit of journeys in progress"),
                )
            self.last_number += 1
            self.taken = {**self.taken, mark: Place(number=self.last_number, at=now)}
        return self.taken[mark]

    def put_back(self, mark: str, number: int, now: datetime) -> None:
        """Take the place again, whatever the limit, of somebody whose journey goes on after all."""
        self.taken = {**self.taken, mark: Place(number=number, at=now)}

    def free(self, *marks: str) -> bool:
        """Free places; False when none of them was taken."""
        before = len(self.taken)
        self.taken = {mark: place for mark, place in self.taken.items() if mark not in marks}
        return len(self.taken) < before

    def doubtful(self, now: datetime) -> list[str]:
        """The marks whose places were taken long enough ago for a contact to be there."""
        return [mark for mark, place in self.taken.items() if now - place.at > PLACE_LAPSES_AFTER]


__all__ = [
    "APPROVALS",
    "ENDS_SOON",
    "Approval",
    "Case",
    "CaseChange",
    "CaseDetails",
    "CaseDraft",
    "Place",
    "Places",
]
