"""The journeys over JSON, and live."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from firsthand.services.portal.handlers import journeys
from firsthand.services.portal.http.doors import ContactTutor
from firsthand.services.portal.http.shapes import JourneyOut, JourneysOut, WholeJourneyOut
from firsthand.services.portal.live import LivePages, stream
from firsthand.services.portal.model.journey import Stage
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor
from firsthand.shared.web.access import ContextDep, Tutor, token_of
from firsthand.shared.web.cookies import STAFF

router = APIRouter(prefix="/api/v1/journeys", tags=["journeys"])


@router.get("")
async def board(
    context: ContextDep,
    staff: Tutor,
    stage: Stage | None = None,
    case: Id | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> JourneysOut:
    found = await journeys.board(context, staff, stage=stage, case_id=case, after=after, limit=limit)
    return JourneysOut(items=[JourneyOut.of(one) for one in found.journeys], counts=found.counts, next=found.next)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "server-sent events, one journey in a line each",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def updates(request: Request, context: ContextDep, staff: Tutor) -> StreamingResponse:
    token = token_of(request, STAFF)
    sight = await journeys.sight_of(context, staff)

    def signed_in() -> bool:
        return context.verifier.staff(token) is not None

    async def body() -> AsyncIterator[str]:
        async with context.own(LivePages).open(staff.institution, sight.of) as queue:
            async for message in stream(queue, signed_in, again="last-event-id" in request.headers):
                yield message

    return StreamingResponse(body(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/{contact_id}")
async def one(context: ContextDep, contact_id: Id, staff: ContactTutor) -> WholeJourneyOut:
    journey = await journeys.journey_of(context, staff.institution, contact_id)
    return WholeJourneyOut(**JourneyOut.of(journey).model_dump(), timeline=journey.timeline)
