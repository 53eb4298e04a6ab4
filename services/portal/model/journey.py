"""A journey: what every service last told of one contact, and everything that happened, in order. Pure.

Built from events alone, in whatever order they come: states go by sequence, the timeline takes late ones too.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel

from firsthand.shared.events.archive import RecordingState, RecordingStateName
from firsthand.shared.events.consent import ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import STAFF_COPIES, ContactState, ErasedState
from firsthand.shared.events.envelope import AnyEvent, is_known
from firsthand.shared.events.scheduling import MeetingState, MeetingStateName
from firsthand.shared.store import Document, Index

Stage = Literal[
    "discovered",
    "to-send",
    "sent",
    "answered",
    "linked",
    "consented",
    "booked",
    "met",
    "held",
    "released",
    "unclear",  # a newer release says what this one does not know
    "withdrawn",
    "declined",
    "expired",
    "closed",
    "erased",
]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
# What a journey can ask of staff. What stands here is found by it: `todo` and `todo_since` are its index.
Todo = Literal[
    "send-message",
    "remind",
    "write-again",
    "send-link",
    "answer-question",
    "more-times",
    "meeting",
    "upload",
    "choose-tracks",
    "change-asked",
    "wider",
    "tell-family",
    "destroy-copies",
]
TODOS: Final[tuple[Todo, ...]] = get_args(Todo)
NOTHING: Final = "nothing"
ON_THE_WAY: Final[tuple[Stage, ...]] = STAGES[:11]  # those after it have ended

_INVITATION: Final[Mapping[str, Stage]] = {
    "prepared": "to-send",
    "sent": "sent",
    "answered": "answered",
    "linked": "linked",
    "expired": "expired",
    "closed": "closed",
}
_CONSENT_ENDS: Final[Mapping[str, Stage]] = {"erased": "erased", "withdrawn": "withdrawn", "declined": "declined"}
_AT_ONCE: Final = timedelta(hours=1)  # a deletion that starts "now" starts within seconds
# What of a recording is elsewhere is no longer needed: it is released, or is to be gone.
_OVER: Final[frozenset[Stage]] = frozenset({"released", "withdrawn", "erased"})
_NO: Final = frozenset({"no", "declined"})


class Entry(BaseModel):
    """One thing that happened. `detail` is a code that makes its sentence exact, e.g. which answer was given."""

    id: str
    type: str
    service: str
    sequence: int
    time: AwareDatetime
    journey: str
    actor: str
    detail: str = ""


class Journey(Document):
    """Everything that happened to one contact; id = contact id. Nothing personal, so it stays as proof."""

    kind: ClassVar[str] = "journey"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index.on("stage", "moved_at"),
        Index.on("case_id", "moved_at"),
        Index.on("case_id", "stage", "moved_at"),
        Index.on("tutor_id", "stage", "moved_at"),
        Index.on("todo", "todo_since"),
        Index.on("tutor_id", "todo", "todo_since"),
    )
    # Those of a tutor alone are few enough to be counted by their index.
    counts: ClassVar[tuple[tuple[str, ...], ...]] = (("stage",), ("case_id", "stage"), ("case_id", "tutor_id", "stage"))

    reference: str = ""  # empty until an event has told it
    case_id: str = ""
    language: str = ""
    tutor_id: str = ""
    stage: Stage = "discovered"
    moved_at: AwareDatetime
    # A Todo or NOTHING, as `note_todo` found it; None where a release that knows of none saved it (`renewals`).
    todo: str | None = None
    todo_since: AwareDatetime | None = None  # of a meeting: when it starts
    consent: ConsentState | None = None
    meeting: MeetingState | None = None
    recording: RecordingState | None = None
    copies: str | None = None  # of the recording, elsewhere: as archive last told, also after the erasure
    timeline: list[Entry] = []  # the earliest first; some twenty entries a contact

    @property
    def paused(self) -> bool:
        return self.consent is not None and self.consent.consent.state == "paused"

    def enter(self, event: AnyEvent) -> bool:
        """Take an event; False if it is here already. A late one is entered, but changes no state."""
        if any(entry.id == event.id for entry in self.timeline):
            return False
        entry = Entry(
            id=event.id,
            type=event.type,
            service=event.service,
            sequence=event.sequence,
            time=event.time,
            journey=event.correlationid,
            actor=event.actor,
            detail=detail_of(event),
        )
        self.timeline = sorted([*self.timeline, entry], key=lambda one: (one.time, one.service, one.sequence))
        self.moved_at = self.timeline[-1].time
        if self.take(event):
            self._learn(event.data)
        self.note_todo()
        return True

    def note_todo(self) -> None:
        """Note what the journey asks of staff, so that it is found by it."""
        found = self.asks()
        self.todo, self.todo_since = found or (NOTHING, None)

    def asks(self) -> tuple[Todo, datetime] | None:
        """Tell what the journey asks of staff, and since when; whether it is time to do it is for `model.today`."""
        if self.consent is None or self.paused:
            return None
        if self.copies == "to-destroy" and self.stage in _OVER:
            return "destroy-copies", self.moved_at
        if self.stage in {"consented", "booked", "released"} and self._waits_to_be_told:
            return "tell-family", self.moved_at
        if self.stage in {"booked", "met", "held"}:
            return self._asks_of_a_meeting()
        return self._asks_of_an_invitation(self.consent)

    def _asks_of_an_invitation(self, consent: ConsentState) -> tuple[Todo, datetime] | None:
        invitation, since = consent.invitation, self.moved_at
        found: tuple[Todo, datetime] | None = None
        match self.stage:
            case "to-send":
                found = "send-message", since
            case "sent" if invitation.sent_at and not invitation.reminded_at:
                found = "remind", invitation.sent_at
            case "answered" if invitation.answer == "later" and invitation.later_at and not invitation.reminded_at:
                found = "write-again", invitation.later_at
            case "answered" if invitation.answer == "yes":
                found = "send-link", since
            case "answered" if invitation.answer == "question":
                found = "answer-question", since
            case "consented" if "meet" in consent.consent.scopes:
                found = "more-times", since
        return found

    def _asks_of_a_meeting(self) -> tuple[Todo, datetime] | None:
        meeting, recording = self.meeting, self.recording
        if self.stage == "booked" and meeting and meeting.starts_at and meeting.ends_at:
            return "meeting", meeting.starts_at
        if recording is None:
            return None
        held = recording.state == "held"
        asked: tuple[tuple[Todo, bool], ...] = (
            ("wider", bool(recording.refused_because)),
            ("choose-tracks", recording.preparing == "choosing"),
            ("change-asked", held and recording.changes == "asked"),
            ("tell-family", held and self._waits_to_be_told),
            ("upload", recording.state == "awaited" and recording.preparing != "working"),
        )
        return next(((todo, self.moved_at) for todo, is_asked in asked if is_asked), None)

    @property
    def _waits_to_be_told(self) -> bool:
        telling = self.meeting.telling if self.meeting else None
        if telling is None or telling.how != "by-hand":
            return False
        return self.stage != "released" or telling.of == "text"  # whoever released a recording has watched it

    def _learn(self, state: object) -> None:
        if isinstance(state, ConsentState):
            self.consent = state
        elif isinstance(state, MeetingState):
            self.meeting = state
        elif isinstance(state, RecordingState):
            self.recording, self.copies = state, state.copies
        elif isinstance(state, ErasedState):
            self._forget(state)
        if isinstance(state, ConsentState | MeetingState | RecordingState | ContactState):
            self._know(state.contact)
        self.stage = self._stage()

    def _forget(self, state: ErasedState) -> None:
        """Nothing is held there any more, and nothing earlier counts that comes later."""
        if state.service == "scheduling":
            self.meeting = None
        elif state.service == "archive":
            self.recording, self.copies = None, "to-destroy" if STAFF_COPIES in state.out_of_reach else None

    def _know(self, contact: ContactReference) -> None:
        self.reference, self.case_id = contact.reference, contact.case_id
        self.language, self.tutor_id = contact.language, contact.tutor_id

    def _is_clear(self, told: ConsentState) -> bool:
        """Whether this release knows every state that decides where the journey stands."""
        meeting, recording = self.meeting, self.recording
        return (
            told.is_known
            and is_known(meeting.state if meeting else None, MeetingStateName)
            and is_known(recording.state if recording else None, RecordingStateName)
        )

    def _stage(self) -> Stage:
        """Where the journey stands: what ended it, else how far it has come."""
        if self.consent is None:
            return "discovered"
        if ended := _CONSENT_ENDS.get(self.consent.consent.state):
            return ended
        if not self._is_clear(self.consent):
            return "unclear"
        if self.consent.consent.state == "none":
            return _invited(self.consent.invitation)
        if self.recording and self.recording.state in {"held", "released"}:
            return "released" if self.recording.state == "released" else "held"
        meeting = self.meeting.state if self.meeting else ""
        return "met" if meeting == "finished" else "booked" if meeting == "scheduled" else "consented"


def _invited(invitation: InvitationState) -> Stage:
    if invitation.state == "closed" and invitation.closed_because in _NO:
        return "declined"
    return _INVITATION.get(invitation.state, "unclear")


def detail_of(event: AnyEvent) -> str:
    """The code that makes the event's sentence exact; empty where the type says it all."""
    detail = _DETAILS.get(f"{event.entity}.{event.name}")
    return str(detail(event) or "") if detail else ""


def _withdrawal(event: AnyEvent) -> str:
    erase_at: datetime | None = event.data.consent.erase_at
    return "in-7-days" if erase_at and erase_at - event.time > _AT_ONCE else "now"


def _change(event: AnyEvent) -> str:
    told: RecordingState = event.data
    if told.copies == "destroyed" and event.actor != "system":  # that it was so before, later changes tell as well
        return "copies-destroyed"
    return told.preparing or told.refused_because or told.changes or ""


_DETAILS: Final[Mapping[str, Callable[[AnyEvent], str | None]]] = {
    "invitation.sent": lambda event: "reminder" if event.data.invitation.reminded_at else "",
    "invitation.answered": lambda event: event.data.invitation.answer,
    "consent.changed": lambda event: event.data.consent.state,
    "consent.withdrawn": _withdrawal,
    "meeting.scheduled": lambda event: "moved" if event.data.reschedules else "",
    "meeting.cancelled": lambda event: event.data.cancelled_by,
    "meeting.finished": lambda event: event.data.recording,
    "meeting.told": lambda event: event.data.telling.how if event.data.telling else "",
    "recording.changed": _change,
}
