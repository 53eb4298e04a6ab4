"""The pages of answers that webhook consumers owe, for coordinators."""

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.webhooks.handlers import obligations
from firsthand.services.webhooks.http import words
from firsthand.services.webhooks.http.pages import pages
from firsthand.shared.copies import institution_of
from firsthand.shared.events.webhooks import OwedAnswer
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Cursor, Line, Word
from firsthand.shared.web.access import ContextDep, Coordinator

_A_PAGE: Final = 25

router = APIRouter(prefix="/answers-owed", include_in_schema=False)


@router.get("")
async def listed(
    request: Request, context: ContextDep, staff: Coordinator, after: Cursor | None = None, shown: Word = ""
) -> Response:
    page = await obligations.list_owing(context, staff.institution, after=after, limit=_A_PAGE)
    policy = await institution_of(context, staff.institution)
    return pages.render(
        request,
        "answers_owed.html",
        owing=[obligations.Owing.of(one) for one in page.items],
        next=page.next,
        after=after,
        shown=shown,
        zone=policy.zone if policy else "UTC",
        said=words,
    )


@router.post("/{contact_id}/{endpoint_id}")
async def answer(
    context: ContextDep,
    contact_id: Id,
    endpoint_id: Id,
    staff: Coordinator,
    answer: Annotated[OwedAnswer, Form()],
    reference: Annotated[Line, Form()] = "",
) -> Response:
    """A coordinator answers for a consumer that told them another way."""
    await obligations.answer_for_consumer(
        context, staff, contact_id, endpoint_id, answer=answer, reference=reference[:200]
    )
    return RedirectResponse("/webhooks/answers-owed?shown=answered", 303)
