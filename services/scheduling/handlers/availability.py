"""A tutor says when they can be met for a case."""

from dataclasses import dataclass

from firsthand.services.scheduling.model import Availability, AvailabilityRules, availability_id
from firsthand.services.scheduling.repository import Scheduling
from firsthand.shared.acting import leads
from firsthand.shared.copies import case_of
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import NoSuchPlace
from firsthand.shared.texts import N_


async def case_named(context: Context, institution: InstitutionId, case_id: str) -> CaseState:
    """The case, once discovery has published it. Raises NotFound."""
    case = await case_of(context, institution, case_id)
    if case is None:
        raise NotFound(N_("This case does not exist, or it belongs to another institution."))
    return case


def tutor_meant(staff: Staff, tutor_id: str = "") -> str:
    """Whose availability it is: one's own, or, for a coordinator, anybody's. Raises Refused."""
    if not leads(staff) and tutor_id not in {"", staff.person_id}:
        raise Refused("not-yours", N_("Only a coordinator can set another tutor's hours."), kind="forbidden")
    return tutor_id or staff.person_id


@dataclass(frozen=True)
class OwnHours:
    """A case for which somebody is asked for hours, and whether they have given any."""

    case: CaseState
    tutor_id: str
    given: bool


@dataclass(frozen=True)
class HoursListed:
    """A page of them, those without hours first; how many there are, and where the next page begins."""

    hours: list[OwnHours]
    total: int
    next: str | None


async def hours_of(context: Context, staff: Staff, *, after: str | None = None, limit: int) -> HoursListed:
    """List the open cases of a tutor; of a coordinator, every tutor's of every case. Raises NoSuchPlace."""
    scheduling = Scheduling(context, staff.institution)
    everybodys = leads(staff)
    asked = {
        availability_id(case.case_id, tutor_id): (case, tutor_id)
        for case in await scheduling.cases()
        for tutor_id in (case.tutors or [staff.person_id])
        if everybodys or tutor_id == staff.person_id
    }
    given = await scheduling.hours_given(None if everybodys else asked)
    ids = sorted(asked, key=lambda id_: id_ in given)  # else by the titles of their cases
    if after is not None and after not in asked:
        raise NoSuchPlace("this case and tutor are not, or no longer, in the list")
    begin = ids.index(after) + 1 if after is not None else 0
    shown = ids[begin : begin + limit]
    return HoursListed(
        [OwnHours(*asked[id_], id_ in given) for id_ in shown],
        len(ids),
        shown[-1] if begin + limit < len(ids) else None,
    )


async def availability_of(
    context: Context, institution: InstitutionId, case_id: str, tutor_id: str
) -> Availability | None:
    return await Scheduling(context, institution).availability(case_id, tutor_id)


@use_case
async def set_availability(
    context: Context, institution: InstitutionId, case_id: str, tutor_id: str, rules: AvailabilityRules
) -> Availability:
    """Keep a tutor's availability for a case; meetings that are planned stay. Raises Conflict."""
    scheduling = Scheduling(context, institution)
    availability = await scheduling.availability(case_id, tutor_id) or Availability(
        id=availability_id(case_id, tutor_id), institution=institution, case_id=case_id, tutor_id=tutor_id, rules=rules
    )
    availability.rules = rules
    return await scheduling.put_availability(availability)


__all__ = ["HoursListed", "OwnHours", "availability_of", "case_named", "hours_of", "set_availability", "tutor_meant"]
