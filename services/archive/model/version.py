"""A version of a recording that is being made, and what it is made from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from firsthand.services.archive.model.edits import Edit
from firsthand.services.archive.model.refusals import not_taken_in
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import Document, Index

# Of a file, what does not go into the viewing copy: kinds only, as the content may be somebody's name.
Extra = Literal["words", "place", "chapters", "subtitles", "attachments", "data", "cover", "pictures", "sounds"]
VersionStage = Literal["choosing", "waiting", "working", "done", "refused"]

_OWNER: Final = "original-"
_ENDING: Final = "-0"


class Track(BaseModel):
    """A track of moving pictures or of sound, as the file has it."""

    model_config = ConfigDict(frozen=True, strict=True)

    index: Annotated[int, Field(ge=0, lt=64)]
    kind: Literal["picture", "sound"]
    codec: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    main: bool = False  # the file says that this one is shown unless somebody chooses another
    width: Annotated[int, Field(ge=0, le=100_000)] = 0  # pixels
    height: Annotated[int, Field(ge=0, le=100_000)] = 0
    channels: Annotated[int, Field(ge=0, le=1024)] = 0


class Original(BaseModel):
    """The file as it was brought. It stays sealed, and is shown to nobody."""

    model_config = ConfigDict(frozen=True)

    file: str  # the name of the sealed file: the upload's, and an ending
    bytes: int  # of the plain content
    tracks: list[Track]
    extras: list[Extra]
    brought_at: AwareDatetime
    brought_by: str  # person id

    @property
    def version_id(self) -> str:
        return f"{self.file.removesuffix(_ENDING)}-1"

    def of(self, kind: Literal["picture", "sound"]) -> list[Track]:
        return [track for track in self.tracks if track.kind == kind]


def original_of(upload_file: str) -> str:
    """Name the file of the original that an upload became."""
    return f"{upload_file}{_ENDING}"


def key_owner_of(file: str) -> str:
    """Name the owner of an original's own key: its destruction is the destruction of this file alone."""
    return f"{_OWNER}{file}"


def is_original(owner: str) -> bool:
    """Whether the owner of a key is an original, and no contact."""
    return owner.startswith(_OWNER)


def _main(tracks: Sequence[Track]) -> int | None:
    return next((track.index for track in tracks if track.main), tracks[0].index) if tracks else None


class Shown(Protocol):
    """What of the media that is shown decides how a version of it is made: its tracks, the pictures first."""

    @property
    def file(self) -> str: ...
    @property
    def has_video(self) -> bool: ...
    @property
    def has_sound(self) -> bool: ...


class Version(Document):
    """A version on its way. What of it is there, the sealed files say; this says what it is to be."""

    kind: ClassVar[str] = "version"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("contact_id"),)

    contact_id: str
    made_from: str  # file of the original, or of the version that is changed
    edits: list[Edit] = []  # none: it is the first version of an original
    stage: VersionStage
    picture: int | None  # indexes of the tracks that are taken
    sound: int | None
    thousandths: int = 0  # done
    ended: int = 0  # how often the process that made it was ended
    refused_because: str = ""  # the code of the refusal
    begun_at: AwareDatetime

    @classmethod
    def begun(cls, original: Original, *, pictures: bool, contact_id: str, institution: InstitutionId) -> "Version":
        """Decide what is to be made of an original. `pictures`: the family allows them. Raises Refused."""
        of_pictures, sounds = original.of("picture") if pictures else [], original.of("sound")
        if not of_pictures and not sounds:
            raise not_taken_in("no-sound")
        choosing = len(of_pictures) > 1 or len(sounds) > 1
        return cls(
            id=original.version_id,
            institution=institution,
            contact_id=contact_id,
            made_from=original.file,
            stage="choosing" if choosing else "waiting",
            picture=_main(of_pictures),
            sound=_main(sounds),
            begun_at=original.brought_at,
        )

    @classmethod
    def edited(cls, recording_id: str, institution: InstitutionId, source: "Shown", id_: str, edits: Sequence[Edit],
               at: datetime) -> "Version":  # fmt: skip
        """Change what is shown now."""
        picture = source.has_video and not any(edit.kind == "no-picture" for edit in edits)
        return cls(
            id=id_,
            institution=institution,
            contact_id=recording_id,
            made_from=source.file,
            edits=list(edits),
            stage="waiting",
            picture=0 if picture else None,
            sound=int(source.has_video) if source.has_sound else None,
            begun_at=at,
        )

    def choose(self, original: Original, picture: int | None, sound: int | None) -> None:
        """Take these tracks. Raises Refused."""
        if self.stage != "choosing":
            raise not_taken_in("chosen")
        of_pictures = {track.index for track in original.of("picture")} | {None}
        sounds = {track.index for track in original.of("sound")} | {None}
        if picture not in of_pictures or sound not in sounds or (picture is None and sound is None):
            raise not_taken_in("no-such-track")
        self.picture, self.sound, self.stage = picture, sound, "waiting"

    def left_out(self, original: Original) -> list[Extra]:
        """What of the original does not go into this version."""
        found: list[Extra] = list(original.extras)
        if len(original.of("picture")) > (self.picture is not None):
            found.append("pictures")
        if len(original.of("sound")) > (self.sound is not None):
            found.append("sounds")
        return found

    @property
    def is_open(self) -> bool:
        """Whether something is still to come of it."""
        return self.stage in ("choosing", "waiting", "working")


__all__ = ["Extra", "Original", "Track", "Version", "VersionStage", "is_original", "key_owner_of", "original_of"]
