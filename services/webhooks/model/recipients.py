"""Who was sent something of a contact, and the answers that they owe once the family takes something back. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.services.webhooks.model.endpoint import Endpoint
from firsthand.shared.events.consent import (
    ConsentChangedV1,
    ConsentDeclinedV1,
    ConsentRecordState,
    ConsentState,
    ConsentWithdrawnV1,
    ErasureRequestedV1,
)
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.envelope import AnyEvent, Envelope
from firsthand.shared.events.webhooks import ObligationsState, ObligationState, OwedAnswer, OwedBecause
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_

# The endpoint's contact is reminded after three days, the institution after a week, as people who remove data
# elsewhere cite one to two days for a removal.
REMINDED_AFTER: Final = (timedelta(days=3), timedelta(days=7))
_GRAVITY: Final[dict[OwedBecause, int]] = {"narrowed": 1, "withdrawn": 2, "erased": 3}
# After these nothing is left that could be asked about again.
_FINAL: Final = frozenset({"deleted", "not-held"})


class Obligation(BaseModel):
    """The answer that one endpoint owes. The name stays what it was when it was asked."""

    model_config = ConfigDict(extra="ignore")

    consumer: str
    because: OwedBecause
    event_id: str  # the event whose delivery asks
    asked_at: AwareDatetime
    answer: OwedAnswer | None = None
    answered_at: AwareDatetime | None = None
    reference: str = ""  # the consumer's own, e.g. of a ticket
    by: str = ""  # a person's id where a coordinator answered for it; empty: the consumer itself
    lifted_at: AwareDatetime | None = None
    reminders: int = 0

    @property
    def is_owed(self) -> bool:
        return self.answer is None and self.lifted_at is None


@dataclass(frozen=True, slots=True)
class LastConsent:
    """What the last event about a contact's consent said."""

    origin: str
    sequence: int
    scopes: tuple[str, ...]
    closed: bool  # it was refused or taken back, the contact is erased, or nobody here understands what was said

    @classmethod
    def of(cls, event: AnyEvent) -> Self:
        """Read an event whose data is a `ConsentState`."""
        ended = isinstance(event, ConsentDeclinedV1 | ConsentWithdrawnV1 | ErasureRequestedV1)
        scopes = tuple(map(str, event.data.consent.scopes))
        return cls(event.origin, event.sequence, scopes, ended or not event.data.is_known)

    @classmethod
    def unknown(cls, envelope: Envelope) -> Self:
        """What only a newer release understands."""
        return cls(envelope.origin, envelope.sequence, (), closed=True)


class Addressed(BaseModel):
    """An endpoint to which something of a contact was addressed."""

    model_config = ConfigDict(extra="ignore")

    name: str  # as it was then: it may be removed since
    since: AwareDatetime


