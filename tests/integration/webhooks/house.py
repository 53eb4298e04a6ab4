"""The webhooks service under test, with what its neighbours tell it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from nats.aio.client import Client

from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.shared.deployment import Deployment
from firsthand.shared.events import AnyEvent, parse_event
from firsthand.shared.events import consent as consent_events
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import SessionIssuer
from tests.patience import PATIENCE

QU, AKL = InstitutionId("qu-cdm"), InstitutionId("akl-dent")
API = "/webhooks/api/v1"


@dataclass
class House:
    """What a test of webhooks works with."""

    deployment: Deployment
    clock: Any  # a ManualClock, unless the test goes by today's
    nats: Client
    issuer: SessionIssuer
    http: httpx.AsyncClient
    sequences: dict[str, int] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        return self.deployment.contexts["webhooks"]

    def staff(
        self, person: str = "coord1", role: Any = "coordinator", institution: InstitutionId = QU
    ) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.staff(institution, person, roles=frozenset({role}))}"}

    async def call(self, method: str, path: str, *, institution: InstitutionId = QU, **more: Any) -> httpx.Response:
        return await self.http.request(method, API + path, headers=self.staff(institution=institution), **more)

    async def add(self, url: str, *, institution: InstitutionId = QU, **more: Any) -> dict[str, Any]:
        """Add an endpoint; by default it hears all of consent."""
        body = {"url": url, "event_types": ["consent.*"], "name": "Learning platform"} | more
        answer = await self.call("POST", "/endpoints", institution=institution, json=body)
        assert answer.status_code == 201, answer.text
        added: dict[str, Any] = answer.json()
        return added

    async def publish(self, event: AnyEvent, body: bytes | None = None) -> bytes:
        """Publish an event as its service does; returns its bytes."""
        body = body or event.wire()
        await self.nats.jetstream().publish(event.nats_subject, body, headers={"Nats-Msg-Id": event.id})
        return body

    def consent(
        self, kind: str = "ConsentGrantedV1", state: Any = "granted", contact: str = "c1", **more: Any
    ) -> AnyEvent:
        """Make a consent event with the next sequence of its contact."""
        institution = more.pop("institution", QU)
        self.sequences[contact] = sequence = self.sequences.get(contact, 0) + 1
        if state == "granted":
            more = {"scopes": ["meet", "record-video"]} | more
        model: type[AnyEvent] = getattr(consent_events, kind)
        return model.record(
            institution=institution,
            subject=contact,
            sequence=sequence,
            at=self.clock.now(),
            actor="family",
            data=ConsentState(
                contact=ContactReference(
                    contact_id=contact, case_id="case1", reference=f"CLP-{contact}", language="en", tutor_id="tutor1"
                ),
                invitation=InvitationState(state="linked"),
                consent=ConsentRecordState(state=state, **more),
            ),
        )

    async def grant(self, contact: str = "c1", **more: Any) -> bytes:
        return await self.publish(self.consent(contact=contact, **more))

    async def later(self, by: timedelta, endpoint_id: str, institution: InstitutionId = QU) -> None:
        """Let time pass, and let the lane look at once."""
        self.clock.advance(by)
        await dispatch_of(self.context).wake(institution, endpoint_id)

    async def deliveries(self, endpoint_id: str, **asked: Any) -> list[dict[str, Any]]:
        answer = await self.call("GET", f"/endpoints/{endpoint_id}/deliveries", params=asked)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def until(self, endpoint_id: str, state: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an endpoint has so many deliveries in a state."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = await self.deliveries(endpoint_id, state=state)
            return len(found) >= count

        await self.eventually(there)
        return found

    async def eventually(self, true: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await true():  # noqa: ASYNC110 - over HTTP nothing else says it
                await asyncio.sleep(0.01)

    async def told(self, subject: str) -> list[AnyEvent]:
        """Everything that webhooks published on a subject so far."""
        stream = self.nats.jetstream()
        info = await stream.stream_info("FH_WEBHOOKS")
        found = []
        for sequence in range(1, info.state.last_seq + 1):
            message = await stream.get_msg("FH_WEBHOOKS", sequence)
            if message.subject and message.subject.endswith(subject) and message.data:
                found.append(parse_event(message.data))
        return found
