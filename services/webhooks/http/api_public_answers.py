"""The door through which a consumer answers; its address comes with the delivery that asks, and is its right."""

from typing import Annotated

from fastapi import APIRouter, Path

from firsthand.services.webhooks.handlers.obligations import answer_by_consumer
from firsthand.services.webhooks.http.shapes import Answer, ObligationOut
from firsthand.shared.identifiers import Id, InstitutionSlug
from firsthand.shared.web.access import ContextDep, Public

router = APIRouter(prefix="/api/v1/answers", tags=["obligations"])

Token = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


@router.post("/{institution}/{contact_id}/{endpoint_id}/{token}")
async def answer(
    context: ContextDep,
    institution: InstitutionSlug,
    contact_id: Id,
    endpoint_id: Id,
    token: Token,
    body: Answer,
    _: Public,
) -> ObligationOut:
    """Say what you did with everything that you were sent of this contact. A later answer replaces an earlier one."""
    answered = await answer_by_consumer(
        context, institution, contact_id, endpoint_id, token, answer=body.answer, reference=body.reference
    )
    return ObligationOut.of(endpoint_id, answered)
