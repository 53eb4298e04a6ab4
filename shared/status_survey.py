"""Asks all running services how they are: over NATS every replica; those that do not answer there, by `/readyz`."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from firsthand.shared.bus.connection import NoServer, connected
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.settings import Settings
from firsthand.shared.status import Answer, ClockStatus, Status
from firsthand.shared.topology import STATUS_QUESTION, status_answer

_THERE_WITHIN: Final = 1.0  # seconds for a replica to say that it is there
_NEXT_WITHIN: Final = 0.2  # ... and for a further replica, once every service has one
_ANSWER_WITHIN: Final = 8.0  # seconds; a replica looks at its stores and at NATS, and may wait for each
_READYZ_WITHIN: Final = 3.0


@dataclass
class Asked:
    """What came of asking."""

    statuses: list[Status] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)  # services with a replica that is there and did not finish

    def of(self, service: str) -> list[Status]:
        return [one for one in self.statuses if one.service == service]


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


async def ask_over(client: Client, services: Sequence[str]) -> Asked:
    """Ask every replica over one connection to NATS, of a user that may. Raises nats.errors.Error, TimeoutError."""
    there: dict[str, Answer] = {}
    service_of: dict[str, str] = {}
    changed = asyncio.Event()
    question = secrets.token_hex(8)

    async def note(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            answer = Answer.model_validate_json(message.data)
            if answer.question == question:
                service = message.subject.rpartition(".")[2]  # the server lets no other service publish on it
                if answer.status:
                    answer.status.service = service
                replica = f"{service} {answer.replica}"
                there[replica], service_of[replica] = answer, service
                changed.set()

    async def until(seconds: float, finished: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not finished() and (left := deadline - time.monotonic()) > 0:
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()

    subscription = await client.subscribe(status_answer("*"), cb=note)
    try:
        await client.publish(STATUS_QUESTION, question.encode())
        await client.flush()
        await until(_THERE_WITHIN, lambda: set(services) <= set(service_of.values()))
        await until(_NEXT_WITHIN, lambda: False)
        await until(_ANSWER_WITHIN, lambda: all(answer.status for answer in there.values()))
    finally:
        await subscription.unsubscribe()
    return Asked(
        [answer.status for _, answer in sorted(there.items()) if answer.status],
        sorted({service_of[replica] for replica, answer in there.items() if not answer.status}),
    )


async def _readyz(http: httpx.AsyncClient, service: str) -> Status | None:
    """What a service of an older release says, or one without NATS. Behind a proxy one of its replicas answers."""
    try:
        body: dict[str, Any] = (await http.get(f"/{service}/readyz")).json()
        clock = ClockStatus.model_validate(body["clock"]) if "clock" in body else None
        return Status(service=service, problems=body["problems"], impaired=body.get("impaired", []), clock=clock)
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


__all__ = ["Asked", "ask"]
