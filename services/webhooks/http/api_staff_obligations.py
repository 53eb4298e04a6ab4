"""What consumers owe, over the JSON API, for coordinators and machines."""

from typing import Annotated

from fastapi import APIRouter, Query

from firsthand.services.webhooks.handlers import obligations
from firsthand.services.webhooks.http.shapes import AllOwingOut, Answer, ObligationOut, OwingOut
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.web.access import ContextDep, Coordinator

router = APIRouter(prefix="/api/v1/obligations", tags=["obligations"])


@router.get("")
async def list_owing(
    context: ContextDep,
    staff: Coordinator,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> AllOwingOut:
    """List the contacts for whom an answer is owed, the longest since first."""
    page = await obligations.list_owing(context, staff.institution, after=after, limit=limit)
    return AllOwingOut(items=[OwingOut.of(obligations.Owing.of(one)) for one in page.items], next=page.next)


@router.get("/{contact_id}")
async def see_owing(context: ContextDep, contact_id: Id, staff: Coordinator) -> OwingOut:
    """What was asked for one contact, answered or not."""
    return OwingOut.of(await obligations.see_owing(context, staff.institution, contact_id))


@router.put("/{contact_id}/{endpoint_id}")
async def answer_for_consumer(
    context: ContextDep, contact_id: Id, endpoint_id: Id, staff: Coordinator, body: Answer
) -> ObligationOut:
    """Answer for a consumer that told you another way."""
    answered = await obligations.answer_for_consumer(
        context, staff, contact_id, endpoint_id, answer=body.answer, reference=body.reference
    )
    return ObligationOut.of(endpoint_id, answered)
