"""Who may act on a contact: the tutors of its case, its own tutor, and coordinators. The one rule for every service.

A case that names no tutors is every tutor's. Where a service has not heard of a case yet, it is nobody's but the
coordinators'. For everybody else a contact does not exist: `shared.web.access.acting_on` answers 404.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from firsthand.shared.copies import case_of
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, AnyOf, OneOf, Operand, Where
from firsthand.shared.texts import N_

_LEADS: Final = frozenset({"coordinator", "machine"})


def leads(staff: Staff) -> bool:
    """Return whether this person may act on every case: a coordinator, or a machine, which acts as one."""
    return bool(staff.roles & _LEADS)


@dataclass(frozen=True)
class Responsible:
    """The people who are responsible for a case, or for one contact of it."""

    of_case: Collection[str] | None  # the tutors that the case names; None: this service has not heard of the case
    own: str = ""  # the contact's own tutor

    def include(self, staff: Staff) -> bool:
        """Return whether this person may see and change it."""
        if leads(staff):
            return True
        if "tutor" not in staff.roles:
            return False
        if self.own and self.own == staff.person_id:
            return True
        return self.of_case is not None and (not self.of_case or staff.person_id in self.of_case)


async def responsible_for(
    context: Context, institution: InstitutionId, case_id: str, tutor_id: str = ""
) -> Responsible:
    """The people responsible for a case, by the copy that this service keeps, or for one contact of it."""
    case = await case_of(context, institution, case_id)
    return Responsible(case.tutors if case else None, tutor_id)


async def responsible_for_case(context: Context, institution: InstitutionId, case_id: str) -> Responsible | None:
    """The people responsible for a case; None for one that this service has not heard of."""
    case = await case_of(context, institution, case_id)
    return Responsible(case.tutors) if case else None


@dataclass(frozen=True)
class Sight:
    """What one person may see and change, as a question to the store: `Responsible`, for lists."""

    tutor_id: str | None  # None: everything
    cases: tuple[str, ...] = ()

    @classmethod
    def of(cls, staff: Staff, cases: Iterable[CaseState]) -> "Sight":
        if leads(staff):
            return cls(None)
        return cls(staff.person_id, tuple(one.case_id for one in cases if Responsible(one.tutors).include(staff)))

    def where(self, asked: Where) -> AnyOf:
        """Narrow a question about documents with the fields `case_id` and `tutor_id`.

        Raises Refused where that is more than one question takes.
        """
        if self.tutor_id is None:
            return AnyOf((asked,))
        own: Where = {**asked, "tutor_id": self.tutor_id}
        return AnyOf((own, {**asked, "case_id": self.of_cases(asked)}) if self.cases else (own,))

    def of_cases(self, asked: Where) -> Operand:
        """The value of `case_id` in a question about documents that have no tutor of their own. Raises as `where`."""
        combinations = 1 + len(self.cases)
        for operand in asked.values():
            combinations *= len(operand.values) if isinstance(operand, OneOf) else 1
        if combinations > MOST_VALUES:
            raise Refused(
                "too-many-cases", N_("You have too many cases for one list of all. Ask for one state."), kind="invalid"
            )
        return OneOf.of(self.cases)


__all__ = ["Responsible", "Sight", "leads", "responsible_for", "responsible_for_case"]
