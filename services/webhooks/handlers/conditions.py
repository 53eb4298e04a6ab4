"""Watch how the services are, and tell the operators' endpoints when one is impaired, or well again."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import nats.errors

from firsthand.services.webhooks.model import Condition
from firsthand.services.webhooks.repository import Conditions, Endpoints
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.service import Context
from firsthand.shared.status import Status, ask_over
from firsthand.shared.store import AlreadyExists, Conflict, StoreUnavailable
from firsthand.shared.topology import SERVICES

_EVERY: Final = 30.0  # seconds; a change is told when it is seen twice
_JITTER: Final = 5.0  # seconds, so that replicas do not look at the same moment


async def keep_watching(context: Context) -> None:
    """Runs in the background, while the deployment has an endpoint that hears it."""
    while True:
        await asyncio.sleep(_EVERY + random.uniform(0, _JITTER))  # noqa: S311 - jitter, not a secret
        try:
            if await Endpoints(context, DEPLOYMENT).listed():
                await look_at_services(context)
        except (StoreUnavailable, nats.errors.Error, TimeoutError) as error:
            context.log.warning("the services cannot be watched: %s", error)


async def look_at_services(context: Context) -> None:
    """Ask all replicas once. Raises StoreUnavailable, nats.errors.Error, TimeoutError."""
    asked = await ask_over(context.bus.client, SERVICES)
    for service in SERVICES:
        statuses = asked.of(service)
        if not statuses and service in asked.silent:
            continue  # it is there, and slow: the next look tells
        await _note(context, service, statuses)


async def _note(context: Context, service: str, statuses: Sequence[Status]) -> None:
    conditions, now = Conditions(context), context.clock.now()
    known = await conditions.get(service)
    condition = known or Condition.well(service, now)
    before = condition.model_copy()
    event = condition.see(statuses, now)
    if condition == before:
        return
    try:
        await conditions.put(condition, event)
    except (Conflict, AlreadyExists):  # another replica looked at the same moment
        return


__all__ = ["keep_watching", "look_at_services"]
