"""What the JSON API takes."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, Field, create_model

from firsthand.services.portal.handlers.people import Shown
from firsthand.services.portal.model.institutions import POLICIES, Cohort
from firsthand.services.portal.model.journey import Entry, Journey, Stage
from firsthand.services.portal.model.today import Doing, Task, TaskList
from firsthand.shared.events.contact import Language
from firsthand.shared.events.portal import InstitutionState, Role
from firsthand.shared.identifiers import INSTITUTION_PATTERN, Id, InstitutionId
from firsthand.shared.inputs import CalendarDate, Count, Line

_TEXTS: Final[Mapping[str, Any]] = {
    "name": Line,
    "country": Annotated[Line, Field(max_length=2)],
    "zone": Annotated[Line, Field(max_length=60)],
    "languages": Annotated[list[Language], Field(max_length=20)],
    "website": Line,
    "account": Line,
    "verify_address": Line,
    "reply_address": Line,
    "reward": Line,
}
_NUMBERS: Final[Mapping[str, Any]] = {
    policy.name: Annotated[Count, Field(description=policy.label)] for policy in POLICIES
}


class _NewInstitution(BaseModel):
    """An institution to add. This is the one place where an institution's name comes from a request."""

    slug: Annotated[InstitutionId, Field(pattern=INSTITUTION_PATTERN)]

    def state(self) -> InstitutionState:
        return InstitutionState(**self.model_dump())


class _Policies(BaseModel):
    """What is to change of an institution; what is left out stays."""

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


def _default(name: str) -> Any:
    if name == "languages":
        return ["en"]
    field = InstitutionState.model_fields[name]
    return ... if field.is_required() else field.default


# Both take what InstitutionState holds, and nothing of it is written down twice.
if TYPE_CHECKING:
    NewInstitution = _NewInstitution
    Policies = _Policies
else:
    _FIELDS = {**_TEXTS, **_NUMBERS}
    NewInstitution = create_model(
        "NewInstitution",
        __base__=_NewInstitution,
        __doc__=_NewInstitution.__doc__,
        **{name: (kind, _default(name)) for name, kind in _FIELDS.items()},
    )
    Policies = create_model(
        "Policies",
        __base__=_Policies,
        __doc__=_Policies.__doc__,
        **{name: (kind | None, None) for name, kind in _FIELDS.items()},
    )


class NewPerson(BaseModel):
    name: Line
    email: Annotated[Line, Field(max_length=254)]
    roles: list[Role]
    cohorts: Annotated[list[Id], Field(max_length=50)] = []


class ChangedPerson(BaseModel):
    """What is to change; what is left out stays."""

    name: Line | None = None
    roles: list[Role] | None = None
    cohorts: Annotated[list[Id] | None, Field(max_length=50)] = None
    active: bool | None = None


class Address(BaseModel):
    email: Annotated[Line, Field(max_length=254)]


class AskedSignIn(Address):
    institution: Annotated[Line, Field(max_length=40)]


class NewToken(BaseModel):
    label: Line
    days: Annotated[int, Field(ge=1, le=90)] = 30


class SlugOut(BaseModel):
    slug: str


class InstitutionsOut(BaseModel):
    items: list[InstitutionState]


class PersonIdOut(BaseModel):
    person_id: str


class UrlOut(BaseModel):
    """A one-time sign-in link."""

    url: str


class TokenOut(BaseModel):
    """A machine's token. It is shown once and kept nowhere."""

    token: str
    expires_at: AwareDatetime


class CohortOut(BaseModel):
    id: str
    label: str
    size: int
    learns_until: date

    @classmethod
    def of(cls, cohort: Cohort) -> "CohortOut":
        return cls(id=cohort.id, label=cohort.label, size=cohort.size, learns_until=cohort.learns_until)


class CohortsOut(BaseModel):
    items: list[CohortOut]


class PersonOut(BaseModel):
    person_id: str
    name: str
    email: str
    roles: list[Role]
    cohorts: list[str]
    active: bool
    expires_at: AwareDatetime | None

    @classmethod
    def of(cls, shown: Shown) -> "PersonOut":
        person = shown.person
        return cls(
            person_id=person.id,
            name=shown.name,
            email=shown.email,
            roles=person.roles,
            cohorts=person.cohorts,
            active=person.active,
            expires_at=person.expires_at,
        )


class PeopleOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one."""

    items: list[PersonOut]
    next: str | None
    total: int


class LabelOut(BaseModel):
    label: str


class PersonLabelOut(LabelOut):
    person_id: str


class LabelsOut(BaseModel):
    items: list[PersonLabelOut]


class DetailOut(BaseModel):
    detail: str


class JourneyOut(BaseModel):
    """A journey in one line."""

    contact_id: str
    reference: str
    case_id: str
    stage: Stage
    paused: bool
    language: str
    tutor_id: str
    moved_at: AwareDatetime

    @classmethod
    def of(cls, journey: Journey) -> "JourneyOut":
        shown = {name: getattr(journey, name) for name in JourneyOut.model_fields if name != "contact_id"}
        return cls(contact_id=journey.id, **shown)


class WholeJourneyOut(JourneyOut):
    """A journey with everything that happened, in order."""

    timeline: list[Entry]


class JourneysOut(BaseModel):
    """A page of journeys; `counts` by stage; `next` is the cursor of the following page."""

    items: list[JourneyOut]
    counts: dict[Stage, int]
    next: str | None


class TaskOut(BaseModel):
    """One thing to do for one contact; `at`: when it became or becomes due; `url`: the page where it is done."""

    doing: Doing
    contact_id: str
    reference: str
    at: AwareDatetime
    url: str

    @classmethod
    def of(cls, task: Task) -> "TaskOut":
        return cls(**vars(task))


class TasksOut(BaseModel):
    """A page of one list of tasks; `number`: how many there are in all; `next`: the cursor of the following page."""

    items: list[TaskOut]
    number: int
    next: str | None


class TodayOut(BaseModel):
    """A person's day: the first tasks, how many there are in each list, the first meetings that are more than a day
    away, and how many journeys wait for a family or a colleague.
    """

    items: list[TaskOut]
    numbers: dict[TaskList, int]
    coming: list[TaskOut]
    waiting: int


class CohortFields(BaseModel):
    label: Line
    size: Count
    learns_until: CalendarDate
