"""What is sent to consent's API, and answered."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from firsthand.services.consent.handlers import invitations, reading
from firsthand.services.consent.model import (
    Consumer,
    Erase,
    ErasureAnswer,
    Journey,
    Meeting,
    MinimalReceipt,
    Recording,
    Signer,
    Stage,
)
from firsthand.services.consent.model.records import Act, Assent
from firsthand.services.consent.model.standing import Point, WaitsFor, standing_of
from firsthand.services.consent.model.texts import Text, TextBody
from firsthand.shared.events.consent import Answer, ConsentRecordState, InvitationState
from firsthand.shared.events.contact import Language, Scope
from firsthand.shared.inputs import Instant, Line, Word
from firsthand.shared.service import Context

LanguageCode = Annotated[str, Field(max_length=35, pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class Approval(BaseModel):
    """The number of the approval that covers the text; `sha256` of what was read, so that nothing else is approved."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[Line, Field(max_length=100)]
    sha256: Annotated[str | None, Field(max_length=64)] = None


class MessageSent(BaseModel):
    """Which text was sent, as `message` of the invitation named it; the approved one when left out."""

    model_config = ConfigDict(extra="forbid")

    language: LanguageCode
    text_version: Annotated[str, Field(max_length=100)]


class AnswerGiven(BaseModel):
    """What the family answered; `later_at` when it said later."""

    model_config = ConfigDict(extra="forbid")

    answer: Answer
    later_at: Instant | None = None


class WithdrawalTold(BaseModel):
    """A withdrawal that reached staff by message."""

    model_config = ConfigDict(extra="forbid")

    erase: Erase
    how_told: Annotated[Line, Field(min_length=1, max_length=200)]
    told_at: Instant | None = None


class ChangeTold(BaseModel):
    """A change to less that reached staff by message."""

    model_config = ConfigDict(extra="forbid")

    scopes: dict[Scope, bool]
    how_told: Annotated[Line, Field(min_length=1, max_length=200)]
    told_at: Instant | None = None


def _assent(value: object) -> object:
    """A plain yes or no is understood: the child agrees, or does not want it."""
    plain = {True: "agrees", False: "objects", "yes": "agrees", "no": "objects"}
    return plain.get(value, value) if isinstance(value, bool | str) else value


class Decision(BaseModel):
    """Who signs, for whom, and every question's answer; a question left out is a no."""

    model_config = ConfigDict(extra="forbid")

    signer: Signer
    name: Annotated[Line, Field(max_length=200)]
    scopes: dict[Scope, bool]
    about_child: bool = False
    child_assent: Annotated[Assent | None, BeforeValidator(_assent)] = None
    birth_year: Annotated[int | None, Field(ge=1900, le=2200)] = None
    decides_alone: bool = True
    other_agrees: Annotated[Line, Field(max_length=200)] = ""
    language: Language | None = None
    text_version: Word | None = None


class Change(BaseModel):
    """The scopes to change; the others stay as they are."""

    model_config = ConfigDict(extra="forbid")

    scopes: dict[Scope, bool]


class End(BaseModel):
    """When everything is to be deleted."""

    model_config = ConfigDict(extra="forbid")

    until: Instant


