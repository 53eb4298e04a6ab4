"""The journey of one contact as consent holds it: ONE document, so that every decision is one write. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel, Field

from firsthand.services.consent.model.consent import UNDO_FOR, Consent, Erase, Recording, Signer
from firsthand.services.consent.model.invitation import ANSWER_US, Invitation, Pace, Permission
from firsthand.shared.events.consent import Answer, ConsentState
from firsthand.shared.events.contact import ContactReference, Scope
from firsthand.shared.events.discovery import STAFF_COPIES, ErasedState
from firsthand.shared.events.envelope import Unknown
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

# Who did not answer, or said no, is still named on the tutor's list for so long, to thank them or to log a late answer.
QUIET_FOR: Final = UNDO_FOR
# How long the certificate and the minimal receipt are kept: claims about a consent come late (our own choice).
CERTIFICATE_FOR: Final = timedelta(days=3 * 365)
_COMING_OF_AGE: Final = 18

Stage = Literal[
    "prepared", "sent", "answered", "linked", "closed", "expired",
    "granted", "paused", "declined", "withdrawn", "erasing", "erased",
]  # fmt: skip
# The stage, divided for lists by whose turn it is: `-due`, a reminder may be sent; `later`, they said that, or nothing.
Step = Literal[
    "prepared", "sent", "sent-due", "answered", "later", "later-due", "linked", "closed", "expired",
    "granted", "paused", "declined", "withdrawn", "erasing", "erased",
]  # fmt: skip
STEPS: Final[tuple[Step, ...]] = get_args(Step)


class Meeting(BaseModel):
    """The meeting as scheduling last published it."""

    state: Literal["offered", "scheduled", "finished", "cancelled", "erased"] | Unknown
    starts_at: AwareDatetime | None = None
    recording: Literal["expected", "none"] | Unknown | None = None
    cancelled_by: Literal["family", "tutor", "consent", "not-held"] | Unknown | None = None


class ErasureAnswer(BaseModel):
    """What one service said that it erased, kept, and cannot reach; codes as in its event."""

    at: AwareDatetime
    erased: list[str]
    kept: list[str] = []
    out_of_reach: list[str] = []


class Consumer(BaseModel):
    """A system of the institution that was told of this contact, and what it did when it was asked."""

    name: str  # as the institution calls it
    because: Literal["narrowed", "withdrawn", "erased"] | Unknown
    asked_at: AwareDatetime
    answer: Literal["deleted", "restricted", "not-held"] | Unknown | None = None
    answered_at: AwareDatetime | None = None
    lifted_at: AwareDatetime | None = None  # allowed again before it answered


class MinimalReceipt(BaseModel):
    """What is kept after erasure, so that it can be shown that there was a consent: nothing that names anybody."""

    mark: str  # keyed; tells somebody who comes with the contact's id whether it was this one, and nothing else
    text_version: str = ""
    granted_at: AwareDatetime | None = None
    withdrawn_at: AwareDatetime | None = None
    erased_at: AwareDatetime
    kept_until: AwareDatetime


class Journey(Document):
    """Invitation, consent and erasure of one contact; id = contact id."""

    kind: ClassVar[str] = "journey"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("step", "moved_at"),
        Index.on("case_id", "step", "moved_at"),
        Index.on("tutor_id", "step", "moved_at"),
    )
    # All there are, and whom a tutor guides in a case of theirs, who is to be counted once. What else a tutor sees is
    # counted by the index: it is little, and each kept number costs every journey.
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("step",), ("case_id", "tutor_id", "step"))

    contact: ContactReference
    case_id: str
    # Derived in `settle`, for lists; None in what a release stored that did not know them (`renew`).
    tutor_id: str | None = None
    step: Step | None = None
    stage: Stage = "prepared"
    moved_at: AwareDatetime | None = None

    invitation: Invitation = Field(default_factory=Invitation)
    consent: Consent = Field(default_factory=Consent)
    meeting: Meeting | None = None
    recording: Recording | None = None
    copies_destroyed_at: AwareDatetime | None = None  # of the recording, that staff had elsewhere: after the erasure

    link_id: str | None = None  # the one link that opens; any other is void
    link_made_at: AwareDatetime | None = None
    token: Sealed | None = None
    draft: Sealed | None = None  # the family's answers between two pages
    birth_year: Sealed | None = None
    revisit_at: AwareDatetime | None = None  # when a child comes of age and is asked for itself
    last_record: str | None = None  # the newest Record; each names the one before
    records: int = 0

    answers: dict[str, ErasureAnswer] = {}
    consumers: list[Consumer] = []
    receipt: MinimalReceipt | None = None

    # --- what is so ---------------------------------------------------------------------------------------------

    def told(self) -> ConsentState:
        """The whole state as others may know it."""
        return ConsentState(
            contact=self.contact,
            invitation=self.invitation.told(),
            consent=self.consent.told(self.recording, sorted(self.answers)),
        )

    def current_stage(self) -> Stage:
        if self.consent.state == "erased":
            return "erased"
        if self.consent.erasure_id is not None:
            return "erasing"
        return self.invitation.state if self.consent.state == "none" else self.consent.state

    def current_step(self, at: datetime) -> Step:
        """The stage, and whether it is our turn."""
        stage = self.current_stage()
        if stage == "sent":
            return "sent-due" if self.invitation.reminder_due(at) else "sent"
        if stage == "answered" and self.invitation.answer not in ANSWER_US:
            return "later-due" if self.invitation.reminder_due(at) else "later"
        return stage

    def next_due(self, at: datetime) -> datetime | None:
        """When the timer is to look again."""
        match self.current_stage():
            case "erased":
                return self.receipt.kept_until if self.receipt else None
            case "erasing":
                return None  # the answers of the other services wake it
            case "closed" | "expired" | "declined" | "withdrawn":
                return min(filter(None, (self.consent.erase_at, self.consent.erase_by)), default=None)
            case "granted" | "paused":
                return self.consent.expires_at
            case _:
                return min(filter(None, (self.invitation.reminder_comes(at), self.invitation.ends_at)), default=None)

    def settle(self, at: datetime) -> None:
        """Bring the derived fields in line, before every save."""
        stage = self.current_stage()
        if stage != self.stage or self.moved_at is None:
            self.moved_at = at
        self.stage, self.step, self.tutor_id = stage, self.current_step(at), self.contact.tutor_id
        self.due_at = self.next_due(at)

    @property
    def opens(self) -> bool:
        """Whether the personal link opens anything (after erasure: the certificate alone)."""
        if self.current_stage() == "erased":
            return self.receipt is not None
        return self.link_id is not None and self.current_stage() not in {"closed", "expired"}

    # --- the invitation -----------------------------------------------------------------------------------------

    def message_sent(self, at: datetime, permission: Permission, pace: Pace) -> None:
        self._demand_undecided()
        self.invitation.sent(at, permission, pace)

    def answer_logged(
        self, at: datetime, answer: Answer, *, later_at: datetime | None, pace: Pace, sure: datetime | None = None
    ) -> None:
        self._demand_undecided()
        self.invitation.answered(at, answer, later_at=later_at, pace=pace)
        self.consent.erase_at = self.consent.erase_by = None
        if self.invitation.state == "closed":
            self.consent.erase_later(at, QUIET_FOR, sure)

    def link_made(self, at: datetime, link_id: str, permission: Permission, pace: Pace) -> None:
        """A personal link, whose token is yet to be sealed; the one before is void.

        Who has consented gets a new one whatever became of the approvals.
        """
        self._demand_not_erasing()
        if self.consent.state == "none":
            self.invitation.link_made(at, permission, pace)
        elif self.consent.state == "declined":
            raise _closed()
        self.link_id, self.token, self.link_made_at = link_id, None, at

    def silence(self, at: datetime) -> None:
        """Nobody answered in time: the request ends, and what we know of the person goes soon."""
        self._demand_undecided()
        self.invitation.expired(at)
        self.consent.erase_later(at, QUIET_FOR)

    # --- the family's decisions ---------------------------------------------------------------------------------

    def grant(
        self,
        at: datetime,
        scopes: list[Scope],
        permission: Permission,
        *,
        text_version: str,
        language: str,
        signer: Signer,
        about_child: bool,
        keep_for: timedelta,
        sure: datetime | None = None,
    ) -> None:
        """The first yes. It ends `keep_for` after the time that surely is: on the day that the family is shown."""
        self._demand_not_erasing()
        if self.consent.state == "none" and self.invitation.state != "linked":
            raise _closed()
        if self.consent.state == "none":
            permission.demand(at)
        self.consent.grant(
            at,
            scopes,
            text_version=text_version,
            language=language,
            signer=signer,
            about_child=about_child,
            expires_at=(sure or at) + keep_for,
        )

    def decline(self, at: datetime, sure: datetime | None = None) -> None:
        self._demand_not_erasing()
        self.consent.decline(at, sure)
        self.invitation.close("declined")

    def change(self, at: datetime, scopes: list[Scope], *, text_version: str, by_family: bool) -> None:
        self._demand_not_erasing()
        if not by_family and self.consent.widens(scopes):
            raise Refused(
                "only-the-family",
                N_("Only the family can allow more, on its own page. You can record less, or a withdrawal."),
            )
        self.consent.change(at, scopes, text_version=text_version)

    def withdraw(self, at: datetime, erase: Erase, sure: datetime | None = None) -> None:
        if self.invitation.state == "closed" and self.consent.state == "none":
            self._demand_not_erasing()
            if erase == "now":
                self.consent.erase_now(at, sure)
            return
        before = self.consent.state
        self.consent.withdraw(at, erase, sure)
        if before == "none":
            self.invitation.close("withdrawn")

    # --- the end ------------------------------------------------------------------------------------------------

    def expire(self, at: datetime) -> None:
        """The time for which the family allowed it has ended: as if withdrawn, with deletion at once."""
        if self.consent.expires_at is None or at < self.consent.expires_at:
            raise Refused("not-yet", N_("The agreed period is not over yet."))
        self.consent.withdraw(at, "now")
        self.consent.back_to = None

    def request_erasure(self, sure: datetime, erasure_id: str) -> None:
        """Begin the deletion, if by the time that surely is its day has come. Raises Refused."""
        if self.consent.erasure_id is not None:
            raise Refused("erasing", N_("Deletion has started."))
        if not self.consent.deletion_due(sure):
            raise Refused("not-yet", N_("Deletion is not due yet."))
        self.consent.erasure_id = erasure_id
        self.consent.back_to = None
        if self.invitation.state not in {"closed", "expired"}:
            self.invitation.close("withdrawn")

    def erasure_answered(self, at: datetime, answer: ErasedState) -> bool:
        """Note a service's answer. False if it is no answer to our request, or was noted before."""
        if answer.erasure_id != self.consent.erasure_id or answer.service in self.answers:
            return False
        noted = ErasureAnswer(
            at=at, erased=list(answer.erased), kept=list(answer.kept), out_of_reach=list(answer.out_of_reach)
        )
        self.answers = {**self.answers, answer.service: noted}
        return True

    @property
    def copies(self) -> Literal["to-destroy", "destroyed"] | None:
        """How the copies stand that staff had elsewhere of the recording, once it is erased here."""
        answer = self.answers.get("archive")
        if self.copies_destroyed_at or (answer and STAFF_COPIES in answer.erased):
            return "destroyed"
        return "to-destroy" if answer and STAFF_COPIES in answer.out_of_reach else None

    def still_to_answer(self, services: tuple[str, ...]) -> list[str]:
        return [service for service in services if service not in self.answers]

    def erase(self, at: datetime, *, mark: str, own: ErasureAnswer) -> None:
        """Leave the minimal receipt and the certificate, and nothing of the family."""
        self.receipt = MinimalReceipt(
            mark=mark,
            text_version=self.consent.text_version,
            granted_at=self.consent.granted_at,
            withdrawn_at=self.consent.withdrawn_at,
            erased_at=at,
            kept_until=at + CERTIFICATE_FOR,
        )
        self.answers = {**self.answers, "consent": own}
        self.consent = Consent(
            state="erased",
            text_version=self.consent.text_version,
            language=self.consent.language,
            granted_at=self.consent.granted_at,
            withdrawn_at=self.consent.withdrawn_at,
            erase_at=self.consent.erase_at,
            erasure_id=self.consent.erasure_id,
        )
        self.meeting = self.recording = None
        self.token = self.draft = self.birth_year = self.revisit_at = None
        self.last_record, self.records = None, 0

    def forget_certificate(self, at: datetime) -> None:
        if self.receipt is None or at < self.receipt.kept_until:
            raise Refused("not-yet", N_("The certificate is still being kept."))
        self.receipt, self.answers, self.consumers = None, {}, []
        self.copies_destroyed_at = None
        self.link_id = self.link_made_at = None

    def _demand_undecided(self) -> None:
        self._demand_not_erasing()
        if self.consent.state != "none":
            raise Refused(
                "decided", N_("The family has already decided on its page. Record a change or a withdrawal instead.")
            )

    def _demand_not_erasing(self) -> None:
        if self.consent.erasure_id is not None or self.consent.state == "erased":
            raise Refused("erasing", N_("Deletion has started. Nothing can be changed."))


