"""What webhooks tells: endpoints of webhook consumers, what these owe, and that nothing of a contact is held."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import Event, State, Unknown

EndpointStateName = Literal["active", "paused", "disabled", "removed"]
DisabledBecause = Literal["failing", "gone"]
OwedBecause = Literal["narrowed", "withdrawn", "erased"]
OwedAnswer = Literal["deleted", "restricted", "not-held"]


class EndpointState(State):
    """An endpoint as others may know it: neither its address nor its secret, which may both open something."""

    endpoint_id: str
    state: EndpointStateName | Unknown
    event_types: Annotated[list[str], Field(description="exact, or with a final `*`")]
    cases: Annotated[list[str], Field(description="case ids; empty: all cases")] = []
    disabled_because: Annotated[
        DisabledBecause | Unknown | None,
        Field(description="`failing`: nothing was taken for five days; `gone`: it answered 410"),
    ] = None
    failing_since: AwareDatetime | None = None


class _Endpoint(Event[EndpointState]):
    service: ClassVar[str] = "webhooks"
    entity: ClassVar[str] = "endpoint"


class EndpointChangedV1(_Endpoint):
    """An endpoint was added, changed, paused, resumed or removed."""

    name: ClassVar[str] = "changed"
    type: Literal["firsthand.endpoint.changed.v1"]


class EndpointDisabledV1(_Endpoint):
    """Nothing is delivered to it any more until somebody resumes it."""

    name: ClassVar[str] = "disabled"
    type: Literal["firsthand.endpoint.disabled.v1"]


class EndpointTestedV1(_Endpoint):
    """Somebody asked for a test event. It goes to this endpoint only, whatever else it hears."""

    name: ClassVar[str] = "tested"
    type: Literal["firsthand.endpoint.tested.v1"]


class ObligationState(State):
    """The answer that one webhook consumer owes. It is named as the institution named it, for families to read."""

    endpoint_id: str
    consumer: Annotated[str, Field(description="a system's name, e.g. `Learning platform`; never a person's")]
    because: OwedBecause | Unknown
    asked_at: AwareDatetime
    answer: Annotated[OwedAnswer | Unknown | None, Field(description="null: not answered yet")] = None
    answered_at: AwareDatetime | None = None
    lifted_at: Annotated[
        AwareDatetime | None, Field(description="the family allowed it again, so nothing is owed any more")
    ] = None


class ObligationsState(State):
    """What all consumers owe for one contact."""

    contact: ContactReference
    obligations: list[ObligationState]


class _Obligation(Event[ObligationsState]):
    service: ClassVar[str] = "webhooks"
    entity: ClassVar[str] = "obligation"


class ObligationOpenedV1(_Obligation):
    """Consumers that were sent something of a contact were asked what they did with it."""

    name: ClassVar[str] = "opened"
    type: Literal["firsthand.obligation.opened.v1"]


class ObligationAnsweredV1(_Obligation):
    """A consumer answered, or nothing is owed any more."""

    name: ClassVar[str] = "answered"
    type: Literal["firsthand.obligation.answered.v1"]


class ServiceState(State):
    """How one service of the deployment is, over all its replicas. Nothing in it is personal."""

    service: str
    problems: Annotated[list[str], Field(description="why it is not ready, in sentences")]
    impaired: Annotated[list[str], Field(description="what it cannot do for now, in sentences")]
    versions: list[str]
    since: Annotated[AwareDatetime, Field(description="when it was first seen so")]


class _Service(Event[ServiceState]):
    service: ClassVar[str] = "webhooks"
    entity: ClassVar[str] = "service"


class ServiceImpairedV1(_Service):
    """A service is not ready, cannot do something, or does not answer. For operators; institution `deployment`."""

    name: ClassVar[str] = "impaired"
    type: Literal["firsthand.service.impaired.v1"]


class ServiceRecoveredV1(_Service):
    """A service that was impaired is well again. For operators; institution `deployment`."""

    name: ClassVar[str] = "recovered"
    type: Literal["firsthand.service.recovered.v1"]


class WebhooksErasedV1(Event[ErasedState]):
    """Webhooks holds no payload of the contact any more."""

    service: ClassVar[str] = "webhooks"
    entity: ClassVar[str] = "webhooks"
    name: ClassVar[str] = "erased"
    type: Literal["firsthand.webhooks.erased.v1"]
