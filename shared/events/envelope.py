"""The envelope of every event: CloudEvents 1.0, JSON structured mode.

An event carries the whole resulting state (`data`, nothing personal) of the document that it came from; `sequence` is
that document's version after the save. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, NewType, Protocol, Self, TypeVar, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from firsthand.shared.identifiers import ID_PATTERN, INSTITUTION_PATTERN, InstitutionId, new_id
from firsthand.shared.tracing import traceparent

SUBJECT_ROOT = "fh.v1"

# CloudEvents' extension `sequence` is a string that orders lexicographically; in the program it is a number.
Sequence = Annotated[
    int,
    BeforeValidator(lambda value: int(value) if isinstance(value, str) else value),
    PlainSerializer(lambda value: f"{value:010d}", return_type=str),
    Field(ge=1),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{10}$"}),
]


# A value that a newer release may write where this one knows only some: `Literal["yes", "no"] | Unknown`. A reader
# keeps it and lets it open nothing.
Unknown = NewType("Unknown", str)


def is_known(value: str | None, field: Any) -> bool:
    """Tell whether this release knows a value; `field` is the field's type, e.g. `Answer`. None is known."""
    return value is None or value in get_args(field)


class Envelope(BaseModel):
    """What every event says of itself whatever it tells, in this release's types and in those to come.

    Its attributes never change their shape, so that an event whose `data` or type is of a newer release can still be
    put where it belongs.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    type: Annotated[str, Field(pattern=r"^firsthand\.[a-z-]{1,40}\.[a-z-]{1,40}\.v[0-9]{1,4}$")]
    source: Annotated[str, Field(pattern=r"^/institutions/[a-z0-9-]+/[a-z]{1,40}$")]
    subject: Annotated[str, Field(pattern=ID_PATTERN)]
    time: AwareDatetime
    institution: Annotated[InstitutionId, Field(pattern=INSTITUTION_PATTERN)]
    sequence: Sequence

    @property
    def nats_subject(self) -> str:
        """Where it is published: `fh.v1.<institution>.<entity>.<event>`."""
        _, entity, name, _ = self.type.split(".")
        return f"{SUBJECT_ROOT}.{self.institution}.{entity}.{name}"

    @property
    def origin(self) -> str:
        """The document that it came from, as `Event.origin`."""
        return f"{self.source.rpartition('/')[2]}/{self.subject}"


class State(BaseModel):
    """The whole state of a document as others may know it. Additions only inside a version; nothing personal.

    Unknown fields of a newer producer are ignored, so that services are upgraded one by one.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


S = TypeVar("S", bound=State)


class Source(Protocol):
    """A document that an event can come from (`shared.store.Document`)."""

    id: str
    institution: InstitutionId

    @property
    def next_version(self) -> int: ...


class Event(BaseModel, Generic[S]):
    """One event. Subclasses fix `type` (`firsthand.<entity>.<event>.v1`) and the shape of `data`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    # set by each concrete event
    service: ClassVar[str] = ""
    entity: ClassVar[str] = ""
    name: ClassVar[str] = ""
    # It narrows or ends what a family allows, or may: it overtakes everything else on its way (decision 0023).
    urgent: ClassVar[bool] = False

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(pattern=ID_PATTERN)]
    type: str
    source: str
    subject: Annotated[str, Field(pattern=ID_PATTERN, description="the contact's id, or the id of what changed")]
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    institution: Annotated[InstitutionId, Field(pattern=INSTITUTION_PATTERN)]
    correlationid: Annotated[str, Field(description="the journey: the contact's id where there is one")]
    causationid: str | None = None
    traceparent: str | None = None
    actor: Annotated[str, Field(description="a person's id, `family`, or `system`; never a name")]
    sequence: Sequence
    data: S

    @property
    def origin(self) -> str:
        """The document that this event came from: `<service>/<subject>`. Consumers keep sequences by it."""
        return f"{self.service}/{self.subject}"

    @property
    def nats_subject(self) -> str:
        """Where it is published: `fh.v1.<institution>.<entity>.<event>`."""
        return f"{SUBJECT_ROOT}.{self.institution}.{self.entity}.{self.name}"

    def wire(self) -> bytes:
        """The event as it is published: JSON structured mode, absent attributes left out. One that was read off the
        wire is given back byte for byte, with what a newer release says in it.
        """
        came: bytes | None = self.__dict__.get("_came_as")
        return came or self.model_dump_json(exclude_none=True).encode()

    def came_as(self, body: bytes) -> Self:
        """Note the bytes from which this event was read, which are no part of what it says: equality ignores them."""
        self.__dict__["_came_as"] = body
        return self

    @classmethod
    def filter_subject(cls, institution: str = "*") -> str:
        """The subject that a consumer of this event listens on, by default for every institution."""
        return f"{SUBJECT_ROOT}.{institution}.{cls.entity}.{cls.name}"

    @classmethod
    def event_type(cls) -> str:
        return f"firsthand.{cls.entity}.{cls.name}.v1"

    @classmethod
    def of(
        cls,
        document: "Source",
        data: S,
        *,
        at: datetime,
        actor: str,
        correlation: str | None = None,
        cause: "Event[Any] | None" = None,
    ) -> Self:
        """Make the event that is saved with a document: of its institution, about it, with its next version."""
        return cls.record(
            institution=document.institution,
            subject=document.id,
            sequence=document.next_version,
            at=at,
            actor=actor,
            data=data,
            correlation=correlation,
            cause=cause,
        )

    @classmethod
    def record(
        cls,
        *,
        institution: InstitutionId,
        subject: str,
        sequence: int,
        at: datetime,
        actor: str,
        data: S,
        correlation: str | None = None,
        cause: "Event[Any] | None" = None,
    ) -> Self:
        """Make an event of its parts: `sequence` is the version that its document will have after the save."""
        return cls(
            id=new_id(),
            type=cls.event_type(),
            source=f"/institutions/{institution}/{cls.service}",
            subject=subject,
            time=at,
            institution=institution,
            correlationid=correlation or (cause.correlationid if cause else subject),
            causationid=cause.id if cause else None,
            traceparent=cause.traceparent if cause else traceparent.get(),
            actor=actor,
            sequence=sequence,
            data=data,
        )


AnyEvent = Event[Any]
