"""Asks all running services how they are: over NATS every replica; those that do not answer there, by `/readyz`."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx
import nats.errors

from firsthand.shared.bus.connection import NoServer, connected
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.settings import Settings
from firsthand.shared.status import Asked, ClockStatus, Status, ask_over

_READYZ_WITHIN: Final = 3.0


async def ask(settings: Settings, services: Sequence[str]) -> Asked:
    """Ask every replica that runs; changes nothing."""
    asked = await _over_nats(settings, services)
    unheard = [one for one in services if not asked.of(one) and one not in asked.silent]
    if unheard:
        async with httpx.AsyncClient(base_url=settings.address, timeout=_READYZ_WITHIN) as http:
            found = await asyncio.gather(*(_readyz(http, service) for service in unheard))
        asked.statuses += [status for status in found if status]
    return asked


async def _over_nats(settings: Settings, services: Sequence[str]) -> Asked:
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        return Asked()
    try:
        async with connected(bus_settings(settings.model_copy(update={"nats_url": url}))) as client:
            return await ask_over(client, services)
    except (NoServer, nats.errors.Error, TimeoutError, OSError):
        return Asked()  # that NATS does not answer is found elsewhere; readiness may still be asked


async def _readyz(http: httpx.AsyncClient, service: str) -> Status | None:
    """What a service of an older release says, or one without NATS. Behind a proxy one of its replicas answers."""
    try:
        body: dict[str, Any] = (await http.get(f"/{service}/readyz")).json()
        clock = ClockStatus.model_validate(body["clock"]) if "clock" in body else None
        return Status(service=service, problems=body["problems"], impaired=body.get("impaired", []), clock=clock)
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


__all__ = ["Asked", "ask"]
