"""A family's decisions and their effect: only what the last decision allowed is in force. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from firsthand.services.consent.model.scopes import RECORD, SHARE, Media, covers, ordered, settled, unmet
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.events.contact import Language, Scope
from firsthand.shared.events.envelope import Unknown
from firsthand.shared.refused import Refused
from firsthand.shared.texts import N_

State = Literal["none", "granted", "paused", "declined", "withdrawn", "erased"]
Signer = Literal["self", "parent", "guardian", "carer"]
Erase = Literal["now", "in-7-days"]

UNDO_FOR = timedelta(days=7)
_AT_LEAST = timedelta(days=1)  # until the end that a family chooses: who wants it sooner withdraws
_SOON = tuple(timedelta(days=days) for days in (30, 91, 182, 365))


class Recording(BaseModel):
    """The recording as the archive last published it."""

    state: Literal["awaited", "held", "released", "withdrawn", "erased"] | Unknown
    media: Media | Unknown | None = None
    sha256: str = ""
    duration_seconds: float = 0
    held_at: AwareDatetime | None = None
    refused_because: str | None = None
    expires_at: AwareDatetime | None = None


class Consent(BaseModel):
    """The decision of one family."""

    state: State = "none"
    allowed: list[Scope] = []  # what the last decision allowed; in force only while `granted`
    text_version: str = ""
    language: Language = "en"
    signer: Signer | None = None
    about_child: bool = False
    granted_at: AwareDatetime | None = None
    changed_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    longest: AwareDatetime | None = None  # what the institution keeps at most; None: an older release saved this
    release_of: str = ""  # SHA-256 of the recording that the family saw and released
    released_at: AwareDatetime | None = None
    withdrawn_at: AwareDatetime | None = None
    back_to: Literal["granted", "paused"] | None = None  # what undoing a withdrawal returns to
    erase_at: AwareDatetime | None = None
    # The same by the time that surely was, when the family asked while the machine's clock was not believed.
    erase_by: AwareDatetime | None = None
    erasure_id: str | None = None

    @property
    def in_force(self) -> list[Scope]:
        return list(self.allowed) if self.state == "granted" else []

    def released(self, recording: Recording | None) -> bool:
        """Whether the recording that is there now, and no other, may be shown."""
        return bool(
            self.release_of
            and recording is not None
            and recording.sha256 == self.release_of
            and recording.media is not None
            and covers(self.in_force, recording.media)
        )

    def grant(
        self,
        at: datetime,
        scopes: list[Scope],
        *,
        text_version: str,
        language: str,
        signer: Signer,
        about_child: bool,
        expires_at: datetime,
    ) -> None:
        """The first yes."""
        if self.state == "declined":
            raise Refused(
                "declined", N_("You said no, and we respect that. If you have changed your mind, write to us.")
            )
        if self.state != "none":
            raise Refused("decided", N_("You have already decided. You can change it on your page at any time."))
        if missing := unmet(scopes):
            raise Refused("needs-another", needs_text(missing[0]), fields=tuple(missing), kind="invalid")
        if not scopes:
            raise Refused(
                "nothing-chosen", N_("You said no to everything. If that is what you want, choose “No, thank you”.")
            )
        self.state, self.allowed = "granted", ordered(scopes)
        self.text_version, self.language, self.signer, self.about_child = text_version, language, signer, about_child
        self.granted_at = self.changed_at = at
        self.expires_at = self.longest = expires_at

    def decline(self, at: datetime, sure: datetime | None = None) -> None:
        """A no, for good. What we have is erased after the days in which the family can still look at this page."""
        if self.state != "none":
            raise Refused("decided", N_("You have already decided. You can change it on your page at any time."))
        self.state, self.changed_at = "declined", at
        self.erase_later(at, UNDO_FOR, sure)

    def change(self, at: datetime, scopes: list[Scope], *, text_version: str) -> None:
        """Other scopes from now on. What has lost its need goes too; a wider choice names the text that was shown."""
        self._demand_granted()
        chosen = settled(scopes)
        if lost := [scope for scope in unmet(scopes) if scope not in self.allowed]:
            raise Refused("needs-another", needs_text(lost[0]), fields=tuple(lost), kind="invalid")
        if not chosen:
            raise Refused(
                "nothing-left", N_("You would have agreed to nothing. To withdraw, choose “Withdraw and delete”.")
            )
        if self.widens(chosen):
            self.text_version = text_version
        self.allowed, self.changed_at = chosen, at

    @property
    def latest_end(self) -> datetime | None:
        """When it ends at the latest: as the family read it when it said yes."""
        return self.longest or self.expires_at

    def ends(self, at: datetime) -> list[datetime]:
        """The days that a family is offered, the earliest first: some soon, the one that holds, and the latest."""
        latest = self.latest_end
        if latest is None:
            return []
        offered = {at + soon for soon in _SOON if at + soon < latest}
        return sorted({*offered, latest, *([self.expires_at] if self.expires_at else [])})

    def end_on(self, until: datetime, at: datetime) -> None:
        """Everything is deleted at `until`, earlier or later than was agreed before. Raises Refused."""
        self._demand_granted()
        latest = self.latest_end
        if latest is None or not at + _AT_LEAST <= until <= latest:
            raise Refused(
                "until",
                N_("Choose a day from tomorrow on, and not after the day that you were shown when you said yes."),
                fields=("until",),
                kind="invalid",
            )
        self.longest, self.expires_at, self.changed_at = latest, until, at

    def widens(self, scopes: list[Scope]) -> bool:
        return bool(set(settled(scopes)) - set(self.allowed))

    def pause(self, at: datetime) -> None:
        if self.state != "granted":
            raise Refused("not-in-force", N_("There is nothing to pause."))
        self.state, self.changed_at = "paused", at

    def resume(self, at: datetime) -> None:
        if self.state != "paused":
            raise Refused("not-paused", N_("Nothing is paused."))
        self.state, self.changed_at = "granted", at

    def release(self, at: datetime, sha256: str, recording: Recording | None) -> None:
        """The second yes, to exactly the recording that was seen."""
        if self.state != "granted":
            raise Refused("not-in-force", N_("You can do this only while your consent applies."))
        if recording is None or not recording.media or recording.state not in {"held", "released"}:
            raise Refused("no-recording", N_("There is no recording here yet."))
        if sha256 != recording.sha256:
            raise Refused(
                "not-this-recording", N_("The recording has changed since you watched it. Please watch it again first.")
            )
        if not covers(self.allowed, recording.media):
            raise Refused("wider-than-allowed", wider_text(self.allowed, recording.media))
        if not SHARE & set(self.allowed):
            raise Refused(
                "nobody-may-see", N_("You have not let anyone watch a recording. First choose who can watch it.")
            )
        self.release_of, self.released_at = sha256, at

    def withdraw(self, at: datetime, erase: Erase, sure: datetime | None = None) -> None:
        """Nothing is allowed from now on; deletion at once, or in seven days in which it can be undone."""
        if self.erasure_id is not None or self.state == "erased":
            raise Refused("erasing", N_("Deletion has started. There is nothing left to withdraw."))
        if self.state in {"granted", "paused"}:
            self.back_to = "granted" if self.state == "granted" else "paused"
        if self.state != "declined":  # a no stays a no
            self.state = "withdrawn"
        self.withdrawn_at = self.withdrawn_at or at
        if erase == "now":
            self.erase_now(at, sure)
        elif self.erase_at is None or at + UNDO_FOR < self.erase_at:
            self.erase_later(at, UNDO_FOR, sure)

    def erase_now(self, at: datetime, sure: datetime | None = None) -> None:
        """Deletion is due, by every clock: `at` is the machine's, `sure` the time that surely is."""
        self.erase_at, self.erase_by = min(at, sure or at), None

    def erase_later(self, at: datetime, after: timedelta, sure: datetime | None = None) -> None:
        """Deletion is due `after` so long, also if the machine's clock, which shows `at`, is set right meanwhile."""
        self.erase_at = at + after
        self.erase_by = sure + after if sure and sure < at else None

    def deletion_due(self, sure: datetime) -> bool:
        """Whether the days are over. None is ever further away than `UNDO_FOR`: such a day was a wrong clock's."""
        if self.erase_at is None or sure >= self.erase_at:
            return self.erase_at is not None
        return self.erase_by is not None and sure >= self.erase_by and self.erase_at - sure > UNDO_FOR

    def can_undo(self, at: datetime) -> bool:
        return (
            self.state == "withdrawn"
            and self.back_to is not None
            and self.erasure_id is None
            and self.erase_at is not None
            and at < self.erase_at
        )

    def undo(self, at: datetime) -> None:
        """Restore what was in force before the withdrawal, including a release of the same recording."""
        if not self.can_undo(at) or self.back_to is None:
            raise Refused("too-late", N_("This can no longer be undone: deletion has started."))
        self.state, self.back_to = self.back_to, None
        self.withdrawn_at = self.erase_at = self.erase_by = None
        self.changed_at = at

    def told(self, recording: Recording | None, erased_by: list[str]) -> ConsentRecordState:
        released = self.released(recording)
        shared = self.model_dump(include=set(ConsentRecordState.model_fields))
        return ConsentRecordState.model_validate(
            shared
            | {
                "scopes": self.in_force,
                "released": released,
                "released_sha256": self.release_of if released else "",
                "erased_by": erased_by,
            }
        )

    def _demand_granted(self) -> None:
        if self.state not in {"granted", "paused"}:
            raise Refused("not-in-force", N_("You can do this only while your consent applies."))


def needs_text(scope: Scope) -> str:
    """Explain in plain words what a chosen scope needs."""
    if scope in RECORD:
        return N_("A recording needs a video call. Say yes to the call too, or no to the recording.")
    if scope == "download":
        return N_("Nobody can keep a copy unless somebody can watch. Choose who can watch, or say no to copies.")
    return N_("This needs a recording. Say yes to picture and sound or to sound only, or say no to this.")


def wider_text(allowed: list[Scope], media: Media | Unknown) -> str:
    if media == "video" and "record-audio" in allowed:
        return N_(
            "This recording has a picture, and you allowed sound only. No student can watch it. You can allow the "
            "picture, or we make a version with sound only."
        )
    return N_(
        "You did not allow this kind of recording, so no student can watch it. You can allow it, or we delete it."
    )
