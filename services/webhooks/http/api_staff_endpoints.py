"""Endpoints over the JSON API, for coordinators and machines."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from firsthand.services.webhooks.handlers import deliveries, endpoints, replays
from firsthand.services.webhooks.http.doors import endpoint_out
from firsthand.services.webhooks.http.shapes import (
    ChangedEndpoint,
    EndpointOut,
    EndpointsOut,
    EventTypeOut,
    EventTypesOut,
    NewEndpoint,
    RecoveredOut,
    ReplayOut,
    Rotation,
    SecretOut,
    Since,
)
from firsthand.services.webhooks.model.endpoint import types_for
from firsthand.shared.identifiers import Id
from firsthand.shared.inputs import Line
from firsthand.shared.refused import NotFound
from firsthand.shared.texts import N_
from firsthand.shared.web.access import ContextDep, Keeper

router = APIRouter(tags=["endpoints"])


@router.get("/event-types")
async def event_types(staff: Keeper) -> EventTypesOut:
    return EventTypesOut(items=list(types_for(staff.institution)))


@router.get("/event-types/{event_type}")
async def get_event_type(staff: Keeper, event_type: Annotated[Line, Path(max_length=64)]) -> EventTypeOut:
    """Describe an event: its JSON Schema, and an invented example."""
    if event_type not in types_for(staff.institution):
        raise NotFound(N_("There is no such event type."))
    return EventTypeOut.of(event_type)


@router.get("/endpoints")
async def list_endpoints(context: ContextDep, staff: Keeper) -> EndpointsOut:
    """List an institution's endpoints, at most 200: those that need somebody first."""
    found = await endpoints.list_endpoints(context, staff.institution)
    return EndpointsOut(items=[await endpoint_out(context, one) for one in found])


@router.post("/endpoints", status_code=201)
async def add_endpoint(context: ContextDep, staff: Keeper, body: NewEndpoint) -> SecretOut:
    """Add an endpoint. Its secret is shown in this answer only."""
    return SecretOut.of(await endpoints.add_endpoint(context, staff, body.wanted()))


@router.get("/endpoints/{endpoint_id}")
async def get_endpoint(context: ContextDep, endpoint_id: Id, staff: Keeper) -> EndpointOut:
    return await _seen(context, staff, endpoint_id)


@router.patch("/endpoints/{endpoint_id}")
async def change_endpoint(context: ContextDep, endpoint_id: Id, staff: Keeper, body: ChangedEndpoint) -> EndpointOut:
    await endpoints.change_endpoint(context, staff, endpoint_id, body.wanted())
    return await _seen(context, staff, endpoint_id)


@router.delete("/endpoints/{endpoint_id}", status_code=204)
async def remove_endpoint(context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    """Remove an endpoint with its secrets, and all that was kept of its deliveries."""
    await endpoints.remove_endpoint(context, staff, endpoint_id)
    return Response(status_code=204)


@router.post("/endpoints/{endpoint_id}/pause")
async def pause(context: ContextDep, endpoint_id: Id, staff: Keeper) -> EndpointOut:
    """Deliver nothing for now; what happens meanwhile is kept."""
    await endpoints.pause(context, staff, endpoint_id)
    return await _seen(context, staff, endpoint_id)


@router.post("/endpoints/{endpoint_id}/resume")
async def resume(context: ContextDep, endpoint_id: Id, staff: Keeper) -> EndpointOut:
    """Deliver again, also to an endpoint that was disabled."""
    await endpoints.resume(context, staff, endpoint_id)
    return await _seen(context, staff, endpoint_id)


@router.post("/endpoints/{endpoint_id}/rotate")
async def rotate(context: ContextDep, endpoint_id: Id, staff: Keeper, body: Rotation | None = None) -> SecretOut:
    """Make a new secret and key. For some hours, each delivery carries the signatures of both."""
    hours = (body or Rotation()).hours
    return SecretOut.of(await endpoints.rotate(context, staff, endpoint_id, both_for=timedelta(hours=hours)))


@router.post("/endpoints/{endpoint_id}/test", status_code=202)
async def send_test(context: ContextDep, endpoint_id: Id, staff: Keeper) -> EndpointOut:
    """Send a test event (`endpoint.tested`) to this endpoint only."""
    await endpoints.send_test(context, staff, endpoint_id)
    return await _seen(context, staff, endpoint_id)


@router.post("/endpoints/{endpoint_id}/recover")
async def recover(context: ContextDep, endpoint_id: Id, staff: Keeper, body: Since) -> RecoveredOut:
    """Send again everything that failed since then."""
    return RecoveredOut(count=await deliveries.recover(context, staff, endpoint_id, body.since))


@router.get("/endpoints/{endpoint_id}/replay")
async def get_replay(context: ContextDep, endpoint_id: Id, staff: Keeper) -> ReplayOut:
    """Tell how far the last replay is."""
    if (found := await replays.see_replay(context, staff.institution, endpoint_id)) is None:
        raise NotFound(N_("Nothing of the past was ever sent to this endpoint."))
    return ReplayOut.of(found)


@router.post("/endpoints/{endpoint_id}/replay", status_code=202)
async def begin_replay(context: ContextDep, endpoint_id: Id, staff: Keeper, body: Since) -> ReplayOut:
    """Send what happened since then, also before the endpoint was added, except of families that took it back."""
    return ReplayOut.of(await replays.begin_replay(context, staff, endpoint_id, body.since))


@router.delete("/endpoints/{endpoint_id}/replay", status_code=204)
async def stop_replay(context: ContextDep, endpoint_id: Id, staff: Keeper) -> Response:
    """Send nothing more of the past, also not what waits to be sent."""
    await replays.stop_replay(context, staff, endpoint_id)
    return Response(status_code=204)


async def _seen(context: ContextDep, staff: Keeper, endpoint_id: str) -> EndpointOut:
    opened = await endpoints.open_endpoint(context, staff.institution, endpoint_id)
    return EndpointOut.of(opened, await deliveries.health_of(context, opened.endpoint))
