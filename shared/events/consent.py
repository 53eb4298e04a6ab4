"""What consent tells: the invitation's way, and what is allowed now. All of one contact come from one document."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.contact import ContactReference, Language, Scope
from firsthand.shared.events.envelope import Event, State, Unknown, is_known

ConsentStateName = Literal["none", "granted", "paused", "declined", "withdrawn", "erased"]
InvitationStateName = Literal["prepared", "sent", "answered", "linked", "closed", "expired"]
ClosedBecause = Literal["no", "wrong-person", "declined", "withdrawn", "approval-ended"]
Answer = Literal["yes", "no", "later", "question", "wrong-person", "none"]


class InvitationState(State):
    """The one request to a contact."""

    state: InvitationStateName | Unknown
    answer: Answer | Unknown | None = None
    sent_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    later_at: Annotated[
        AwareDatetime | None, Field(description="the answer was `later`: from when on one message may follow")
    ] = None
    closed_because: ClosedBecause | Unknown | None = None


class ConsentRecordState(State):
    """What the family allows now. `scopes` is empty unless `state` is `granted`."""

    state: ConsentStateName | Unknown
    scopes: list[Scope | Unknown] = []
    text_version: Annotated[str, Field(description="version and SHA-256 of what was shown, `<version>:<hash>`")] = ""
    language: Language = "en"
    signer: Literal["self", "parent", "guardian", "carer"] | Unknown | None = None
    about_child: bool = False
    granted_at: AwareDatetime | None = None
    changed_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    released: Annotated[bool, Field(description="the second yes, after seeing the recording")] = False
    released_sha256: Annotated[str, Field(description="exactly this recording was seen and released; its SHA-256")] = ""
    withdrawn_at: AwareDatetime | None = None
    erase_at: Annotated[
        AwareDatetime | None, Field(description="when deletion starts; until then it can be undone")
    ] = None
    erasure_id: str | None = None
    erased_by: Annotated[list[str], Field(description="the services that have answered the erasure")] = []


class ConsentState(State):
    """The whole state of the consent service's document of one contact."""

    contact: ContactReference
    invitation: InvitationState
    consent: ConsentRecordState

    @property
    def is_known(self) -> bool:
        """Whether this release knows every state and reason in it. What it does not know allows nothing, and causes
        nothing either until a state comes that it knows.
        """
        return (
            is_known(self.consent.state, ConsentStateName)
            and is_known(self.invitation.state, InvitationStateName)
            and is_known(self.invitation.answer, Answer)
            and is_known(self.invitation.closed_because, ClosedBecause)
        )


class _Consent(Event[ConsentState]):
    service: ClassVar[str] = "consent"


class InvitationPreparedV1(_Consent):
    """The first message is ready for a tutor to send."""

    entity: ClassVar[str] = "invitation"
    name: ClassVar[str] = "prepared"
    type: Literal["firsthand.invitation.prepared.v1"]


class InvitationSentV1(_Consent):
    """A person sent the first message (or its one reminder) and said so."""

    entity: ClassVar[str] = "invitation"
    name: ClassVar[str] = "sent"
    type: Literal["firsthand.invitation.sent.v1"]


class InvitationAnsweredV1(_Consent):
    """The person answered the first message."""

    entity: ClassVar[str] = "invitation"
    name: ClassVar[str] = "answered"
    type: Literal["firsthand.invitation.answered.v1"]


class InvitationLinkedV1(_Consent):
    """A personal link was made for the family; the one before opens nothing any more."""

    entity: ClassVar[str] = "invitation"
    name: ClassVar[str] = "linked"
    type: Literal["firsthand.invitation.linked.v1"]


class InvitationExpiredV1(_Consent):
    """Nobody answered in time. The person is not asked again."""

    entity: ClassVar[str] = "invitation"
    name: ClassVar[str] = "expired"
    type: Literal["firsthand.invitation.expired.v1"]


class ConsentGrantedV1(_Consent):
    """The family said yes; `scopes` says to what."""

    entity: ClassVar[str] = "consent"
    name: ClassVar[str] = "granted"
    type: Literal["firsthand.consent.granted.v1"]


class ConsentDeclinedV1(_Consent):
    """The family read the text and said no."""

    entity: ClassVar[str] = "consent"
    name: ClassVar[str] = "declined"
    urgent: ClassVar[bool] = True
    type: Literal["firsthand.consent.declined.v1"]


class ConsentChangedV1(_Consent):
    """Scopes changed, paused, resumed, or a withdrawal undone in time."""

    entity: ClassVar[str] = "consent"
    name: ClassVar[str] = "changed"
    urgent: ClassVar[bool] = True
    type: Literal["firsthand.consent.changed.v1"]


class ConsentReleasedV1(_Consent):
    """The second yes: the family has seen the recording and lets it be shown."""

    entity: ClassVar[str] = "consent"
    name: ClassVar[str] = "released"
    type: Literal["firsthand.consent.released.v1"]


class ConsentWithdrawnV1(_Consent):
    """Nothing is allowed any more. When `erase_at` has come, `erasure.requested` follows."""

    entity: ClassVar[str] = "consent"
    name: ClassVar[str] = "withdrawn"
    urgent: ClassVar[bool] = True
    type: Literal["firsthand.consent.withdrawn.v1"]


class ErasureRequestedV1(_Consent):
    """Every service erases what it holds of the contact and answers `<service>.erased`."""

    entity: ClassVar[str] = "erasure"
    name: ClassVar[str] = "requested"
    urgent: ClassVar[bool] = True
    type: Literal["firsthand.erasure.requested.v1"]


class ErasureCompletedV1(_Consent):
    """All services that the topology names have answered, and consent has erased its own."""

    entity: ClassVar[str] = "erasure"
    name: ClassVar[str] = "completed"
    type: Literal["firsthand.erasure.completed.v1"]


class LockedState(State):
    """A device on which the family's page was locked. Nobody is named, and no contact."""

    session_id: Annotated[str, Field(description="the `sid` of the session tokens that are void from now on")]


class PageLockedV1(Event[LockedState]):
    """A family locked its page on one device; tokens of that device's session open nothing any more."""

    service: ClassVar[str] = "consent"
    entity: ClassVar[str] = "page"
    name: ClassVar[str] = "locked"
    type: Literal["firsthand.page.locked.v1"]
