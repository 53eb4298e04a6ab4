"""Documents of a deployment that has run for years, as the services would have left them: for `bench.growth`.

Contact `number` is the same in every service: its institution, case, tutor and fate follow from the number alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from firsthand.services.archive.model import Media, Recording
from firsthand.services.consent.model import Consent, Invitation
from firsthand.services.consent.model import Journey as ConsentJourney
from firsthand.services.discovery.model.cases import Approval, Case, CaseDetails
from firsthand.services.discovery.model.leads import Content, Lead, week_of
from firsthand.services.portal.model.journey import Entry
from firsthand.services.portal.model.journey import Journey as PortalJourney
from firsthand.services.scheduling.model.meeting import Meeting
from firsthand.shared.copies import CaseCopy
from firsthand.shared.events.archive import RecordingState
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ApprovalState, CaseState
from firsthand.shared.events.scheduling import MeetingState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import Document
from firsthand.shared.vault import Vault

BIG: Final = InstitutionId("bench-big")
INSTITUTIONS: Final = (BIG, *(InstitutionId(f"bench-small-{number}") for number in range(3)))
CASES: Final = 60  # of each institution
TUTORS: Final = 40
_IN_BIG: Final = 0.85  # of all contacts
_LEADS_WAITING: Final = 0.1  # for each contact: a month's, of ten years'
_SCOPES: Final = ["meet", "record-video", "record-audio", "share-cohort"]

# How far contacts have come, by the portal's stages, in parts of a hundred: most have ended.
FATES: Final[dict[str, float]] = {
    "discovered": 0.3,
    "to-send": 0.7,
    "sent": 3,
    "answered": 0.5,
    "linked": 1.5,
    "consented": 1,
    "booked": 1,
    "met": 1,
    "held": 1,
    "released": 25,
    "withdrawn": 2,
    "declined": 18,
    "expired": 22,
    "closed": 5,
    "erased": 18,
}
_EVENTS: Final = (
    ("firsthand.contact.discovered.v1", "discovery"),
    ("firsthand.invitation.prepared.v1", "consent"),
    ("firsthand.invitation.sent.v1", "consent"),
    ("firsthand.invitation.answered.v1", "consent"),
    ("firsthand.invitation.linked.v1", "consent"),
    ("firsthand.consent.granted.v1", "consent"),
    ("firsthand.meeting.offered.v1", "scheduling"),
    ("firsthand.meeting.scheduled.v1", "scheduling"),
    ("firsthand.meeting.finished.v1", "scheduling"),
    ("firsthand.recording.awaited.v1", "archive"),
    ("firsthand.recording.archived.v1", "archive"),
    ("firsthand.recording.published.v1", "archive"),
)
_ENTRIES: Final = {"discovered": 1, "to-send": 2, "sent": 3, "answered": 4, "linked": 5, "consented": 7, "booked": 8,
                   "met": 10, "held": 11, "declined": 6, "expired": 4, "closed": 5}  # fmt: skip
_INVITED: Final = {"discovered": "prepared", "to-send": "prepared", "sent": "sent", "answered": "answered",
                   "expired": "expired", "closed": "closed"}  # fmt: skip
_DECIDED: Final = {"withdrawn": "withdrawn", "declined": "declined", "erased": "erased"}
_MEETING: Final = {"consented": "offered", "booked": "scheduled", "withdrawn": "cancelled", "erased": "erased"}
_RECORDING: Final = {"met": "awaited", "held": "held", "released": "released", "erased": "erased"}


@dataclass(frozen=True)
class Contact:
    """One contact, and how far it has come."""

    number: int
    id: str
    institution: InstitutionId
    case: int
    tutor: str
    fate: str
    moved_at: datetime

    @property
    def reference(self) -> ContactReference:
        return ContactReference(
            contact_id=self.id,
            case_id=case_id(self.case),
            reference=f"B{self.case:02d}-{self.number:07d}",
            language="en",
            tutor_id=self.tutor,
        )


def case_id(case: int) -> str:
    return f"bench-case-{case:02d}"


def tutor_id(tutor: int) -> str:
    return f"{tutor:032x}"


def tutors_of(case: int) -> list[str]:
    """Two tutors a case, three cases a tutor."""
    return [tutor_id(case % TUTORS), tutor_id((case * 7 + 3) % TUTORS)]


@dataclass
class Seeds:
    """All documents of so many contacts, at the instant `now`."""

    contacts: int
    now: datetime
    _fates: list[str] = field(default_factory=list)
    _weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fates, self._weights = list(FATES), list(FATES.values())

    def contact(self, number: int) -> Contact:
        draw = Random(number)
        case = draw.randrange(CASES)
        institution = BIG if draw.random() < _IN_BIG else INSTITUTIONS[1 + number % 3]
        tutor = draw.choice(tutors_of(case)) if draw.random() < 0.95 else tutor_id(draw.randrange(TUTORS))
        (fate,) = draw.choices(self._fates, self._weights)
        open_ = self._fates.index(fate) < self._fates.index("released")
        ago = timedelta(days=20) * draw.random() if open_ else timedelta(days=3650) * draw.random()
        contact_id = f"{draw.getrandbits(128):032x}"
        return Contact(number, contact_id, institution, case, tutor, fate, self.now - ago)

    def all(self) -> Iterator[Contact]:
        return map(self.contact, range(self.contacts))

    # -- what each service has of it

    def cases(self, institution: InstitutionId) -> Iterator[tuple[Case, CaseCopy]]:
        for number in range(CASES):
            ends = self.now + timedelta(days=300)
            tutors = tutors_of(number)
            details = CaseDetails(
                title=f"Condition {number}", condition={"en": "a condition"}, hashtags=["condition"],
                languages=["en"], cohorts=["year-3"], tutors=tutors, safeguarding_contact=tutors[0],
            )  # fmt: skip
            approval = Approval(number="1", expires_at=ends, entered_by="bench", entered_at=self.now)
            kinds = ("ethics", "data-protection")
            state = CaseState(
                case_id=case_id(number), prefix=f"B{number:02d}", title=details.title, condition=details.condition,
                languages=["en"], cohorts=["year-3"], tutors=details.tutors, state="open",
                approvals=[ApprovalState(kind=kind, number="1", expires_at=ends) for kind in kinds],
                safeguarding_contact=details.safeguarding_contact,
            )  # fmt: skip
            case = Case(
                id=case_id(number), institution=institution, prefix=state.prefix, details=details,
                approvals=dict.fromkeys(kinds, approval), opened_by="bench", opened_at=self.now,
            )  # fmt: skip
            yield case, CaseCopy(id=case.id, institution=institution, state=state)

    def of_portal(self, one: Contact) -> PortalJourney:
        at, reference = one.moved_at, one.reference
        entries = _ENTRIES.get(one.fate, len(_EVENTS))
        made = PortalJourney(
            id=one.id, institution=one.institution, reference=reference.reference, case_id=reference.case_id,
            language="en", tutor_id=one.tutor, stage=one.fate, moved_at=at,
            consent=None if one.fate == "discovered" else ConsentState(
                contact=reference, invitation=_invitation_state(one), consent=_record_state(one)
            ),
            meeting=self._meeting_state(one), recording=_recording_state(one),
            timeline=[
                Entry(
                    id=f"{one.id[:24]}{number:08x}", type=type_, service=service, sequence=number + 1,
                    time=at - timedelta(days=entries - number - 1), journey=one.id, actor=one.tutor,
                )
                for number, (type_, service) in enumerate(_EVENTS[:entries])
            ],
        )  # fmt: skip
        made.note_todo()
        return made

    def of_consent(self, one: Contact) -> ConsentJourney:
        at = one.moved_at
        invited = _INVITED.get(one.fate, "linked")
        decided = _decision(one)
        made = ConsentJourney(
            id=one.id,
            institution=one.institution,
            contact=one.reference,
            case_id=case_id(one.case),
            moved_at=at,
            invitation=Invitation(
                state=invited,
                answer=_answer(one),
                sent_at=None if invited == "prepared" else at,
                ends_at=self.now + timedelta(days=1 + one.number % 20),
                closed_because="wrong-person" if invited == "closed" else None,
            ),
            consent=Consent(
                state=decided,
                allowed=_SCOPES if decided == "granted" else [],
                granted_at=at if decided in {"granted", "withdrawn", "erased"} else None,
                expires_at=self.now + timedelta(days=400 + one.number % 300),
                withdrawn_at=at if decided in {"withdrawn", "erased"} else None,
            ),
            records=1,
        )
        made.stage = made.current_stage()
        made.settle(at)
        made.moved_at = at
        made.due_at = None if decided in {"declined", "withdrawn", "erased"} else made.due_at
        return made

    def of_scheduling(self, one: Contact) -> Meeting | None:
        if (state := _meeting(one)) is None:
            return None
        starts_at = self._starts_at(one)
        return Meeting(
            id=one.id, institution=one.institution, contact=one.reference, tutor_id=one.tutor, language="en",
            state=state, allowed=state in {"offered", "scheduled", "finished"}, may_record=True,
            starts_at=starts_at if state != "offered" else None,
            ends_at=starts_at + timedelta(minutes=75) if state != "offered" else None, changed_at=one.moved_at,
            recording="expected" if state == "finished" else None,
            cancelled_by="consent" if state == "cancelled" else None,
        )  # fmt: skip

    def of_archive(self, one: Contact) -> Recording | None:
        state = _RECORDING.get(one.fate)
        if state is None:
            return None
        media = None
        if state in {"held", "released"}:
            media = Media(
                file=one.id, has_video=True, mime="video/mp4", codecs=["h264", "aac"], duration_seconds=3600,
                bytes=400_000_000, sha256=one.id * 2, taken_in_at=one.moved_at, taken_in_by=one.tutor,
            )  # fmt: skip
        made = Recording(
            id=one.id, institution=one.institution, contact=one.reference, state=state, changed_at=one.moved_at,
            expected=True, media=media, consent=_record_state(one), consent_sequence=6, allowed=_SCOPES,
            audience=["share-cohort"] if state == "released" else [],
            released_at=one.moved_at if state == "released" else None,
            due_at=self.now + timedelta(days=30 + one.number % 700) if media else None,
        )  # fmt: skip
        made.name_audience()
        return made

    async def leads_of(self, one: Contact, vault: Vault) -> list[Lead]:
        """The lead that became the contact, and of some contacts' cases one that waits."""
        draw = Random(-one.number)
        found = [
            Lead(
                id=one.id, institution=one.institution, case_id=case_id(one.case), platform="mastodon",
                source="mastodon", posted_at=one.moved_at, found_at=one.moved_at, found_by=one.tutor, language="en",
                week=week_of(case_id(one.case), one.moved_at), state="cleared", decided_by=one.tutor,
                decided_at=one.moved_at, contact_id=one.id,
            )
        ]  # fmt: skip
        if draw.random() < _LEADS_WAITING:
            at = self.now - timedelta(days=29) * draw.random()
            week, lead_id = week_of(case_id(one.case), at), f"{draw.getrandbits(128):032x}"
            content = Content(permalink=f"https://example.social/@somebody/{one.number}", text="A post. " * 30)
            sealed = await vault.seal(one.institution, week, lead_id, content.model_dump_json())
            found.append(
                Lead(
                    id=lead_id, institution=one.institution, case_id=case_id(one.case), platform="mastodon",
                    source="mastodon", posted_at=at, found_at=at, found_by="system", language="en",
                    author=f"{draw.getrandbits(128):032x}", week=week, content=sealed,
                    due_at=at + timedelta(days=30, hours=2),
                )
            )  # fmt: skip
        return found

    def _meeting_state(self, one: Contact) -> MeetingState | None:
        if (state := _meeting(one)) is None:
            return None
        starts_at = self._starts_at(one)
        ends_at = starts_at + timedelta(minutes=75)
        return MeetingState(contact=one.reference, state=state, starts_at=starts_at, ends_at=ends_at)

    def _starts_at(self, one: Contact) -> datetime:
        return self.now + timedelta(hours=one.number % 400 - 100) if one.fate == "booked" else one.moved_at