class Recipients(Document):
    """The endpoints to which anything of a contact was addressed, and what they owe; id = the contact's."""

    kind: ClassVar[str] = "recipients"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("owed_since"),)

    contact: ContactReference | None = None
    endpoints: dict[str, Addressed] = {}  # by endpoint id
    scopes: list[str] | None = None  # what the family allowed when it was last heard; None: never heard
    because: OwedBecause | None = None  # why answers are owed now
    before: list[str] = []  # what was allowed before it was narrowed
    obligations: dict[str, Obligation] = {}  # by endpoint id
    owed_since: AwareDatetime | None = None  # the first question that is not answered
    erasure_id: str = ""

    @property
    def case_id(self) -> str:
        return self.contact.case_id if self.contact else ""

    def follow(self, event: AnyEvent, hearing: Iterable[Endpoint], everyone: Iterable[Endpoint]) -> list[str]:
        """Take an event that goes to `hearing`: whoever has heard of the contact owes an answer if it takes something
        back. Returns the ids of the endpoints whose delivery of this event asks, also when it is taken again.

        `everyone`: all endpoints of the institution, for their names.
        """
        names = {one.id: one.name for one in everyone}
        self.contact = event.data.contact
        new = {one.id: Addressed(name=one.name, since=event.time) for one in hearing if one.id not in self.endpoints}
        self.endpoints = {**self.endpoints, **new}
        asked = list(new) if self.because else []
        if isinstance(event.data, ConsentState) and self.take(event):
            asked = self._follow_consent(event, event.data.consent) or asked
        for endpoint_id in asked:
            self._ask(endpoint_id, names.get(endpoint_id, self.endpoints[endpoint_id].name), event)
        self._settle()
        return [id_ for id_, one in self.obligations.items() if one.event_id == event.id]

    @property
    def is_closed(self) -> bool:
        """Nobody new is to learn anything of the contact."""
        return bool(self.erasure_id) or self.because in {"withdrawn", "erased"}

    def address(self, endpoint: Endpoint, event: AnyEvent, consent: LastConsent | None) -> bool:
        """Note an endpoint that is sent an event of the past. False if it was noted before.

        What the family took back before that is not asked about: `consent` stands for all that was said until now.
        """
        if endpoint.id in self.endpoints:
            return False
        self.contact = self.contact or event.data.contact
        self.endpoints = {**self.endpoints, endpoint.id: Addressed(name=endpoint.name, since=event.time)}
        if consent and self.scopes is None:
            self.scopes, self.applied = list(consent.scopes), {**self.applied, consent.origin: consent.sequence}
        return True

    def answer(self, endpoint_id: str, answer: OwedAnswer, *, reference: str, by: str, at: datetime) -> bool:
        """Take an answer; a later one replaces it. False if the same was given before. Raises Refused."""
        owed = self.obligations.get(endpoint_id)
        if owed is None:
            raise Refused("not-owed", N_("Nothing was asked of this endpoint for this contact."))
        if (owed.answer, owed.reference, owed.by) == (answer, reference, by):
            return False
        given = {"answer": answer, "answered_at": at, "reference": reference, "by": by}
        self.obligations = {**self.obligations, endpoint_id: owed.model_copy(update=given)}
        self._settle()
        return True

    def to_remind(self, now: datetime) -> list[str]:
        """Note the reminders that are due now; returns the ids of the endpoints whose they are."""
        found = []
        for id_, one in self.obligations.items():
            due = sum(now >= one.asked_at + after for after in REMINDED_AFTER)
            if one.is_owed and one.reminders < due:
                found.append(id_)
                self.obligations = {**self.obligations, id_: one.model_copy(update={"reminders": due})}
        self._settle()
        return found

    def told(self) -> ObligationsState:
        assert self.contact is not None  # nothing is owed for a contact of whom nothing was sent
        return ObligationsState(
            contact=self.contact,
            obligations=[
                ObligationState(
                    endpoint_id=id_,
                    consumer=one.consumer,
                    because=one.because,
                    asked_at=one.asked_at,
                    answer=one.answer,
                    answered_at=one.answered_at,
                    lifted_at=one.lifted_at,
                )
                for id_, one in self.obligations.items()
            ],
        )

    def _follow_consent(self, event: AnyEvent, record: ConsentRecordState) -> list[str]:
        """Take what the family allows now; returns who is to be asked."""
        before, now = self.scopes, list(map(str, record.scopes))
        self.scopes = now
        because: OwedBecause | None = None
        if isinstance(event, ErasureRequestedV1):
            because = "erased"
        elif isinstance(event, ConsentWithdrawnV1 | ConsentDeclinedV1):
            because = "withdrawn"
        elif isinstance(event, ConsentChangedV1) and (before is None or set(before) - set(now)):
            because = "narrowed"  # or it may be, where nobody knows what was allowed
        if because is None:
            self._lift(event.time)
            return []
        if self.because is None:
            self.before = before or []
        self.because = because
        return list(self.endpoints)

    def _lift(self, at: datetime) -> None:
        """What was taken back is allowed again: what is not answered yet is not owed any more."""
        if self.because is None or self.because == "erased" or not self.scopes or not self.before:
            return
        if set(self.before) - set(self.scopes):
            return
        self.because, self.before = None, []
        lifted = {id_: one.model_copy(update={"lifted_at": at}) for id_, one in self.obligations.items() if one.is_owed}
        self.obligations = {**self.obligations, **lifted}

    def _ask(self, endpoint_id: str, name: str, event: AnyEvent) -> None:
        asked = self.obligations.get(endpoint_id)
        assert self.because is not None
        if asked and asked.lifted_at is None:
            done = asked.answer in _FINAL or _GRAVITY[asked.because] >= _GRAVITY[self.because]
            if done:
                return
        self.obligations = {
            **self.obligations,
            endpoint_id: Obligation(
                consumer=name,
                because=self.because,
                event_id=event.id,
                asked_at=event.time,
            ),
        }

    def _settle(self) -> None:
        """Derive by what lists find it, and when somebody is reminded."""
        owed = [one for one in self.obligations.values() if one.is_owed]
        self.owed_since = min((one.asked_at for one in owed), default=None)
        left = [one.asked_at + REMINDED_AFTER[one.reminders] for one in owed if one.reminders < len(REMINDED_AFTER)]
        self.due_at = min(left, default=None)


__all__ = ["REMINDED_AFTER", "LastConsent", "Obligation", "Recipients"]
