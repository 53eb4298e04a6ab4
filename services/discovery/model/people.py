"""The person behind a contact, and the marks that spare people: within an institution and across the deployment."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime

from firsthand.services.discovery.model.sites import Platform
from firsthand.shared.events.consent import ConsentState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ContactState, ErasedState
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document, Index
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

# Across all institutions of a deployment nobody is asked more often than this, ever.
ASKED_AT_MOST: Final = 3
# The rules by which an account is named before it is marked: those of `accounts.py`. None stands for those of 0.1.0
# (`earlier.py`), or for a mark of which nobody knows any more.
NAMES: Final = 2
# Between taking a person and making the contact lie milliseconds; after this a clearing is taken to have died.
TAKEN_FOR: Final = timedelta(minutes=2)

Standing = Literal["active", "done", "expired", "declined", "wrong-person", "withdrawn", "erased"]
# Nobody here waits for anybody any more: the place in the case is free.
_OVER: Final = frozenset({"done", "expired", "declined", "wrong-person", "withdrawn", "erased"})
# The person said no: a mark that stays, also when all else is erased, and the whole deployment is quiet for a while.
NO: Final = frozenset({"declined", "withdrawn"})


def not_available() -> Refused:
    """The one answer to whether somebody may be asked, whatever the reason."""
    return Refused(
        "not-available",
        N_("This person cannot be contacted at the moment. We cannot tell you more."),
        title=N_("Not available now"),
    )


class Mark(Document):
    """That an account was asked, refused or said no in this institution. Its id is a keyed mark and reveals nothing.

    `contact_id` binds the account to one contact, made or about to be made: that is how nobody becomes two.
    """

    kind: ClassVar[str] = "mark"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("names"),)

    contact_id: str = ""  # empty: never to be asked (again)
    since: AwareDatetime
    names: int | None = None  # by which rules the account was named: see `NAMES`


class Asked(Document):
    """How often and when an account was asked on this deployment: counts and times, nothing else, under a mark."""

    kind: ClassVar[str] = "asked"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("names"),)

    names: int | None = None
    times: list[AwareDatetime] = []
    said_no: list[AwareDatetime] = []
    taken_by: str = ""  # the mark for which a clearing holds it at this moment
    taken_until: AwareDatetime | None = None

    def take_for(self, mark: str, cool_off: timedelta, now: datetime) -> None:
        """Hold it for the clearing of `mark`. Raises Refused: cooling off, asked too often, or held by another."""
        if not self.open_to(mark, cool_off, now):
            raise not_available()
        self.taken_by, self.taken_until = mark, now + TAKEN_FOR

    def open_to(self, mark: str, cool_off: timedelta, now: datetime) -> bool:
        """Return whether the clearing of `mark` could hold it now."""
        last = max([*self.times, *self.said_no], default=None)
        held = self.taken_by not in ("", mark) and self.taken_until is not None and self.taken_until > now
        return not (held or len(self.times) >= ASKED_AT_MOST or (last is not None and now < last + cool_off))

    def note(self, at: datetime) -> None:
        """Note that the person is asked; noting the same time again changes nothing."""
        self.times = sorted({*self.times, at})
        self.taken_by, self.taken_until = "", None

    def note_no(self, at: datetime) -> None:
        self.said_no = sorted({*self.said_no, at})

    def take_back_no(self, at: datetime) -> None:
        """A withdrawal was undone in time."""
        self.said_no = [time for time in self.said_no if time != at]


class Person(Document):
    """The person behind a contact, under the contact's id; personal fields are sealed with the contact's key."""

    kind: ClassVar[str] = "person"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("names"),)

    names: int | None = None
    case_id: str
    reference: str
    number: int
    platform: Platform
    language: str
    tutor_id: str
    marks: list[str]  # the first one holds the place in the case
    on_deployment: list[str]  # the same accounts, as the deployment's ledger knows them
    lead_id: str
    handle: Sealed | None = None
    name: Sealed | None = None
    profile: Sealed | None = None
    post: Sealed | None = None
    cleared_by: str
    cleared_at: AwareDatetime
    standing: Standing = "active"
    said_no_at: AwareDatetime | None = None
    erasure_id: str = ""

    @property
    def over(self) -> bool:
        return self.standing in _OVER

    def said(self) -> ContactState:
        return ContactState(
            contact=ContactReference(
                contact_id=self.id,
                case_id=self.case_id,
                reference=self.reference,
                language=self.language,
                tutor_id=self.tutor_id,
            ),
            platform=self.platform,
            state="erased" if self.standing == "erased" else "discovered",
        )

    def erased(self, erasure_id: str) -> ErasedState:
        return ErasedState(
            contact_id=self.id,
            erasure_id=erasure_id,
            service="discovery",
            erased=["handle", "profile", "name", "post", "leads"],
            kept=["suppression-mark"],
        )

    def wipe(self) -> None:
        """Become a tombstone that names no one."""
        self.handle = self.name = self.profile = self.post = None
        self.lead_id, self.due_at, self.standing = "", None, "erased"


def open_to_all(entries: Sequence[Asked], mark: str, cool_off: timedelta, now: datetime) -> bool:
    """Return whether the clearing of `mark` could hold one person, whom the ledger knows by several accounts."""
    asked = {time for entry in entries for time in entry.times}
    return len(asked) < ASKED_AT_MOST and all(entry.open_to(mark, cool_off, now) for entry in entries)


def standing_of(told: ConsentState) -> Standing:
    """Read off consent's whole state where the contact stands. Ask only of a state that `is_known`."""
    if told.consent.state in ("withdrawn", "erased"):
        return "withdrawn"  # `erased` is what this service is when it has erased, not when it is told of others
    if told.consent.state == "declined":
        return "declined"
    if told.invitation.closed_because == "wrong-person" or told.invitation.answer == "wrong-person":
        return "wrong-person"
    if told.invitation.closed_because in ("no", "declined") or told.invitation.answer == "no":
        return "declined"
    if told.invitation.state == "expired":
        return "expired"
    return "done" if told.consent.released else "active"


__all__ = [
    "ASKED_AT_MOST",
    "NAMES",
    "NO",
    "Asked",
    "Mark",
    "Person",
    "Standing",
    "not_available",
    "open_to_all",
    "standing_of",
]
