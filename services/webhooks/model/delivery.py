"""One event for one endpoint, and every attempt to deliver it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.services.webhooks.model.schedule import next_attempt
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_

DeliveryState = Literal["waiting", "delivered", "failed", "aborted"]
# Why an attempt failed: `status` for an answer that is no success; the others are the sender's (`sending.Answer`).
Failure = Literal["status", "refused-address", "dns", "connect", "tls", "timeout", "protocol", "closed", "internal", ""]
# Which of those that are due go first: what takes something back or asks for an answer, what happens, what is past.
URGENT, HAPPENS, PAST = RANKS = (0, 1, 2)
KEPT: Final = 1024  # bytes of an answer
MOST_ATTEMPTS: Final = 50  # kept of one delivery: ten by the schedule, the others by people


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # those that mean something to us, in small letters
    text: str = ""  # its first `KEPT` bytes
    error: str = ""  # a word of `Failure`; empty when there is a status
    duration: timedelta = timedelta()


class Attempt(BaseModel):
    """One HTTP request, and what became of it."""

    model_config = ConfigDict(extra="ignore")

    at: AwareDatetime
    status: int | None = None
    milliseconds: int = 0
    error: str = ""
    answer: str = ""  # its first KiB
    next_at: AwareDatetime | None = None
    by_hand: bool = False


class Delivery(Document):
    """One event for one endpoint; its id names both, so that no event becomes two deliveries to one endpoint."""

    kind: ClassVar[str] = "delivery"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("endpoint_id", "rank", "next_at"),
        Index.on("endpoint_id", "state", "made_at"),
        Index.on("endpoint_id", "event_type", "state", "made_at"),
        Index.on("contact_id", "endpoint_id", "state", "occurred_at"),
    )
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("endpoint_id", "state"),)

    endpoint_id: str
    event_id: str
    event_type: str
    contact_id: str  # the subject
    occurred_at: AwareDatetime  # the event's time
    made_at: AwareDatetime
    body: str  # the event, byte for byte as it was published
    rank: int = HAPPENS  # one of `RANKS`
    asks: bool = False  # its receiver owes an answer; the address for it goes with the request

    state: DeliveryState = "waiting"
    next_at: AwareDatetime | None  # None: no attempt is to come
    attempts: list[Attempt] = []
    tries: int = 0  # by the schedule; what people ask for does not count

    @staticmethod
    def id_of(event_id: str, endpoint_id: str) -> str:
        return f"{event_id}-{endpoint_id}"

    @property
    def payload(self) -> bytes:
        return self.body.encode()

    def note_taken(self, attempt: Attempt) -> None:
        self._add(attempt)
        self.state, self.next_at = "delivered", None

    def note_aborted(self, attempt: Attempt) -> None:
        """The receiver wants this message no more, or the endpoint is gone."""
        self._add(attempt)
        self.state, self.next_at = "aborted", None

    def note_failed(self, attempt: Attempt, *, ended_at: datetime, wait: timedelta | None) -> None:
        """Plan the next attempt by the schedule; after the last one the delivery has failed.

        `wait`: what the receiver asked for.
        """
        self.tries += 1
        again = next_attempt(self.tries, ended_at, wait=wait)
        self._add(attempt.model_copy(update={"next_at": again}))
        self.state, self.next_at = ("waiting", again) if again else ("failed", None)

    def resend(self, now: datetime) -> None:
        """Try once more, now. Raises Refused."""
        if len(self.attempts) >= MOST_ATTEMPTS:
            raise Refused("too-many", N_("This event was sent 50 times. Look at the answers before you try again."))
        self.state, self.next_at = "waiting", now
        self.tries = 0

    def _add(self, attempt: Attempt) -> None:
        self.attempts = [*self.attempts, attempt][-MOST_ATTEMPTS:]


class Lane(Document):
    """Which replica delivers to an endpoint at the moment; id = the endpoint's. `due_at`: when somebody is to look."""

    kind: ClassVar[str] = "lane"

    holder: str = ""
    held_until: AwareDatetime | None = None

    def is_held(self, now: datetime) -> bool:
        return bool(self.holder) and self.held_until is not None and now < self.held_until

    def hold(self, holder: str, now: datetime, lasting: timedelta) -> None:
        self.holder, self.held_until = holder, now + lasting
        self.due_at = self.held_until

    def release(self, next_at: datetime | None) -> None:
        self.holder, self.held_until, self.due_at = "", None, next_at


__all__ = [
    "HAPPENS",
    "KEPT",
    "PAST",
    "RANKS",
    "URGENT",
    "Answer",
    "Attempt",
    "Delivery",
    "DeliveryState",
    "Failure",
    "Lane",
]
