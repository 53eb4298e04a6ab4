"""What archive tells: recordings and who may see them."""

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from firsthand.shared.events.contact import ContactReference, Scope
from firsthand.shared.events.discovery import ErasedState
from firsthand.shared.events.envelope import Event, State, Unknown

RecordingStateName = Literal["awaited", "held", "released", "withdrawn", "erased"]


class RecordingState(State):
    """The recording of one contact's meeting."""

    contact: ContactReference
    state: RecordingStateName | Unknown
    media: Literal["video", "audio"] | Unknown | None = None
    duration_seconds: float = 0
    bytes: int = 0
    sha256: str = ""
    held_at: AwareDatetime | None = None
    released_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    audience: Annotated[list[Scope | Unknown], Field(description="the share scopes that open it now")] = []
    refused_because: Annotated[
        Literal["wider-than-allowed"] | Unknown | None,
        Field(description="why it was not released although the family said yes"),
    ] = None
    preparing: Annotated[
        Literal["working", "choosing", "refused"] | Unknown | None,
        Field(
            description="a file was brought: its viewing copy is being made, a tutor is to choose among its tracks, or "
            "none can be made of it and another file is needed"
        ),
    ] = None
    changes: Annotated[
        Literal["asked", "made"] | Unknown | None,
        Field(description="what the family asked staff to change before the release: it waits, or all of it was done"),
    ] = None
    transcript: Annotated[
        Literal["proposed", "approved"] | Unknown | None,
        Field(description="what is said was written down: a text waits for the family's yes, or none does"),
    ] = None
    copies: Annotated[
        Literal["to-destroy", "destroyed"] | Unknown | None,
        Field(
            description="what staff has outside of Firsthand (devices, the provider of the call), once it is no longer "
            "needed: somebody is to destroy it, or has said that it was"
        ),
    ] = None


class _Recording(Event[RecordingState]):
    service: ClassVar[str] = "archive"
    entity: ClassVar[str] = "recording"


class RecordingAwaitedV1(_Recording):
    """A meeting is over and a recording is to be uploaded."""

    name: ClassVar[str] = "awaited"
    type: Literal["firsthand.recording.awaited.v1"]


class RecordingArchivedV1(_Recording):
    """Taken in, checked, sealed and held until the family has seen it."""

    name: ClassVar[str] = "archived"
    type: Literal["firsthand.recording.archived.v1"]


class RecordingPublishedV1(_Recording):
    """Open to the audience that the family allowed."""

    name: ClassVar[str] = "published"
    type: Literal["firsthand.recording.published.v1"]


class RecordingChangedV1(_Recording):
    """The audience changed, the release was refused or taken back without a withdrawal, a file is being prepared, the
    family asked for a change, a text waits for it or was approved, or staff destroyed its copies.
    """

    name: ClassVar[str] = "changed"
    type: Literal["firsthand.recording.changed.v1"]


class RecordingWithdrawnV1(_Recording):
    """Nobody can see it any more."""

    name: ClassVar[str] = "withdrawn"
    type: Literal["firsthand.recording.withdrawn.v1"]


class ArchiveErasedV1(Event[ErasedState]):
    """Archive holds nothing personal of the contact any more, and no recording."""

    service: ClassVar[str] = "archive"
    entity: ClassVar[str] = "archive"
    name: ClassVar[str] = "erased"
    type: Literal["firsthand.archive.erased.v1"]
