"""What the portal tells: institutions and their policies, people and their roles."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from firsthand.shared.events.contact import Language
from firsthand.shared.events.envelope import Event, State, Unknown

Role = Literal["student", "tutor", "coordinator", "operator", "machine"]


class InstitutionState(State):
    """An institution and the policies that the services keep to."""

    slug: str
    name: str  # of an institution, not of a person
    country: Annotated[str, Field(description="ISO 3166-1 alpha-2")]
    zone: Annotated[str, Field(description="IANA time zone, e.g. `Asia/Qatar`")]
    languages: list[Language]
    website: str = ""
    account: Annotated[str, Field(description="the public handle from which first messages are sent")] = ""
    verify_address: Annotated[
        str, Field(description="where a family can check us: a page or a switchboard's number")
    ] = ""
    reply_address: Annotated[
        str, Field(description="a mailbox of the institution where somebody reads what families answer to a mail")
    ] = ""
    reminder_after_days: int = 5
    invitation_expires_after_days: int = 21
    keep_recordings_days: int = 730
    active_contacts_a_case: Annotated[
        int, Field(description="how many contacts of one case may be on their way at once")
    ] = 20
    cool_off_days: Annotated[int, Field(description="how long a person is left alone after being asked by anybody")] = (
        365
    )
    reward: Annotated[str, Field(description="what is offered, empty for nothing")] = ""


class PersonState(State):
    """A person of an institution's staff or students, or a machine. No name and no address."""

    person_id: str
    roles: list[Role | Unknown]
    cohorts: list[str]
    active: bool
    signed_out_before: Annotated[
        int, Field(description="tokens issued before this time (seconds since 1970) are void")
    ] = 0


class EndedState(State):
    """A sign-in that has ended. Nobody is named."""

    session_id: Annotated[str, Field(description="the `sid` of the session tokens that are void from now on")]


class InstitutionChangedV1(Event[InstitutionState]):
    """An institution was added, or its name or policies changed."""

    service: ClassVar[str] = "portal"
    entity: ClassVar[str] = "institution"
    name: ClassVar[str] = "changed"
    type: Literal["firsthand.institution.changed.v1"]


class PersonChangedV1(Event[PersonState]):
    """A person of the staff or a student, or a machine, was added or changed, signed out everywhere, or let go."""

    service: ClassVar[str] = "portal"
    entity: ClassVar[str] = "person"
    name: ClassVar[str] = "changed"
    type: Literal["firsthand.person.changed.v1"]


class SessionEndedV1(Event[EndedState]):
    """Somebody signed out in one browser; tokens of that sign-in open nothing any more."""

    service: ClassVar[str] = "portal"
    entity: ClassVar[str] = "session"
    name: ClassVar[str] = "ended"
    type: Literal["firsthand.session.ended.v1"]
