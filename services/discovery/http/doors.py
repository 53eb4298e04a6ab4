"""What the doors of discovery share: who may act on a case, its leads and its contacts."""

from contextlib import suppress
from typing import Annotated

from fastapi import Depends

from firsthand.services.discovery.repository import Repository
from firsthand.shared.acting import Responsible
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import acting_on


async def _of_case(context: Context, institution: InstitutionId, case_id: str) -> Responsible | None:
    with suppress(NotFound):
        return (await Repository(context, institution).case(case_id)).responsible()
    return None


async def _of_lead(context: Context, institution: InstitutionId, lead_id: str) -> Responsible | None:
    lead = await Repository(context, institution).leads.get(lead_id)
    return await _of_case(context, institution, lead.case_id) if lead else None


async def _of_contact(context: Context, institution: InstitutionId, contact_id: str) -> Responsible | None:
    repository = Repository(context, institution)
    with suppress(NotFound):
        person = await repository.person(contact_id)
        return (await repository.case(person.case_id)).responsible(person.tutor_id)
    return None


CaseTutor = Annotated[Staff, Depends(acting_on("case_id", _of_case))]
LeadTutor = Annotated[Staff, Depends(acting_on("lead_id", _of_lead))]
ContactTutor = Annotated[Staff, Depends(acting_on("contact_id", _of_contact))]

__all__ = ["CaseTutor", "ContactTutor", "LeadTutor"]