def steps_of(stage: Stage) -> list[Step]:
    """The steps that a stage is divided into."""
    divided: dict[Stage, list[Step]] = {"sent": ["sent", "sent-due"], "answered": ["answered", "later", "later-due"]}
    return divided.get(stage) or [step for step in STEPS if step == stage]


def comes_of_age(birth_year: int, at: datetime) -> datetime:
    """When somebody born in that year is surely 18: the end of that year; `at` gives the zone."""
    return datetime(birth_year + _COMING_OF_AGE + 1, 1, 1, tzinfo=at.tzinfo)


WRONG_YEAR: Final = N_("Enter the year with four digits, for example 2015, or leave it empty.")
_EARLIEST_BIRTH: Final = 1900


def is_birth_year(year: int | None, now: datetime) -> bool:
    """Tell whether somebody alive may be born in that year."""
    return year is not None and _EARLIEST_BIRTH <= year <= now.year


def in_plain_order(answers: Mapping[str, ErasureAnswer]) -> list[tuple[str, ErasureAnswer]]:
    """The answers in the order of the chain, as a family reads them."""
    order = ("discovery", "consent", "scheduling", "archive", "webhooks")
    return sorted(answers.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _closed() -> Refused:
    return Refused("closed", N_("This request is closed. Nothing more can be decided here."))
