"""What the doors of consent share: the context of a request, and who may act on a journey or on a case's texts."""

from typing import Annotated

from fastapi import Depends, Request

from firsthand.services.consent.repository import Journeys
from firsthand.shared.acting import Responsible, responsible_for, responsible_for_case
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import acting_on


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _of_journey(context: Context, institution: InstitutionId, contact_id: str) -> Responsible | None:
    journey = await Journeys(context, institution).get(contact_id)
    if journey is None:
        return None
    return await responsible_for(context, institution, journey.case_id, journey.contact.tutor_id)


ContactTutor = Annotated[Staff, Depends(acting_on("contact_id", _of_journey))]
CaseTutor = Annotated[Staff, Depends(acting_on("case_id", responsible_for_case))]

__all__ = ["CaseTutor", "ContactTutor", "context_of"]
