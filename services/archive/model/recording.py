"""The recording of one contact: what is held, what the family allows, and who may see it. No I/O, no clock.

The state is derived from three facts, each of which may arrive first: whether a meeting was recorded, which media was
taken in, and the consent in force. So a withdrawal that is undone leads back to exactly what was before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.services.archive.model.edits import Edit, Milliseconds, checked
from firsthand.services.archive.model.refusals import no_copies, not_edited, not_taken_in, not_written
from firsthand.services.archive.model.version import Extra, Original, Version, original_of
from firsthand.shared.events.archive import (
    RecordingArchivedV1,
    RecordingAwaitedV1,
    RecordingChangedV1,
    RecordingPublishedV1,
    RecordingState,
    RecordingWithdrawnV1,
)
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.events.contact import SCOPES, ContactReference, Scope
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.vault import Sealed

RecordingEvent = (
    type[RecordingAwaitedV1]
    | type[RecordingArchivedV1]
    | type[RecordingPublishedV1]
    | type[RecordingChangedV1]
    | type[RecordingWithdrawnV1]
)
Stage = Literal["unexpected", "awaited", "held", "released", "withdrawn", "erased"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
# Of the work on a version: it goes on; it waits; it goes on without pictures; it is held; nothing comes of it any more.
Progress = Literal["go", "wait", "without-pictures", "held", "end"]

Preparing = Literal["working", "choosing", "refused"]
Words = Literal["proposed", "approved"]
Copies = Literal["to-destroy", "destroyed"]

RECORDING_SCOPES: frozenset[Scope] = frozenset({"record-video", "record-audio"})
SHARE_SCOPES: tuple[Scope, ...] = ("share-cohort", "share-institution", "share-partners", "share-public")

# Audiences of a released recording, as `shown_to` names them.
INSTITUTION: Final = "institution"
NOBODY: Final = "nobody"

MOST_WISHES: Final = 20  # of a family, for one recording


def cohorts_of(case_id: str) -> str:
    """Name the audience of who learns from a case."""
    return f"case {case_id}"


class Wish(BaseModel):
    """What a family asks staff to change in its recording, in its own words."""

    id: str
    place: Milliseconds | None  # in what was shown then
    text: Sealed
    asked_at: AwareDatetime
    done_at: AwareDatetime | None = None

    @property
    def field(self) -> str:
        """Name the sealed field."""
        return f"wish.{self.id}"


class Media(BaseModel):
    """The viewing copy: all that is ever shown, released and hashed. A release before 0.2 kept the file as it came."""

    model_config = ConfigDict(frozen=True)

    file: str  # random id; the name of the sealed file
    has_video: bool
    mime: str  # e.g. `video/mp4`
    codecs: list[str]  # e.g. ["h264", "aac"]
    duration_seconds: float
    bytes: int  # of the plain content
    sha256: str  # of the plain content, hexadecimal
    taken_in_at: AwareDatetime
    taken_in_by: str  # person id
    made_from: str = ""  # file of the original
    left_out: list[Extra] = []  # what of the original is not in it
    broke_off: bool = False  # the original was only a part of what was recorded
    edits: list[Edit] = []  # what was changed in the version before

    @property
    def kind(self) -> Literal["video", "audio"]:
        return "video" if self.has_video else "audio"

    @property
    def has_sound(self) -> bool:
        return len(self.codecs) > self.has_video


@dataclass(frozen=True)
class Viewer:
    """A viewer from the recording's institution: the contact's family, or a member."""

    family: bool = False
    person_id: str = ""
    cohorts: frozenset[str] = frozenset()
    human: bool = True  # a machine's token never plays
    student: bool = False  # families are told how often students watched


def is_shown_to_nobody(consent: ConsentRecordState, viewer: Viewer) -> bool:
    """Whether a consent alone rules out that such a viewer is shown anything, whatever else is known. A quick no: that
    it is False says nothing.
    """
    return not viewer.family and (consent.state != "granted" or not set(SHARE_SCOPES) & set(consent.scopes))


@dataclass(frozen=True)
class Learners:
    """Who learns from the case: the cohorts, and the tutors who guide them."""

    cohorts: frozenset[str] = frozenset()
    tutors: frozenset[str] = frozenset()

    def include(self, viewer: Viewer) -> bool:
        return bool(self.cohorts & viewer.cohorts) or viewer.person_id in self.tutors


class Recording(Document):
    """The recording of one contact; id = contact id."""

    kind: ClassVar[str] = "recording"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("state", "changed_at"),
        Index.on("shown_to", "changed_at"),
        Index.on("case_id", "state", "changed_at"),
        Index.on("tutor_id", "state", "changed_at"),
        Index.on("tutor_id", "case_id", "state"),  # so that what is seen for both reasons counts once
    )
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("state",),)

    contact: ContactReference
    state: Stage = "unexpected"
    changed_at: AwareDatetime
    expected: bool = False  # a meeting was held and recorded
    original: Original | None = None  # until the family has released what was made of it
    media: Media | None = None
    making: str = ""  # id of the version that was begun last
    preparing: Preparing | None = None  # of a file that was brought and is not held yet
    made: int = 0  # versions that were begun by changing one
    earlier: list[Media] = []  # versions that a changed one replaced: kept until the release, to go back to
    draft: list[Edit] = []  # what is to be changed in `media`
    wishes: list[Wish] = []  # of the family, until the release
    words: Words | None = None  # what is said, written down: it waits for the family, or it does not
    brought: bool = False  # a file was, from somewhere where there are copies of it
    copies_destroyed_at: AwareDatetime | None = None
    copies_destroyed_by: str = ""  # person id of whoever said so
    replaced: list[str] = []  # files that later ones replaced: removed, and never taken in again
    consent: ConsentRecordState = ConsentRecordState(state="none")
    consent_sequence: int = 0
    allowed: list[Scope] = []  # the scopes last granted; a pause empties the consent's own list
    audience: list[Scope] = []
    # For lists: the widest audience that has a door, and the contact's; None in what a release stored that did not know
    # them (`name_audience`).
    shown_to: str | None = None
    case_id: str | None = None
    tutor_id: str | None = None
    refused_because: Literal["wider-than-allowed"] | None = None
    released_at: AwareDatetime | None = None
    keep_until: AwareDatetime | None = None  # the institution's policy, counted from taking in
    erasure_id: str = ""
    erased_at: AwareDatetime | None = None

    # -- facts

    def expect(self, *, expected: bool) -> None:
        """A meeting was held; a recording is to come, or none."""
        self.expected = expected

    def obey(self, consent: ConsentRecordState, sequence: int) -> None:
        """Keep the consent that is in force now, `sequence` being that of its document. A late one changes nothing."""
        if sequence <= self.consent_sequence:
            return
        self.consent, self.consent_sequence = consent, sequence
        if consent.state == "granted":
            self.allowed = [scope for scope in SCOPES if scope in consent.scopes]

    def bring(self, original: Original, *, choosing: bool) -> RecordingEvent:
        """Keep a file that was brought, in place of an earlier one, until a version of it is made; returns the event to
        publish. `choosing`: a tutor chooses its tracks first. Raises Refused.
        """
        self.admits_upload(original.brought_at)
        if self.original:
            self.replaced = [*self.replaced, self.original.file, self.making]
        self.original, self.making = original, original.version_id
        self.preparing, self.changed_at = "choosing" if choosing else "working", original.brought_at
        self.brought, self.copies_destroyed_at, self.copies_destroyed_by = True, None, ""
        self.words = None  # those of the file before
        return RecordingChangedV1

    def tell_preparing(self, version: str, preparing: Preparing, at: datetime) -> RecordingEvent | None:
        """Note how the work on the version of this id stands; returns the event to publish, None without a change."""
        if self.making != version or self.preparing in (None, preparing):
            return None
        self.preparing, self.changed_at = preparing, at
        return RecordingChangedV1

    def admits_version(self, version: str, at: datetime, *, pictures: bool) -> "Progress":
        """Whether work on the version of this id may go on at `at`. `pictures`: it would show them."""
        if self.media and self.media.file == version:
            return "held"
        if self.leaves or self.making != version:
            return "end"
        if pictures and self.consent.state == "granted" and "record-video" not in self.consent.scopes:
            return "without-pictures"
        try:
            self.admits_upload(at)
        except Refused:  # a pause ends, and a withdrawal can be taken back for a while
            return "wait"
        return "go"

    def take_in(self, media: Media, keep_days: int) -> RecordingEvent:
        """Hold `media` in place of the previous version; returns the event to publish. Raises Refused."""
        at = media.taken_in_at
        self.admits_upload(at)
        if self.media and media.edits:
            self.earlier = [*self.earlier, self.media]
        elif self.media:
            self.replaced = [*self.replaced, self.media.file, *(one.file for one in self.earlier)]
            self.earlier = []
        self.media, self.draft, self.preparing = media, [], None
        self.keep_until = at + timedelta(days=keep_days)
        self.changed_at = at
        # A family may have released this very recording before, e.g. when it was lost and is brought again.
        return RecordingPublishedV1 if self.settle(at) is RecordingPublishedV1 else RecordingArchivedV1

    def was_brought(self, upload_file: str) -> bool:
        """Whether what came with this upload is here now, or was before."""
        original = original_of(upload_file)
        now = {self.original.file if self.original else "", self.media.made_from if self.media else ""}
        # A release before 0.2 held the upload's own file.
        return original in now or not {upload_file, original}.isdisjoint(
            {*self.replaced, self.media.file if self.media else ""}
        )

    # -- changing what is shown

    def propose(self, edits: Sequence[Edit]) -> None:
        """Keep what is to be changed, in place of what was kept before. Raises Refused."""
        media = self._editable()
        self.draft = checked(edits, media.duration_seconds, picture=media.has_video, sound=media.has_sound)

    def begin_edit(self, at: datetime) -> Version:
        """Begin the version that has all that is to be changed. Raises Refused."""
        media = self._editable()
        self.admits_upload(at)
        if not self.draft:
            raise not_edited("no-edits")
        self.made += 1
        self.making = f"{media.made_from or media.file}-{self.made + 1}"
        return Version.edited(self.id, self.institution, media, self.making, self.draft, at)

    def go_back(self, file: str, at: datetime) -> RecordingEvent:
        """Hold an earlier version again, in place of all that came after it. Raises Refused."""
        self._editable()
        self.admits_upload(at)
        files = [one.file for one in self.earlier]
        if file not in files:
            raise not_edited("no-such-version")
        place = files.index(file)
        later = [*self.earlier[place + 1 :], self.media]
        self.replaced = [*self.replaced, *(one.file for one in later if one)]
        self.media, self.earlier, self.draft = self.earlier[place], self.earlier[:place], []
        self.making = self.media.file
        self.changed_at = at
        self.settle(at)
        return RecordingArchivedV1

    def wish(self, wish: Wish) -> RecordingEvent:
        """Keep what the family asks for; returns the event to publish. Raises Refused."""
        self._editable()
        if len(self.wishes) >= MOST_WISHES:
            raise not_edited("too-many-wishes")
        self.wishes, self.changed_at = [*self.wishes, wish], wish.asked_at
        return RecordingChangedV1

    def note_done(self, wish_id: str, at: datetime) -> RecordingEvent | None:
        """Note that it was done; returns the event to publish, once nothing waits any more. Raises Refused."""
        self._editable()
        if not any(wish.id == wish_id for wish in self.wishes):
            raise not_edited("no-such-wish")
        waited = self.changes
        self.wishes = [
            wish.model_copy(update={"done_at": wish.done_at or at}) if wish.id == wish_id else wish
            for wish in self.wishes
        ]
        if self.changes == waited:
            return None
        self.changed_at = at
        return RecordingChangedV1

    @property
    def changes(self) -> Literal["asked", "made"] | None:
        """How what the family asked for stands."""
        if not self.wishes:
            return None
        return "made" if all(wish.done_at for wish in self.wishes) else "asked"

    def _editable(self) -> Media:
        if self.media is None or self.state != "held":
            raise not_edited("nothing-to-edit")
        return self.media

    def forget_earlier(self) -> list[str]:
        """Once the family has released what it saw, nothing else of it is kept; gives the files to remove."""
        files, self.earlier, self.draft, self.wishes = [one.file for one in self.earlier], [], [], []
        return files

    @property
    def done_with(self) -> bool:
        """Whether there is something that is kept only until the family has released what it saw, and it has."""
        return self.state == "released" and bool(self.original or self.earlier or self.wishes)

    def erase(self, erasure_id: str, at: datetime) -> None:
        """Nothing is held any more; the file and its key are gone. What stays says only that it was so."""
        self.state, self.erasure_id, self.erased_at, self.changed_at = "erased", erasure_id, at, at
        self.brought = self._was_brought
        self.original, self.media, self.audience, self.allowed, self.refused_because = None, None, [], [], None
        self.replaced, self.earlier, self.draft, self.wishes, self.words = [], [], [], [], None
        self.due_at, self.preparing = None, None
        self.name_audience()

    def note_words(self, words: Words | None, at: datetime) -> RecordingEvent | None:
        """Note how what is written down stands; returns the event to publish, None without a change."""
        if self.words == words:
            return None
        self.words, self.changed_at = words, at
        return RecordingChangedV1

    @property
    def _was_brought(self) -> bool:
        return self.brought or bool(self.media or self.original)  # a release before noted it nowhere else

    @property
    def copies(self) -> Copies | None:
        """How the copies stand that staff has elsewhere, once they are no longer needed."""
        if not self._was_brought or self.state not in ("released", "withdrawn", "erased"):
            return None
        return "destroyed" if self.copies_destroyed_at else "to-destroy"

    def attest_copies_destroyed(self, by: str, at: datetime) -> RecordingEvent:
        """Somebody of staff says that there are no copies elsewhere any more; returns the event to publish. Raises
        Refused.
        """
        if self.copies != "to-destroy":
            raise no_copies()
        self.copies_destroyed_at, self.copies_destroyed_by = at, by
        return RecordingChangedV1

    # -- what follows from them

    def settle(self, at: datetime) -> RecordingEvent | None:
        """Derive state, audience and the next check; returns the event to publish, None without a change."""
        if self.state == "erased":
            return None
        before = (self.state, self.audience, self.refused_because)
        self.state = self._stage(at)
        self.refused_because = "wider-than-allowed" if self.state == "held" and self.wider_than_allowed else None
        self.audience = self._audience()
        self.name_audience()
        ends = self.expires_at
        self.due_at = ends if ends and ends > at else None
        if before == (self.state, self.audience, self.refused_because):
            return None
        self.changed_at = at
        if self.state == "released" and self.released_at is None:
            self.released_at = at
        if self.state not in {"released", "withdrawn"}:
            self.released_at = None
        return _told_by(before[0], self.state)

    def name_audience(self) -> None:
        """Derive `shown_to` from the audience, and case and tutor from the contact."""
        self.case_id, self.tutor_id = self.contact.case_id, self.contact.tutor_id
        if "share-institution" in self.audience:
            self.shown_to = INSTITUTION
        else:
            self.shown_to = cohorts_of(self.contact.case_id) if "share-cohort" in self.audience else NOBODY

    def under(self, consent: ConsentRecordState, sequence: int, at: datetime) -> "Recording":
        """How it stands at `at` if this consent is in force, unless the recording already knows a later one."""
        copy = self.model_copy()
        copy.obey(consent, sequence)
        copy.settle(at)
        return copy

    def plays_to(self, viewer: Viewer, learners: Learners, at: datetime) -> bool:
        """Whether this viewer may see it at `at`. The state must have been settled with the consent in force."""
        if self.media is None or self.state in ("unexpected", "awaited", "erased"):
            return False
        if viewer.family:  # their own, also after a withdrawal, until it is erased
            return True
        if not viewer.human or self._stage(at) != "released" or self.state != "released":
            return False
        return "share-institution" in self.audience or ("share-cohort" in self.audience and learners.include(viewer))

    def reads_to(self, viewer: Viewer) -> bool:
        """Whether one who may see it may also read what is said."""
        return viewer.family or (self.consent.state == "granted" and "transcript" in self.consent.scopes)

    @property
    def forbids_words(self) -> bool:
        """Whether the family allows a recording, but no written version: then there is none."""
        return self.consent.state == "granted" and "transcript" not in self.consent.scopes

    def admits_words(self, at: datetime) -> None:
        """Raises Refused, saying why, unless what is said may be written down at `at`."""
        if not (self.media or self.preparing) or self.state not in ("awaited", "held", "released"):
            raise not_written("no-recording")
        ends = self.consent.expires_at
        if self.consent.state != "granted" or self.forbids_words or (ends and ends <= at):
            raise not_written("not-allowed")

    @property
    def words_of(self) -> str:
        """The version that a written one is of: what is held, or the first that is being made."""
        return self.media.file if self.media and not self.preparing else self.making

    @property
    def kept_files(self) -> set[str]:
        """The versions that are held, that can be gone back to, or that are being made."""
        return {self.making, *(media.file for media in (self.media, *self.earlier) if media)} - {""}

    def downloads_to(self, viewer: Viewer) -> bool:
        """Whether one who may see it may also keep a copy."""
        return viewer.family or (self.consent.state == "granted" and "download" in self.consent.scopes)

    def admits_upload(self, at: datetime) -> None:
        """Raises Refused, saying why, unless a recording may be taken in at `at`."""
        if self.state in ("withdrawn", "erased"):
            raise not_taken_in("closed")
        if not self.expected:
            raise not_taken_in("not-expected")
        if self.state == "released":
            raise not_taken_in("released")
        if self.consent.state != "granted" or not RECORDING_SCOPES & set(self.consent.scopes):
            raise not_taken_in("not-allowed")
        if self.consent.expires_at and self.consent.expires_at <= at:
            raise not_taken_in("expired")

    @property
    def leaves(self) -> bool:
        """Whether it was asked to be erased: nothing of it is noted any more."""
        return self.state == "erased" or self.consent.erasure_id is not None

    @property
    def wider_than_allowed(self) -> bool:
        """Whether the media shows more than was allowed: moving pictures where only sound was."""
        return self.media is not None and not _fits(self.media, self.allowed)

    @property
    def expires_at(self) -> datetime | None:
        """When it ends: with the consent, or when the institution's time for keeping recordings is over."""
        ends = [end for end in (self.consent.expires_at, self.keep_until) if end]
        return min(ends, default=None)

    def told(self) -> RecordingState:
        """The state as events tell it."""
        media = self.media
        return RecordingState(
            contact=self.contact,
            state="awaited" if self.state == "unexpected" else self.state,
            media=media.kind if media else None,
            duration_seconds=media.duration_seconds if media else 0,
            bytes=media.bytes if media else 0,
            sha256=media.sha256 if media else "",
            held_at=media.taken_in_at if media else None,
            released_at=self.released_at,
            expires_at=self.expires_at,
            audience=self.audience,
            refused_because=self.refused_because,
            preparing=self.preparing if self.state in ("awaited", "held") else None,
            changes=self.changes if self.state == "held" else None,
            transcript=self.words if self.state in ("held", "released") else None,
            copies=self.copies,
        )

    def _stage(self, at: datetime) -> Stage:
        """The state that the facts give; a pause changes no state, only the audience."""
        if self.state == "erased":
            return "erased"
        if not self.expected and self.media is None:
            return "unexpected"
        if self._closed(at):
            return "withdrawn"
        if self.media is None:
            return "awaited"
        return "released" if self._released(self.media) else "held"

    def _closed(self, at: datetime) -> bool:
        if self.consent.state in ("withdrawn", "declined", "erased"):
            return True
        if self.consent.state == "granted" and not RECORDING_SCOPES & set(self.consent.scopes):
            return True
        return self.expires_at is not None and self.expires_at <= at

    def _released(self, media: Media) -> bool:
        return (
            self.consent.state in ("granted", "paused")
            and self.consent.released
            and self.consent.released_sha256 == media.sha256
            and _fits(media, self.allowed)
        )

    def _audience(self) -> list[Scope]:
        if self.state != "released" or self.consent.state != "granted":
            return []
        return [scope for scope in SHARE_SCOPES if scope in self.consent.scopes]


def _fits(media: Media, scopes: list[Scope]) -> bool:
    """Sound needs any record scope; moving pictures need the one that names them."""
    return "record-video" in scopes or (not media.has_video and "record-audio" in scopes)


def _told_by(before: Stage, now: Stage) -> RecordingEvent | None:
    if now == "unexpected":
        return None
    if now == "withdrawn":
        # A contact that never had a meeting has no recording whose end could be told.
        return RecordingWithdrawnV1 if before != "unexpected" else None
    if now == "awaited" and before == "unexpected":
        return RecordingAwaitedV1
    if now == "released" and before != "released":
        return RecordingPublishedV1
    return RecordingChangedV1
