"""What archive's API answers."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from firsthand.services.archive.handlers.clips import Picked
from firsthand.services.archive.handlers.searching import Results
from firsthand.services.archive.handlers.wishes import asked_of
from firsthand.services.archive.model import Edit, Extra, Original, Recording, Track, Version, Viewer
from firsthand.services.archive.model.edits import MOST_EDITS, Milliseconds
from firsthand.services.archive.model.recording import Stage
from firsthand.services.archive.model.version import VersionStage
from firsthand.services.archive.repository import Versions, Viewings
from firsthand.shared.copies import case_of
from firsthand.shared.events.archive import RecordingState
from firsthand.shared.events.contact import Scope
from firsthand.shared.inputs import Count, Line, Note
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context

MediaKind = Literal["video", "audio"]


class CardOut(BaseModel):
    """A recording as a student sees it in the list."""

    contact_id: str
    reference: str
    case_id: str
    title: str
    media: MediaKind | None
    duration_seconds: float
    language: str
    expires_at: AwareDatetime | None
    may_download: bool

    @classmethod
    async def of(cls, context: Context, one: Recording) -> "CardOut":
        case = await case_of(context, one.institution, one.contact.case_id)
        return cls(
            contact_id=one.id,
            reference=one.contact.reference,
            case_id=one.contact.case_id,
            title=case.title if case else one.contact.reference,
            media=one.media.kind if one.media else None,
            duration_seconds=one.media.duration_seconds if one.media else 0,
            language=one.contact.language,
            expires_at=one.expires_at,
            may_download=one.downloads_to(Viewer()),
        )


class UploadOut(BaseModel):
    """Whether a recording may be uploaded now, else why not."""

    allowed: bool
    code: str | None
    text: str | None

    @classmethod
    def of(cls, context: Context, one: Recording) -> "UploadOut":
        try:
            one.admits_upload(context.clock.now())
        except Refused as refused:
            return cls(allowed=False, code=refused.code, text=refused.text)
        return cls(allowed=True, code=None, text=None)


class ViewingsOut(BaseModel):
    """How often students watched it, each one once a day, and how many of them there are."""

    count: int
    students: int
    last_at: AwareDatetime | None


class VersionOut(BaseModel):
    """What is being made of the file that was brought."""

    stage: VersionStage
    done: float  # a share, from 0 to 1
    refused_because: str | None
    tracks: list[Track]
    picture: int | None  # indexes of the tracks that are taken
    sound: int | None

    @classmethod
    def of(cls, original: Original | None, version: Version) -> "VersionOut":
        return cls(
            stage=version.stage,
            done=version.thousandths / 1000,
            refused_because=version.refused_because or None,
            tracks=original.tracks if original and not version.edits else [],
            picture=version.picture,
            sound=version.sound,
        )


class EditsIn(BaseModel):
    """All that is to be changed in what is shown now, in place of what was kept before."""

    edits: Annotated[list[Edit], Field(max_length=MOST_EDITS)]


class WishIn(BaseModel):
    """What a family asks for, and the place in milliseconds that it is about."""

    place: Milliseconds | None = None
    text: Annotated[Note, Field(min_length=1)]


class WishOut(BaseModel):
    """What a family asked for."""

    wish_id: str
    place: int | None
    text: str
    asked_at: AwareDatetime
    done_at: AwareDatetime | None


class EarlierOut(BaseModel):
    """A version that a changed one replaced."""

    file: str
    duration_seconds: float


class EditingOut(BaseModel):
    """What is shown now, what is to be changed in it, and what it can go back to."""

    duration_seconds: float
    edits: list[Edit]  # made in the version before
    draft: list[Edit]
    earlier: list[EarlierOut]
    wishes: list[WishOut]
    preparing: VersionOut | None

    @classmethod
    async def of(cls, context: Context, one: Recording) -> "EditingOut":
        version = await Versions(context, one.institution).of(one)
        return cls(
            duration_seconds=one.media.duration_seconds if one.media else 0,
            edits=one.media.edits if one.media else [],
            draft=one.draft,
            wishes=[
                WishOut(wish_id=wish.id, place=wish.place, text=wish.text, asked_at=wish.asked_at, done_at=wish.done_at)
                for wish in await asked_of(context, one)
            ],
            earlier=[EarlierOut(file=media.file, duration_seconds=media.duration_seconds) for media in one.earlier],
            preparing=VersionOut.of(one.original, version) if version else None,
        )


class BackTo(BaseModel):
    """Which earlier version is held again."""

    file: Line


class ChosenTracks(BaseModel):
    """Which tracks of a file with several are taken; at least one."""

    picture: Count | None = None
    sound: Count | None = None


class RecordingOut(RecordingState):
    """A recording as tutors and coordinators see it: the state as events tell it, and what can be done."""

    state: Stage  # type: ignore[assignment]  # a tutor also sees what is not expected
    contact_id: str
    mime: str | None
    codecs: list[str]
    left_out: list[Extra]  # of what was in the file
    broke_off: bool  # the file was only a part of what was recorded
    preparing: VersionOut | None  # type: ignore[assignment]  # more than events tell
    upload: UploadOut
    viewings: ViewingsOut

    @classmethod
    async def of(cls, context: Context, one: Recording) -> "RecordingOut":
        viewings = Viewings(context, one.institution)
        last = await viewings.last(one.id)  # most were never watched, which one look tells
        version = await Versions(context, one.institution).of(one)
        preparing = VersionOut.of(one.original, version) if version else None
        return cls(
            **dict(one.told()) | {"state": one.state, "preparing": preparing},
            contact_id=one.id,
            mime=one.media.mime if one.media else None,
            codecs=one.media.codecs if one.media else [],
            left_out=one.media.left_out if one.media else [],
            broke_off=bool(one.media and one.media.broke_off),
            upload=UploadOut.of(context, one),
            viewings=ViewingsOut(
                count=await viewings.count(one.id) if last else 0,
                students=await viewings.students(one.id) if last else 0,
                last_at=last,
            ),
        )


class RecordingsOut(BaseModel):
    """A page of `total`; `next` is the cursor of the following one. Tutors get recordings, students cards."""

    recordings: list[RecordingOut] | list[CardOut]
    next: str | None
    total: int


class PlaysOut(BaseModel):
    """That it may be watched now. `reads`: what is said may be read, too."""

    plays: Literal[True]
    sha256: str
    reads: bool

    @classmethod
    def of(cls, one: Recording, viewer: Viewer) -> "PlaysOut":
        return cls(plays=True, sha256=one.media.sha256 if one.media else "", reads=one.reads_to(viewer))


class ClipIn(BaseModel):
    """A stretch that a tutor picks, in milliseconds; without an end, a chapter."""

    start: Milliseconds
    end: Milliseconds | None = None
    title: Annotated[Line, Field(min_length=1)]


class ClipOut(BaseModel):
    clip_id: str
    start: int
    end: int | None
    title: str


class ClipsOut(BaseModel):
    """In the order of their times."""

    clips: list[ClipOut]

    @classmethod
    def of(cls, clips: list[Picked]) -> "ClipsOut":
        return cls(clips=[ClipOut(clip_id=one.id, start=one.start, end=one.end, title=one.title) for one in clips])


class PlaceIn(BaseModel):
    """Where a viewer is, in seconds from the beginning."""

    place: Annotated[float, Field(ge=0, le=24 * 3600, allow_inf_nan=False)]


class HitOut(BaseModel):
    """A line in which some of the words are, with the milliseconds at which it is said."""

    at: int
    speaker: str
    text: str


class FoundOut(BaseModel):
    """A recording in which all of the words are said, and the first lines with most of them."""

    recording: CardOut
    language: str
    lines: list[HitOut]


class SearchOut(BaseModel):
    """What was found; `next` is the cursor of the following page. `complete`: all written versions were looked at."""

    found: list[FoundOut]
    next: str | None
    complete: bool

    @classmethod
    async def of(cls, context: Context, results: Results) -> "SearchOut":
        found = [
            FoundOut(
                recording=await CardOut.of(context, one.recording),
                language=one.language,
                lines=[HitOut(at=line.cue.start, speaker=line.cue.speaker, text=line.cue.text) for line in one.lines],
            )
            for one in results.found
        ]
        return cls(found=found, next=results.next, complete=results.complete)


class WatchedOut(BaseModel):
    times: int  # each student once a day
    students: int
    last_at: AwareDatetime | None


class FamilyRecordingOut(BaseModel):
    """A recording as its family sees it."""

    state: Stage
    media: MediaKind | None
    duration_seconds: float
    sha256: str
    audience: list[Scope]
    refused_because: str | None
    paused: bool
    expires_at: AwareDatetime | None
    watched: WatchedOut

    @classmethod
    async def of(cls, context: Context, one: Recording) -> "FamilyRecordingOut":
        viewings, media = Viewings(context, one.institution), one.media
        return cls(
            state=one.state,
            media=media.kind if media else None,
            duration_seconds=media.duration_seconds if media else 0,
            sha256=media.sha256 if media else "",
            audience=one.audience,
            refused_because=one.refused_because,
            paused=one.consent.state == "paused",
            expires_at=one.expires_at,
            watched=WatchedOut(
                times=await viewings.count(one.id),
                students=await viewings.students(one.id),
                last_at=await viewings.last(one.id),
            ),
        )