class Release(BaseModel):
    """Exactly the recording that was seen, by its SHA-256 (hex)."""

    model_config = ConfigDict(extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Withdrawal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    erase: Erase


class TextOut(BaseModel):
    """One version of a case's text in one language."""

    case_id: str
    language: str
    number: int
    sha256: str
    state: Literal["draft", "approved"]
    approval_number: str
    made_at: AwareDatetime
    approved_at: AwareDatetime | None
    text_version: str
    text: TextBody

    @classmethod
    def of(cls, text: Text) -> "TextOut":
        same = {name: getattr(text, name) for name in cls.model_fields if name != "text"}
        return cls(**same, text=text.body)


class TextsOfLanguageOut(BaseModel):
    newest: TextOut | None
    approved: TextOut | None


class TextsOut(BaseModel):
    """By language: the newest and the approved version. `places` may stand in a text in braces."""

    texts: dict[str, TextsOfLanguageOut]
    places: list[str]


class TextVersionsOut(BaseModel):
    """A page; `next` is the cursor of the following one."""

    versions: list[TextOut]
    proposed: TextBody
    next: str | None


class InvitationOut(BaseModel):
    contact_id: str
    reference: str
    case_id: str
    language: str
    tutor_id: str
    state: Stage
    reminder_due: bool
    later_at: AwareDatetime | None
    invitation: InvitationState
    consent: ConsentRecordState

    @classmethod
    def of(cls, context: Context, journey: Journey) -> "InvitationOut":
        told = journey.told()
        return cls(
            contact_id=journey.id,
            reference=journey.contact.reference,
            case_id=journey.case_id,
            language=journey.contact.language,
            tutor_id=journey.contact.tutor_id,
            state=journey.current_stage(),
            reminder_due=journey.invitation.reminder_due(context.clock.now()),
            later_at=journey.invitation.later_at,
            invitation=told.invitation,
            consent=told.consent,
        )


class InvitationsOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one."""

    invitations: list[InvitationOut]
    next: str | None
    total: int


class MessageOut(BaseModel):
    """What a person copies and sends now. `fallback`: the contact's language has no approved text, this is English."""

    which: Literal["first", "reminder"]
    text: str
    language: str
    text_version: str
    fallback: bool


class BlockedOut(BaseModel):
    code: str
    text: str


class WholeInvitationOut(InvitationOut):
    """The invitation, with the message to copy now or with what stands in the way."""

    message: MessageOut | None
    blocked_because: list[BlockedOut]

    @classmethod
    async def of_journey(cls, context: Context, journey: Journey) -> "WholeInvitationOut":
        message, refusals = await invitations.message_of(context, journey)
        return cls(
            **dict(InvitationOut.of(context, journey)),
            message=MessageOut(**vars(message)) if message else None,
            blocked_because=[BlockedOut(code=refused.code, text=refused.text) for refused in refusals],
        )


class LinkOut(BaseModel):
    """A personal link. `usable`: where it leads to us."""

    url: str
    usable: Literal["everywhere", "this machine only"]


class SessionOut(BaseModel):
    """A family's session of 15 minutes, to send as a bearer token."""

    session: str


class CanOut(BaseModel):
    """What the family can do now."""

    decide: bool
    decline: bool
    change: bool
    pause: bool
    resume: bool
    release: bool
    withdraw: bool
    undo: bool


class TextToReadOut(TextBody):
    """The text to decide upon."""

    language: str
    text_version: str


class StandingOut(BaseModel):
    """How things stand, as the family's pages say it in one sentence. `audience`: who can watch at this moment."""

    point: Point
    waits_for: WaitsFor | None
    audience: list[Scope]
    until: AwareDatetime | None

    @classmethod
    def of(cls, context: Context, journey: Journey) -> "StandingOut":
        found = standing_of(journey, context.clock.now(), context.trusted.sure())
        return cls(point=found.point, waits_for=found.waits_for, audience=list(found.audience), until=found.until)


class FamilyOut(BaseModel):
    """What is in force, what can be done now, and the text to decide upon."""

    contact_id: str
    reference: str
    stage: Stage
    invitation: InvitationState
    consent: ConsentRecordState
    allowed: list[Scope]
    latest_end: AwareDatetime | None = None  # to which the family may put off the end
    meeting: Meeting | None
    recording: Recording | None
    can: CanOut
    standing: StandingOut
    text: TextToReadOut | None

    @classmethod
    def of(cls, context: Context, view: reading.FamilyView) -> "FamilyOut":
        journey, text = view.journey, view.ground.text
        told = journey.told()
        reads = text is not None and journey.current_stage() not in {"erasing", "erased"}
        return cls(
            contact_id=journey.id,
            reference=journey.contact.reference,
            stage=journey.current_stage(),
            invitation=told.invitation,
            consent=told.consent,
            allowed=journey.consent.allowed,
            latest_end=journey.consent.latest_end,
            meeting=journey.meeting,
            recording=journey.recording,
            can=CanOut(**reading.can(context, view)),
            standing=StandingOut.of(context, journey),
            text=TextToReadOut(**dict(text.body), language=text.language, text_version=text.text_version)
            if text and reads
            else None,
        )


class ReceiptHeaderOut(BaseModel):
    schema_version: str
    record_id: str | None  # none before the first decision
    pii_principal_id: str
    reference: str
    issued_at: AwareDatetime


class NoticeOut(BaseModel):
    text_version: str
    language: str
    text: TextBody | None


class PurposeOut(BaseModel):
    purpose: Scope
    question: str
    consequence: str
    allowed: bool
    in_force: bool
    included_in: Annotated[Scope | None, Field(description="this was part of a yes to another purpose")] = None
    lawful_basis: Literal["consent"]


class RetentionOut(BaseModel):
    text: str
    until: AwareDatetime | None


class ReleasedOut(BaseModel):
    sha256: str


class ProcessingOut(BaseModel):
    privacy_notice: NoticeOut
    purposes: list[PurposeOut]
    retention: RetentionOut
    recipients: str
    withdrawal_method: str
    released_recording: ReleasedOut | None


class ControllerOut(BaseModel):
    role: Literal["controller"]
    name: str
    country: str
    website: str
    contact: str


class SignerOut(BaseModel):
    role: Literal["signer"]
    signs_as: Signer
    name: str
    about_child: bool
    child_assent: Assent | None
    decides_alone: bool
    other_who_agrees: str | None


class ReceiptEventOut(BaseModel):
    event_id: str
    event_time: AwareDatetime
    event_type: Act
    event_state: str
    entity: Literal["family", "system", "staff"]
    told_at: AwareDatetime | None
    scopes: list[Scope]
    text_version: str
    recording_sha256: str | None


class ReceiptOut(BaseModel):
    """A consent record in the four parts of ISO/IEC TS 27560."""

    header: ReceiptHeaderOut
    processing: ProcessingOut
    parties: list[Annotated[ControllerOut | SignerOut, Field(discriminator="role")]]
    events: list[ReceiptEventOut]


class ServiceErasedOut(ErasureAnswer):
    service: str


class CopiesOut(BaseModel):
    """The copies of the recording that staff had elsewhere: to be destroyed, or destroyed, as a person said."""

    state: str
    destroyed_at: AwareDatetime | None


class CertificateOut(BaseModel):
    """What each service erased, kept and cannot reach."""

    contact_id: str
    reference: str
    erasure_id: str | None
    complete: bool
    waiting_for: list[str]
    completed_at: AwareDatetime | None
    services: list[ServiceErasedOut]
    copies: CopiesOut | None = None
    consumers: Annotated[list[Consumer], Field(description="systems of the institution that were told, and asked")]
    receipt: MinimalReceipt | None
