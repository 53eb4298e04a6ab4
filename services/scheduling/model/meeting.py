"""The meeting of one contact: a pure state machine. Times are passed in; nothing is read or sent here.

none -> offered -> scheduled -> finished, and cancelled from offered and scheduled; erased ends it. Whatever a method
does, the consent in force decides whether a time may be chosen: without `meet` nothing is offered and nothing planned.
"""

from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from firsthand.services.scheduling.model.calendar import Reservation
from firsthand.services.scheduling.model.calendar_file import EntryIdentity
from firsthand.services.scheduling.model.letters import (
    DROPPED,
    Farewell,
    Letter,
    LetterKind,
    Notice,
    NoticeKind,
    Reminder,
    Telling,
    TellingOf,
    is_reminder,
    reminders_before,
)
from firsthand.services.scheduling.model.room import Room
from firsthand.shared.events.consent import ConsentRecordState, ConsentStateName
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.envelope import AnyEvent, is_known
from firsthand.shared.events.scheduling import (
    MeetingCancelledV1,
    MeetingFinishedV1,
    MeetingOfferedV1,
    MeetingScheduledV1,
    MeetingState,
    MeetingToldV1,
    TellingState,
)
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

ReachBy = Literal["email", "page"]
# Mail waits because none can be sent now; or the address takes none; or our mail server cannot write to its letters.
MailTrouble = Literal["waits", "refused", "letters"]
NotHeldBecause = Literal["nobody-came", "technical", "other"]

_NOT_YET: Final = N_("That time has not passed yet. If you met earlier than planned, change the times.")
# People say times to the minute.
_TO_THE_MINUTE: Final = timedelta(minutes=1)
_TOLD_OF: Final = 20  # recordings that are remembered: a family makes some versions, and goes back to one
_MAIL_AGAIN: Final = timedelta(minutes=1)  # until mail that could not be sent is tried again


class Participant(BaseModel):
    """Somebody of the institution who took part, and whether they agree to the recording."""

    model_config = ConfigDict(frozen=True)

    person_id: str
    agrees_to_recording: bool = False


