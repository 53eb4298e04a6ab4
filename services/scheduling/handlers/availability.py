"""A tutor says when they can be met for a case."""

import asyncio
from typing import Final

from services.scheduling.model import Availability, AvailabilityRules, NotFound, Refused, availability_id
from services.scheduling.repository import Scheduling
from shared.copies import case_of
from shared.events.discovery import CaseState
from shared.identifiers import InstitutionId
from shared.service import Context
from shared.sessions import Staff
from shared.web.languages import N_

# A tutor may come straight from opening the case: discovery's word is then at most this far behind.
_SOON: Final = 3.0  # seconds
_LOOK_AGAIN: Final = 0.05


async def case_named(context: Context, institution: InstitutionId, case_id: str) -> CaseState:
    """The case, waiting a moment for one that was opened just now. Raises NotFound."""
    deadline = asyncio.get_running_loop().time() + _SOON
    while (case := await case_of(context, institution, case_id)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise NotFound(N_("No such case. It may belong to another institution."))
        await asyncio.sleep(_LOOK_AGAIN)
    return case


def tutor_meant(case: CaseState, staff: Staff, tutor_id: str = "") -> str:
    """Whose availability it is: one's own, or, for a coordinator, that of a tutor of the case. Raises Refused."""
    leads = not staff.roles.isdisjoint({"coordinator", "machine"})
    if not tutor_id:
        own = staff.person_id in case.tutors or not leads
        tutor_id = staff.person_id if own else next(iter(case.tutors), staff.person_id)
    if tutor_id != staff.person_id and not leads:
        raise Refused("not-yours", N_("Only a coordinator can set another tutor's hours."), status=403)
    if tutor_id not in case.tutors:
        raise Refused("no-tutor", N_("This person is not a tutor of the case. A coordinator can add them."), status=422)
    return tutor_id


async def availability_of(
    context: Context, institution: InstitutionId, case_id: str, tutor_id: str
) -> Availability | None:
    return await Scheduling(context, institution).availability(case_id, tutor_id)


async def set_availability(
    context: Context, institution: InstitutionId, case_id: str, tutor_id: str, rules: AvailabilityRules
) -> Availability:
    """Keep a tutor's availability for a case; meetings that are planned stay. Raises Conflict."""
    scheduling = Scheduling(context, institution)
    availability = await scheduling.availability(case_id, tutor_id) or Availability(
        id=availability_id(case_id, tutor_id), institution=institution, case_id=case_id, tutor_id=tutor_id, rules=rules
    )
    availability.rules = rules
    return await scheduling.save_availability(availability)


__all__ = ["availability_of", "case_named", "set_availability", "tutor_meant"]
