"""What the doors of scheduling share: who may act on a meeting, and on a case's hours."""

from typing import Annotated

from fastapi import Depends

from firsthand.services.scheduling.repository import UNKNOWN_CONTACT, Scheduling
from firsthand.shared.acting import Responsible, responsible_for, responsible_for_case
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_
from firsthand.shared.web.access import acting_on


async def _of_meeting(context: Context, institution: InstitutionId, contact_id: str) -> Responsible | None:
    meeting = await Scheduling(context, institution).meeting(contact_id)
    if meeting is None or meeting.state == "none":
        return None
    return await responsible_for(context, institution, meeting.contact.case_id, meeting.tutor_id)


def _no_meeting() -> NotFound:
    return NotFound(UNKNOWN_CONTACT)


def _no_case() -> NotFound:
    return NotFound(N_("This case does not exist, or it belongs to another institution."))


ContactTutor = Annotated[Staff, Depends(acting_on("contact_id", _of_meeting, _no_meeting))]
CaseTutor = Annotated[Staff, Depends(acting_on("case_id", responsible_for_case, _no_case))]

__all__ = ["CaseTutor", "ContactTutor"]