class Meeting(Document):
    """The meeting of one contact; id = contact id."""

    kind: ClassVar[str] = "meeting"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("state", "starts_at"),
        Index.on("tutor_id", "state", "starts_at"),
        Index.on("state", "changed_at"),
        Index.on("tutor_id", "state", "changed_at"),
        Index.on("mail_waits_since"),
        Index.on("case_id", "state", "starts_at"),
        Index.on("case_id", "state", "changed_at"),
        Index.on("tutor_id", "case_id", "state", "starts_at"),  # so that what is seen for both reasons counts once
    )
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("state",),)  # a tutor's own are few enough to be counted

    contact: ContactReference
    case_id: str | None = None  # derived before each save, for lists; None in what a release stored that did not
    tutor_id: str
    language: str  # in which the family read and decided
    state: Literal["none", "offered", "scheduled", "finished", "cancelled", "erased"] = "none"

    # the consent in force
    allowed: bool = False
    may_record: bool = False
    allowed_since: AwareDatetime | None = None
    allowed_until: AwareDatetime | None = None

    # what was planned, and what came of it
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    room: Room | None = None
    reschedules: int = 0
    file_sequence: int = -1  # SEQUENCE of the calendar file; -1 before the first
    entry: EntryIdentity | None = None  # None with a file sent: as releases up to 0.1 named it
    changed_at: AwareDatetime | None = None
    cancelled_by: Literal["family", "tutor", "consent", "not-held"] | None = None
    not_held_because: NotHeldBecause | None = None
    held_from: AwareDatetime | None = None
    held_until: AwareDatetime | None = None
    participants: list[Participant] = []
    recording: Literal["expected", "none"] | None = None

    # the family's own, sealed
    zone: Sealed | None = None
    reach_by: ReachBy | None = None
    address: Sealed | None = None
    note: Sealed | None = None  # what the tutor wrote when cancelling

    # still to be done
    voids: int = 0  # reservations made on an older version of this document count no more
    to_free: bool = False  # ... and may still stand in the tutor's calendar
    letters: list[Letter] = []
    farewells: list[Farewell] = []
    notices: list[Notice] = []
    reminders: list[Reminder] = []

    telling: Telling | None = None  # what the family was last to be told
    text_waits: bool = False  # what is said in the recording, written down, for the family's yes
    told_of: list[str] = []  # SHA-256 of recordings that it was told of, the last ones

    mail_delivered: bool = False  # a mail server took one: it cannot be recalled
    mail_refused: bool = False  # the address does not take mail; the family is told on their page
    mail_refused_because: str = ""  # `letters`: our mail server cannot write to what stands before the @
    mail_waits_since: AwareDatetime | None = None  # mail could not be sent since then, and is tried again
    mail_waits_for: str = ""  # what it last failed with; names nobody
    invited: bool | None = None  # whether the address holds the planned time; None: an older release saved this
    erased: list[str] = []  # codes of what was erased

    def name_case(self) -> None:
        """Derive `case_id` from the contact."""
        self.case_id = self.contact.case_id

    # -- the consent

    def obey(self, consent: ConsentRecordState, now: datetime) -> type[AnyEvent] | None:
        """Follow the consent; returns the event that this causes."""
        if self.state == "erased":
            return None
        self.allowed = consent.state == "granted" and "meet" in consent.scopes
        self.may_record = self.allowed and not {"record-video", "record-audio"}.isdisjoint(consent.scopes)
        self.allowed_since, self.allowed_until = consent.granted_at, consent.expires_at
        self.language = consent.language
        if self.allowed and (self.state == "none" or self.cancelled_by == "consent"):
            return self._offer(now)
        known = is_known(consent.state, ConsentStateName)  # what a newer release says closes, but cancels nothing yet
        if not self.allowed and known and self.state in {"offered", "scheduled"}:
            return self._cancel("consent", now)
        return None

    # -- the family

    @property
    def is_open(self) -> bool:
        """Whether the family may choose a time now."""
        return self.allowed and (self.state in {"offered", "scheduled"} or self.cancelled_by == "family")

    def check_open(self) -> None:
        """Raises Refused, saying why no time can be chosen."""
        if self.is_open:
            return
        if self.state == "finished":
            raise Refused("held", N_("Your video call has taken place. You do not need to choose a time."))
        if self.state == "cancelled" and self.allowed:
            raise Refused("not-offered", N_("There are no times at the moment. The teacher can offer new ones."))
        raise Refused("not-allowed", N_("You have not agreed to a video call. You can agree on your page."))

    def prefer(
        self,
        *,
        zone: Sealed,
        reach_by: ReachBy,
        address: Sealed | None,
        confirm: bool,
        now: datetime,
        leaves: bool = False,
    ) -> None:
        """Keep the family's zone and how to remind it; `confirm` a planned time to it.

        `leaves`: the former address is given up, so that the entry goes from its calendar.
        """
        if self.address is None:
            self.invited = False
        elif leaves:
            self._take_leave(now)
        self.zone, self.reach_by, self.address = zone, reach_by, address
        self.mail_refused, self.mail_refused_because = False, ""
        if self.state == "scheduled":
            self.letters, self.reminders = [], self._reminders(now)
            if confirm:
                self._write("confirmed", now)
            self.plan_ahead(now)

    def _take_leave(self, now: datetime) -> None:
        unsent = bool(self.letters) and self.mail_waits_since is not None
        holds = self.invited if self.invited is not None else self.file_sequence >= 0 and not unsent
        being_sent = bool(self.letters) and not unsent
        self.invited = False
        if self.state != "scheduled" or not self.address or self.mail_refused or not (holds or being_sent):
            return
        assert self.starts_at
        assert self.ends_at
        self.file_sequence += 1
        farewell = Farewell(
            key=f"{self.id}-{self.next_version}-former",
            address=self.address,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            sequence=self.file_sequence,
            at=now,
        )
        self.farewells = [*self.farewells, farewell]

    # -- what the calendar says

    def honours(self, reservation: Reservation, tutor_id: str) -> bool:
        """Whether a time that the calendar holds is one to meet at: allowed now, and not cancelled since."""
        return self.is_open and tutor_id == self.tutor_id and reservation.knew >= self.voids

    def hold(self, reservation: Reservation, room: Room, now: datetime) -> type[AnyEvent] | None:
        """The calendar holds this time: plan the meeting. Returns None if it is planned so already."""
        if self.state == "scheduled" and (self.starts_at, self.ends_at) == (reservation.starts_at, reservation.ends_at):
            return None
        moved = self.state == "scheduled"
        self.reschedules += moved
        self.state, self.cancelled_by, self.not_held_because, self.note = "scheduled", None, None, None
        self.starts_at, self.ends_at, self.room = reservation.starts_at, reservation.ends_at, room
        self.file_sequence += 1
        self.changed_at = now
        self.letters = []
        self._write("changed" if moved and self.invited is not False else "confirmed", now)
        self.notices = [one for one in self.notices if one.kind != "times"]
        self.telling = None
        self.reminders = self._reminders(now)
        self.plan_ahead(now)
        return MeetingScheduledV1

    # -- both

    def cancel(
        self, by: Literal["family", "tutor"], *, reserved: bool, now: datetime, note: Sealed | None = None
    ) -> type[AnyEvent]:
        """Cancel the planned time; `reserved`: the calendar holds a time that is not planned yet. Raises Refused."""
        if self.state != "scheduled" and not (self.state == "offered" and (reserved or by == "tutor")):
            raise Refused("nothing-planned", N_("No video call is booked. There is nothing to cancel."))
        self.note = note
        return self._cancel(by, now)

    # -- the tutor

    def choose_anew(self, *, now: datetime, note: Sealed | None = None) -> type[AnyEvent]:
        """Set the time free and let the family choose another. Raises Refused."""
        self._need_planned()
        self._write("choose-anew", now, dropped=True)
        self.note = note
        self._void()
        self.telling = self._telling("choose-anew")
        return self._offer(now)

    def offer_again(self, now: datetime) -> type[AnyEvent]:
        """Offer times again after a cancellation. Raises Refused."""
        if self.state != "cancelled" or not self.allowed:
            raise Refused(
                "not-cancelled",
                N_("You can offer times again after a cancellation, as long as the family allows a meeting."),
            )
        self._tell("times")
        return self._offer(now)

    def tell_of_recording(self, sha256: str) -> type[AnyEvent] | None:
        """The family can watch its recording, or a new version: tell it; returns the event that says how, or None
        where it was told of this very one, or nobody met.
        """
        if self.state != "finished" or sha256 in self.told_of:
            return None
        self.told_of = [*self.told_of, sha256][-_TOLD_OF:]
        self._tell("recording")
        return MeetingToldV1

    def tell_of_text(self, *, waits: bool) -> type[AnyEvent] | None:
        """A text waits for the family's yes, or none does any more; returns the event that says how it is told, or None
        where it was, or where somebody is about to tell it of the recording, beside which the text is.
        """
        news = waits and not self.text_waits
        self.text_waits = waits
        beside = self.telling is not None and self.telling.of == "recording" and self.telling.how == "by-hand"
        if self.state != "finished" or not news or beside:
            return None
        self._tell("text")
        return MeetingToldV1

    def note_told(self) -> type[AnyEvent]:
        """Somebody of staff told the family; returns the event that says so. Raises Refused."""
        if self.telling is None or self.telling.how != "by-hand":
            raise Refused("nothing-to-tell", N_("There is nothing to tell the family."))
        self.telling = self.telling.model_copy(update={"how": "told"})
        return MeetingToldV1

    def close_held(
        self, participants: list[Participant], held_from: datetime | None, held_until: datetime | None, now: datetime
    ) -> type[AnyEvent]:
        """It took place: by default when it was planned, else when they say. Raises Refused.

        A recording is expected only if the consent in force allows one and every participant agreed.
        """
        starts_at, ends_at = self._need_planned()
        begun = held_from or starts_at
        if begun > now:
            raise Refused("not-yet", _NOT_YET, kind="invalid")
        ended = held_until or (min(now, begun + (ends_at - starts_at)) if held_from else ends_at)
        if ended > now:
            raise Refused("not-yet", _NOT_YET, kind="invalid")
        if begun >= ended:
            raise Refused("ends-first", N_("The meeting must end after it started."), kind="invalid")
        if self.allowed_since and begun < self.allowed_since - _TO_THE_MINUTE:
            raise Refused("before-consent", N_("The family had not agreed by then. Check the time."), kind="invalid")
        if not participants:
            raise Refused(
                "nobody", N_("Enter who took part: at least one person from the institution."), kind="invalid"
            )
        self.state = "finished"
        self.held_from, self.held_until, self.changed_at = begun, ended, now
        self.participants = participants
        everybody = all(one.agrees_to_recording for one in participants)
        self.recording = "expected" if self.may_record and everybody else "none"
        self.letters, self.reminders, self.telling = [], [], None
        self._void()
        self.plan_ahead(now)
        return MeetingFinishedV1

    def close_not_held(self, because: NotHeldBecause, now: datetime) -> type[AnyEvent]:
        """It did not take place although its time has come. Raises Refused."""
        starts_at, _ = self._need_planned()
        if starts_at > now:
            raise Refused(
                "not-yet", N_("The meeting has not started yet. You can cancel it or move it."), kind="invalid"
            )
        self.not_held_because = because
        return self._cancel("not-held", now)

    # -- what is still to be done

    def take_reminders(self, now: datetime, sure: datetime | None = None) -> bool:
        """Turn reminders whose time has come into a letter: of several only the last, and none after the start.

        False: by the clock the meeting is over, but not by the time that surely is (`sure`), so they are kept for now.
        """
        due = [one for one in self.reminders if one.at <= now]
        if due and sure and self.starts_at and sure < self.starts_at <= now:
            return False
        self.reminders = [one for one in self.reminders if one.at > now]
        if due:
            self.letters = [letter for letter in self.letters if not is_reminder(letter.kind)]
        if due and self.state == "scheduled" and self.starts_at and self.starts_at > now:
            self._write(due[-1].kind, now)
        return True

    def note_freed(self) -> None:
        """The calendar holds no voided time any more, and the provider no room."""
        self.to_free = False
        if self.state != "scheduled":
            self.room = None

    def forget_stale(self, now: datetime) -> None:
        """Letters that waited until the meeting had begun are of no use any more, except those that take it back."""
        self.letters = [one for one in self.letters if one.kind in DROPPED or one.starts_at > now]
        self.farewells = [one for one in self.farewells if one.starts_at > now]

    def note_sent(self, keys: set[str], *, delivered: bool) -> None:
        """These letters are gone: to a mail server (`delivered`), or into the folder."""
        for letter in self.letters:
            if letter.key in keys:
                self.invited = letter.kind not in DROPPED
        self.letters = [one for one in self.letters if one.key not in keys]
        self.farewells = [one for one in self.farewells if one.key not in keys]
        self.notices = [one for one in self.notices if one.key not in keys]
        self.mail_delivered = self.mail_delivered or delivered

    def note_refused(self, keys: set[str], because: str) -> type[AnyEvent] | None:
        """The address takes no mail: it never got these letters, nor will it get those that still wait. Returns the
        event, if somebody is now to tell the family by hand.
        """
        if not keys & (self.waiting_keys - {farewell.key for farewell in self.farewells}):
            return None
        self.mail_refused, self.mail_refused_because = True, because
        self.letters, self.notices = [], []
        if self.telling is None or self.telling.how != "by-email":
            return None
        self.telling = self.telling.model_copy(update={"how": "by-hand"})
        return MeetingToldV1

    def note_waiting(self, keys: set[str], sentence: str, now: datetime) -> None:
        """These letters could not be sent now; `sentence` says why, and names nobody."""
        if sentence and keys & self.waiting_keys:
            self.mail_waits_since = self.mail_waits_since or now
            self.mail_waits_for = sentence
            self.due_at = now + _MAIL_AGAIN

    @property
    def waiting_keys(self) -> set[str]:
        waiting: list[Letter | Farewell | Notice] = [*self.letters, *self.farewells, *self.notices]
        return {one.key for one in waiting}

    @property
    def mail_trouble(self) -> MailTrouble | None:
        """Why mail does not reach the family, if it wants any."""
        if self.reach_by != "email":
            return None
        if self.mail_refused:
            return "letters" if self.mail_refused_because == "letters" else "refused"
        return "waits" if self.mail_waits_since and (self.letters or self.notices) else None

    def plan_ahead(self, now: datetime) -> None:
        """Set when to look at this document next."""
        if not self.waiting_keys:
            self.mail_waits_since, self.mail_waits_for = None, ""
        waiting = bool(self.waiting_keys) or self.to_free
        self.due_at = now if waiting else min((one.at for one in self.reminders), default=None)

    def wipe(self, *, mails: bool) -> None:
        """Keep only the reference and the codes of the erased data. `mails`: some were kept here."""
        had = {
            "email-address": self.address is not None or bool(self.farewells),
            "zone": self.zone is not None,
            "notes": self.note is not None,
            "mail": mails,
            "meeting-times": self.starts_at is not None,
        }
        self.erased = sorted({*self.erased, *(code for code, was in had.items() if was)})
        self.state, self.allowed, self.may_record = "erased", False, False
        self.zone = self.address = self.note = self.reach_by = self.room = None
        self.starts_at = self.ends_at = self.held_from = self.held_until = None
        self.allowed_since = self.allowed_until = self.changed_at = self.due_at = None
        self.cancelled_by = self.not_held_because = self.recording = None
        self.participants, self.letters, self.farewells, self.reminders = [], [], [], []
        self.notices, self.telling, self.told_of = [], None, []
        self.to_free, self.entry, self.invited = False, None, None
        self.mail_waits_since, self.mail_waits_for = None, ""

    def as_state(self) -> MeetingState:
        """The state as others may know it."""
        assert self.state != "none", "nothing is told before times are offered"
        return MeetingState(
            contact=self.contact,
            state=self.state,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            held_from=self.held_from,
            held_until=self.held_until,
            reschedules=self.reschedules,
            cancelled_by=self.cancelled_by,
            recording=self.recording,
            participants=[one.person_id for one in self.participants],
            telling=TellingState(of=self.telling.of, how=self.telling.how) if self.telling else None,
        )

    # -- inside

    @property
    def _by_mail(self) -> bool:
        return self.reach_by == "email" and self.address is not None

    def _telling(self, of: TellingOf) -> Telling:
        """By hand also while nothing is allowed: who paused everything is left alone, and told by people afterwards."""
        by_email = self._by_mail and not self.mail_refused and self.allowed
        return Telling(of=of, how="by-email" if by_email else "by-hand")

    def _tell(self, kind: NoticeKind) -> None:
        self.telling = self._telling(kind)
        if self.telling.how == "by-email":
            self.notices = [Notice(kind=kind, key=f"{self.id}-{self.next_version}")]

    def _reminders(self, now: datetime) -> list[Reminder]:
        starts_at = self.starts_at
        if not self._by_mail or not starts_at:
            return []
        return reminders_before(starts_at, now)

    def _need_planned(self) -> tuple[datetime, datetime]:
        if self.state != "scheduled" or not self.starts_at or not self.ends_at:
            raise Refused("nothing-planned", N_("No meeting is booked with this family."))
        return self.starts_at, self.ends_at

    def _offer(self, now: datetime) -> type[AnyEvent]:
        self.state, self.cancelled_by, self.not_held_because = "offered", None, None
        self.starts_at = self.ends_at = None
        self.reminders, self.changed_at = [], now
        self.plan_ahead(now)
        return MeetingOfferedV1

    def _cancel(self, by: Literal["family", "tutor", "consent", "not-held"], now: datetime) -> type[AnyEvent]:
        self.letters = []
        if self.state == "scheduled" and by != "not-held":
            self._write("cancelled", now, dropped=True)
        self.state, self.cancelled_by, self.changed_at = "cancelled", by, now
        self.notices, self.telling = [], self._telling("cancelled") if by == "tutor" else None
        self.reminders = []
        self._void()
        self.plan_ahead(now)
        return MeetingCancelledV1

    def _void(self) -> None:
        """Whatever was reserved so far counts no more."""
        self.voids, self.to_free = self.next_version, True

    def _write(self, kind: LetterKind, now: datetime, *, dropped: bool = False) -> None:
        """Note a letter to send; `dropped`: the planned time is given up, so that calendar files must say so."""
        assert self.starts_at
        assert self.ends_at
        self.file_sequence += dropped
        if self._by_mail:
            letter = Letter(
                kind=kind,
                key=f"{self.id}-{self.next_version}",  # the document and version of the save: as good as its event's id
                starts_at=self.starts_at,
                ends_at=self.ends_at,
                sequence=self.file_sequence,
                at=now,
            )
            self.letters = [*self.letters, letter]


__all__ = ["MailTrouble", "Meeting", "NotHeldBecause", "Participant", "ReachBy"]
