"""What discovery tells: cases, and contacts that a tutor cleared."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.contact import ContactReference, Language
from firsthand.shared.events.envelope import Event, State, Unknown
from firsthand.shared.inputs import KeptInstant

ApprovalKind = Literal["ethics", "data-protection"]


class ApprovalState(State):
    """One approval of a case: which, its number, until when it holds."""

    kind: ApprovalKind | Unknown
    number: str
    expires_at: KeptInstant


class CaseState(State):
    """A learning case that looks for contacts."""

    case_id: str
    prefix: str
    title: str
    condition: Annotated[dict[str, str], Field(description="plain name of the condition by language")]
    languages: list[Language]
    cohorts: Annotated[list[str], Field(description="the cohorts that learn from this case")]
    tutors: Annotated[list[str], Field(description="person ids")]
    goals: Annotated[list[str], Field(description="what students are to learn from it, as the institution says")] = []
    approvals: list[ApprovalState]
    safeguarding_contact: Annotated[str, Field(description="person id, empty while none is named")] = ""
    state: Literal["open", "closed"] | Unknown

    def approved_until(self) -> AwareDatetime | None:
        """When the first of the needed approvals ends; None when one is missing or nobody is named for safeguarding."""
        ends = {a.kind: a.expires_at for a in self.approvals}
        if not self.safeguarding_contact or {"ethics", "data-protection"} - ends.keys():
            return None
        return min(ends.values())


class ContactState(State):
    """A lead that a tutor cleared."""

    contact: ContactReference
    platform: Literal["bluesky", "mastodon", "instagram", "other"] | Unknown
    state: Literal["discovered", "erased"] | Unknown


# Among what was erased, as a person said, or out of reach: the copies of a recording that staff has elsewhere.
STAFF_COPIES: Final = "staff-copies"


class ErasedState(State):
    """A service's word that it holds nothing personal of a contact any more."""

    contact_id: str
    erasure_id: str
    service: str
    erased: Annotated[list[str], Field(description="what was erased, as codes, e.g. `handle`, `media`, `mail`")]
    kept: Annotated[
        list[str], Field(description="what is kept, as codes with the reason, e.g. `suppression-mark`")
    ] = []
    out_of_reach: Annotated[
        list[str], Field(description="what cannot be recalled, as codes, e.g. `delivered-mail`")
    ] = []


class CaseChangedV1(Event[CaseState]):
    """A case was opened, changed or closed."""

    service: ClassVar[str] = "discovery"
    entity: ClassVar[str] = "case"
    name: ClassVar[str] = "changed"
    type: Literal["firsthand.case.changed.v1"]


class ContactDiscoveredV1(Event[ContactState]):
    """A tutor cleared a lead: the start of a journey."""

    service: ClassVar[str] = "discovery"
    entity: ClassVar[str] = "contact"
    name: ClassVar[str] = "discovered"
    type: Literal["firsthand.contact.discovered.v1"]


class DiscoveryErasedV1(Event[ErasedState]):
    """Discovery holds nothing personal of the contact any more."""

    service: ClassVar[str] = "discovery"
    entity: ClassVar[str] = "discovery"
    name: ClassVar[str] = "erased"
    type: Literal["firsthand.discovery.erased.v1"]
