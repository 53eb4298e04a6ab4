"""What the API of webhooks takes and answers."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field

from firsthand.services.webhooks.handlers.deliveries import Health
from firsthand.services.webhooks.handlers.endpoints import Added, Opened, Wanted
from firsthand.services.webhooks.handlers.obligations import Owing
from firsthand.services.webhooks.model import Attempt, Delivery, Obligation, Replay
from firsthand.services.webhooks.model.delivery import DeliveryState
from firsthand.services.webhooks.model.replay import ReplayState
from firsthand.shared.events import EVENTS
from firsthand.shared.events.examples import example_of
from firsthand.shared.events.schemas import schema_of
from firsthand.shared.events.webhooks import DisabledBecause, EndpointStateName, OwedAnswer, OwedBecause
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Instant, Line, Note

Shown = Literal["waiting", "delivered", "failed", "aborted"]
_Url = Annotated[Line, Field(max_length=2000)]
_Type = Annotated[Line, Field(max_length=100, description="`consent.granted`, `consent.*` or `*`")]
_Types = Annotated[list[_Type], Field(max_length=100)]
_Cases = Annotated[list[Id], Field(max_length=500, description="empty: all cases")]
_Headers = Annotated[
    dict[Annotated[Line, Field(max_length=64)], Annotated[Line, Field(max_length=1024)]],
    Field(max_length=20, description="added to each request"),
]
_ASecond = Annotated[int, Field(ge=0, le=1000, description="deliveries a second at most; 0: no limit")]
_Parallel = Annotated[int, Field(ge=1, le=32, description="deliveries at the same time")]
_Contact = Annotated[Line, Field(max_length=254, description="mail address of whoever looks after the receiver")]
_Name = Annotated[Line, Field(max_length=80, description="what families read; by default the address's host")]


class NewEndpoint(BaseModel):
    """An endpoint to add."""

    url: _Url
    event_types: _Types
    name: _Name = ""
    description: Note = ""
    cases: _Cases = []
    contact: _Contact = ""
    headers: _Headers = {}
    a_second: _ASecond = 0
    parallel: _Parallel = 4
    ordered: Annotated[bool, Field(description="the next event of a journey waits for the one before")] = False

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump())


class ChangedEndpoint(BaseModel):
    """What is to change of an endpoint; what is left out stays."""

    url: _Url | None = None
    event_types: _Types | None = None
    name: _Name | None = None
    description: Note | None = None
    cases: _Cases | None = None
    contact: _Contact | None = None
    headers: _Headers | None = None
    a_second: _ASecond | None = None
    parallel: _Parallel | None = None
    ordered: bool | None = None

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump())


class Rotation(BaseModel):
    """A new secret. The previous one signs as well for some hours."""

    hours: Annotated[int, Field(ge=0, le=168)] = 24


class Since(BaseModel):
    """From when on."""

    since: Instant


class ReplayOut(BaseModel):
    """The last replay of an endpoint: what happened from `since` until it was asked for."""

    since: AwareDatetime
    until: AwareDatetime
    state: ReplayState
    found: Annotated[int, Field(description="deliveries made so far; what is in the log already is not sent twice")]
    ended_at: AwareDatetime | None

    @classmethod
    def of(cls, one: Replay) -> Self:
        return cls(since=one.since, until=one.until, state=one.state, found=one.found, ended_at=one.ended_at)


class EndpointOut(BaseModel):
    """An endpoint with its health."""

    endpoint_id: str
    name: str
    description: str
    url: str
    event_types: list[str]
    cases: list[str]
    contact: str
    header_names: Annotated[list[str], Field(description="values are not shown again")]
    a_second: Annotated[int, Field(description="0: no limit")]
    parallel: int
    ordered: bool
    state: EndpointStateName
    disabled_because: DisabledBecause | None
    failing_since: AwareDatetime | None
    added_at: AwareDatetime
    public_key: Annotated[str, Field(description="checks the `v1a` signatures")]
    previous_secret_until: AwareDatetime | None
    deliveries: dict[DeliveryState, int]

    @classmethod
    def of(cls, opened: Opened, health: Health) -> Self:
        one = opened.endpoint
        return cls(
            endpoint_id=one.id,
            name=one.name,
            description=one.description,
            url=opened.url,
            event_types=one.event_types,
            cases=one.cases,
            contact=opened.contact,
            header_names=sorted(opened.headers),
            a_second=one.a_second or 0,
            parallel=one.parallel,
            ordered=one.ordered,
            state=one.state,
            disabled_because=one.disabled_because,
            failing_since=one.failing_since,
            added_at=one.added_at,
            public_key=one.public_key,
            previous_secret_until=one.before_until,
            deliveries=dict(health.counts),
        )


class EndpointsOut(BaseModel):
    items: list[EndpointOut]


class SecretOut(BaseModel):
    """A secret, which is shown once and kept sealed, and the key that checks `v1a` signatures."""

    endpoint_id: str
    secret: str
    public_key: str
    previous_secret_until: AwareDatetime | None

    @classmethod
    def of(cls, added: Added) -> Self:
        one = added.endpoint
        return cls(
            endpoint_id=one.id,
            secret=added.secret,
            public_key=one.public_key,
            previous_secret_until=one.before_until,
        )


class DeliveryOut(BaseModel):
    """One event for an endpoint, in one line."""

    delivery_id: str
    event_id: Annotated[str, Field(description="also the header `webhook-id` of every attempt")]
    event_type: str
    contact_id: str
    occurred_at: AwareDatetime
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str
    next_at: AwareDatetime | None

    @classmethod
    def of(cls, one: Delivery) -> "DeliveryOut":
        return cls(**_line(one))


class AttemptOut(BaseModel):
    """One HTTP request of a delivery."""

    at: AwareDatetime
    status: int | None
    milliseconds: int
    error: Annotated[str, Field(description="a word such as `timeout`, or empty")]
    answer: Annotated[str, Field(description="its first KiB")]
    next_at: AwareDatetime | None

    @classmethod
    def of(cls, one: Attempt) -> Self:
        return cls(**one.model_dump(include=set(cls.model_fields)))


class WholeDeliveryOut(DeliveryOut):
    """A delivery with all that was tried."""

    payload: Annotated[str, Field(description="the body as it is sent")]
    tries: list[AttemptOut]
    kept_until: datetime | None

    @classmethod
    def of(cls, one: Delivery) -> "WholeDeliveryOut":
        tries = [AttemptOut.of(attempt) for attempt in one.attempts]
        return cls(payload=one.body, tries=tries, kept_until=one.due_at, **_line(one))


class DeliveriesOut(BaseModel):
    """A page of deliveries, the latest first; `next` is the cursor of the following one."""

    items: list[DeliveryOut]
    next: str | None


class RecoveredOut(BaseModel):
    """How many deliveries are sent again."""

    count: int


class Answer(BaseModel):
    """What a consumer did with all that it was sent of one contact."""

    answer: OwedAnswer
    reference: Annotated[Line, Field(max_length=200, description="your own, e.g. of a ticket; nothing personal")] = ""


class ObligationOut(BaseModel):
    """The answer that one endpoint owes for one contact."""

    endpoint_id: str
    consumer: str
    because: OwedBecause
    asked_at: AwareDatetime
    answer: OwedAnswer | None
    answered_at: AwareDatetime | None
    reference: str
    by: Annotated[str, Field(description="id of the coordinator who answered for it; empty: the consumer itself")]
    lifted_at: AwareDatetime | None

    @classmethod
    def of(cls, endpoint_id: str, one: Obligation) -> Self:
        shown = one.model_dump(include=set(cls.model_fields))
        return cls(endpoint_id=endpoint_id, **shown)


class OwingOut(BaseModel):
    """Everything that was asked for one contact."""

    contact_id: str
    reference: str
    owed_since: AwareDatetime | None
    obligations: list[ObligationOut]

    @classmethod
    def of(cls, owing: Owing) -> Self:
        asked = [ObligationOut.of(id_, one) for id_, one in owing.obligations.items()]
        return cls(contact_id=owing.contact_id, reference=owing.reference, owed_since=owing.since, obligations=asked)


class AllOwingOut(BaseModel):
    """A page of the contacts for whom an answer is owed, the longest since first."""

    items: list[OwingOut]
    next: str | None


class EventTypesOut(BaseModel):
    """What an endpoint can hear."""

    items: list[str]


class EventTypeOut(BaseModel):
    """One event that an endpoint can hear."""

    event_type: str
    description: str
    json_schema: Annotated[dict[str, Any], Field(description="of the whole event, as of 2020-12")]
    example: dict[str, Any]

    @classmethod
    def of(cls, name: str) -> Self:
        event = EVENTS[f"firsthand.{name}.v1"]
        return cls(
            event_type=name,
            description=" ".join((event.__doc__ or "").split()),
            json_schema=schema_of(event),
            example=json.loads(example_of(event).wire()),
        )


def _line(one: Delivery) -> dict[str, object]:
    last = one.attempts[-1] if one.attempts else None
    return {
        "delivery_id": one.id,
        "event_id": one.event_id,
        "event_type": one.event_type,
        "contact_id": one.contact_id,
        "occurred_at": one.occurred_at,
        "state": one.state,
        "attempts": len(one.attempts),
        "last_status": last.status if last else None,
        "last_error": last.error if last else "",
        "next_at": one.next_at,
    }
