"""What webhooks tells: endpoints of webhook consumers, and that nothing of a contact is held any more."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import Event, State, Unknown

EndpointStateName = Literal["active", "paused", "disabled", "removed"]
DisabledBecause = Literal["failing", "gone"]


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


class WebhooksErasedV1(Event[ErasedState]):
    service: ClassVar[str] = "webhooks"
    entity: ClassVar[str] = "webhooks"
    name: ClassVar[str] = "erased"
    type: Literal["firsthand.webhooks.erased.v1"]