def _answer(one: Contact) -> str | None:
    return {"answered": "question" if one.number % 4 else "yes", "closed": "no", "sent": None, "to-send": None,
            "discovered": None, "expired": None}.get(one.fate, "yes")  # fmt: skip


def _decision(one: Contact) -> str:
    return _DECIDED.get(one.fate, "none" if one.fate in _INVITED or one.fate == "linked" else "granted")


def _invitation_state(one: Contact) -> InvitationState:
    state = _INVITED.get(one.fate, "linked")
    return InvitationState(
        state=state, answer=_answer(one), sent_at=None if state == "prepared" else one.moved_at,
        reminded_at=one.moved_at if one.number % 3 == 0 and state != "prepared" else None,
        closed_because="wrong-person" if one.fate == "closed" else None,
    )  # fmt: skip


def _record_state(one: Contact) -> ConsentRecordState:
    state = _decision(one)
    return ConsentRecordState(
        state=state, scopes=_SCOPES if state == "granted" else [], granted_at=one.moved_at, language="en"
    )


def _meeting(one: Contact) -> str | None:
    return _MEETING.get(one.fate, "finished" if one.fate in {"met", "held", "released"} else None)


def _recording_state(one: Contact) -> RecordingState | None:
    state = _RECORDING.get(one.fate)
    return RecordingState(contact=one.reference, state=state) if state else None


__all__ = ["BIG", "CASES", "INSTITUTIONS", "Contact", "Document", "Seeds", "case_id", "tutor_id", "tutors_of"]
