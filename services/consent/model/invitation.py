"""The invitation's way: one first message, one reminder, one answer, then the personal link or silence. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel

from firsthand.shared.events.consent import Answer, InvitationState
from firsthand.shared.refused import Refused
from firsthand.shared.texts import N_

State = Literal["prepared", "sent", "answered", "linked", "closed", "expired"]
ClosedBecause = Literal["no", "wrong-person", "declined", "withdrawn", "approval-ended"]

# Whom nobody wrote to for so long is not kept (our own choice: as little as possible, for as short as possible).
UNSENT_FOR: Final = timedelta(days=90)

# Answers after which nothing is ever sent again.
FINAL: Final[dict[Answer, ClosedBecause]] = {"no": "no", "wrong-person": "wrong-person"}
# Answers after which the next word is ours: the personal link, or what they asked.
ANSWER_US: Final[frozenset[Answer]] = frozenset({"yes", "question"})


@dataclass(frozen=True)
class Permission:
    """What lets a case be in touch with anybody, as it stands now."""

    approved_until: datetime | None  # when the first of the case's approvals ends; None while one is missing
    case_open: bool
    text_version: str | None  # the approved text of the contact's language, None while there is none

    def refusals(self, at: datetime) -> list[Refused]:
        """Everything that stands in the way at `at`, each with what to do; empty when a message may go out."""
        found = []
        if not self.case_open:
            found.append(Refused("case-closed", N_("This case is closed. Nothing more can be sent for it.")))
        if self.approved_until is None:
            found.append(
                Refused(
                    "not-approved",
                    N_(
                        "The case needs an ethics approval, a data protection approval and a safeguarding contact. A "
                        "coordinator adds what is missing on the case's page."
                    ),
                )
            )
        elif self.approved_until <= at:
            found.append(
                Refused(
                    "approval-ended",
                    N_(
                        "An approval of this case has expired. A coordinator enters the renewed one on the case's page."
                    ),
                )
            )
        if self.text_version is None:
            found.append(
                Refused(
                    "text-not-approved",
                    N_(
                        "The case has no approved text yet. A coordinator approves one on the page of the case's texts."
                    ),
                )
            )
        return found

    def demand(self, at: datetime) -> None:
        for refused in self.refusals(at):
            raise refused


@dataclass(frozen=True)
class Pace:
    """How long an institution waits, by its policy."""

    reminder_after: timedelta = timedelta(days=5)
    expires_after: timedelta = timedelta(days=21)


class Invitation(BaseModel):
    """The one request to a contact."""

    state: State = "prepared"
    answer: Answer | None = None
    sent_at: AwareDatetime | None = None
    reminded_at: AwareDatetime | None = None
    reminder_from: AwareDatetime | None = None  # from when on the one reminder may be sent
    answered_at: AwareDatetime | None = None
    later_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None  # when silence begins
    closed_because: ClosedBecause | None = None
    text_version: str = ""  # what the first message was taken from

    @property
    def waits(self) -> bool:
        """Whether something is still to come, from us or from the family, so that it may end in silence."""
        return self.state in {"prepared", "sent", "answered", "linked"}

    def prepared(self, at: datetime) -> None:
        """A contact is known; if nobody writes to it in time, it is forgotten again."""
        self.ends_at = at + UNSENT_FOR

    def reminder_due(self, at: datetime) -> bool:
        """Whether a person may send the one reminder now."""
        begins = self._reminder_from
        return begins is not None and begins <= at and (self.ends_at is None or at < self.ends_at)

    def reminder_comes(self, at: datetime) -> datetime | None:
        """From when on the one reminder may be sent, while that is still to come."""
        begins = self._reminder_from
        return begins if begins is not None and begins > at else None

    @property
    def _reminder_from(self) -> datetime | None:
        asked_again = self.answer == "later" and self.state == "answered"
        waiting = self.state == "sent" or asked_again
        return self.reminder_from if waiting and self.reminded_at is None else None

    def to_send(self, at: datetime) -> Literal["first", "reminder"] | None:
        """Which message is to be sent now, if any (whether it is allowed, `Permission` says)."""
        if self.state == "prepared":
            return "first"
        return "reminder" if self.reminder_due(at) else None

    def sent(self, at: datetime, permission: Permission, pace: Pace) -> None:
        """A person sent the message that was to be sent and says so."""
        which = self.to_send(at)
        if which is None:
            raise _nothing_to_send(self)
        permission.demand(at)
        if which == "first":
            self.sent_at = at
            self.reminder_from = at + pace.reminder_after
        else:
            self.reminded_at = at
        self.state = "sent"
        self.text_version = permission.text_version or ""
        self.ends_at = at + pace.expires_after

    def answered(self, at: datetime, answer: Answer, *, later_at: datetime | None, pace: Pace) -> None:
        """Log what came back. A no, or a wrong person, is final; a late answer to a request that ended still counts."""
        if self.state == "closed":
            raise Refused("closed", N_("This request is closed for good. Nothing more can be sent or recorded."))
        if self.state == "prepared":
            raise Refused("not-sent", N_("The first message is not marked as sent yet. Mark it first."))
        if answer == "later" and (later_at is None or later_at <= at):
            raise Refused(
                "no-date", N_("Choose the day from which you may write again."), fields=("later_at",), kind="invalid"
            )
        self.answer, self.answered_at = answer, at
        self.later_at = later_at if answer == "later" else None
        if answer in FINAL:
            self.close(FINAL[answer])
            return
        if self.state != "linked":  # who has the link keeps it, whatever is asked meanwhile
            self.state = "answered"
        self.ends_at = at + pace.expires_after
        if answer == "later" and later_at:
            self.reminder_from, self.reminded_at = later_at, None  # they asked to be written to again
            self.ends_at = later_at + pace.expires_after
        elif answer == "none":
            self.ends_at = at  # a person gave up waiting

    def link_made(self, at: datetime, permission: Permission, pace: Pace) -> None:
        """The personal link follows on a yes, and only then."""
        if self.state != "linked" and not (self.state == "answered" and self.answer == "yes"):
            raise Refused("no-yes", N_("You can create a personal link only after the family has agreed to hear more."))
        permission.demand(at)
        self.state = "linked"
        self.ends_at = at + pace.expires_after

    def close(self, because: ClosedBecause) -> None:
        self.state, self.closed_because = "closed", self.closed_because or because
        self.ends_at = self.reminder_from = None

    def expired(self, at: datetime) -> None:
        """Silence: nobody answered in time."""
        if not self.waits or self.ends_at is None or at < self.ends_at:
            raise Refused("not-yet", N_("The time to answer is not over yet."))
        self.state = "expired"

    def told(self) -> InvitationState:
        return InvitationState.model_validate(self.model_dump(include=set(InvitationState.model_fields)))


def _nothing_to_send(invitation: Invitation) -> Refused:
    if invitation.state == "closed":
        return Refused("closed", N_("This request is closed for good. Nothing more can be sent or recorded."))
    if invitation.reminded_at is not None:
        return Refused("reminded", N_("The only reminder has been sent. Nothing more is sent."))
    if invitation.state == "sent":
        return Refused(
            "too-soon", N_("The message has been sent. You can send the reminder once the waiting period is over.")
        )
    return Refused("nothing-to-send", N_("There is nothing to send now."))
