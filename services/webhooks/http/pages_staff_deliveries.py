"""The pages of single deliveries, for coordinators."""

import json

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from firsthand.services.webhooks.handlers import deliveries
from firsthand.services.webhooks.http import words
from firsthand.services.webhooks.http.doors import root_of
from firsthand.services.webhooks.http.pages import pages
from firsthand.shared.copies import institution_of
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Word
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Staff
from firsthand.shared.web.access import ContextDep, Keeper
from firsthand.shared.web.problems import status_of

router = APIRouter(prefix="/endpoints/{endpoint_id}/deliveries/{delivery_id}", include_in_schema=False)


@router.get("")
async def one(
    request: Request, context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Keeper, shown: Word = ""
) -> Response:
    return await _one(request, context, staff, endpoint_id, delivery_id, shown=shown)


@router.post("/resend")
async def resend(request: Request, context: ContextDep, endpoint_id: Id, delivery_id: Id, staff: Keeper) -> Response:
    try:
        await deliveries.resend(context, staff, endpoint_id, delivery_id)
    except Refused as refused:
        return await _one(request, context, staff, endpoint_id, delivery_id, refused=refused)
    return RedirectResponse(f"{root_of(staff.institution)}/{endpoint_id}/deliveries/{delivery_id}?shown=resent", 303)


async def _one(
    request: Request,
    context: ContextDep,
    staff: Staff,
    endpoint_id: str,
    delivery_id: str,
    *,
    shown: str = "",
    refused: Refused | None = None,
) -> Response:
    endpoint, delivery = await deliveries.see_delivery(context, staff.institution, endpoint_id, delivery_id)
    policy = await institution_of(context, staff.institution)
    say = pages.language(request).gettext
    why = " ".join(say(text) for text in (refused.title, refused.text) if text) if refused else ""
    return pages.render(
        request,
        "delivery.html",
        status=status_of(refused) if refused else 200,
        endpoint=endpoint,
        root=root_of(staff.institution),
        one=delivery,
        payload=json.dumps(json.loads(delivery.body), indent=2, ensure_ascii=False),
        curl=await deliveries.as_curl(context, endpoint, delivery),
        shown=shown,
        refused=why,
        zone=policy.zone if policy else "UTC",
        said=words,
    )
