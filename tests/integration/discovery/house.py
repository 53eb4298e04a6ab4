"""Discovery while it runs, for its tests: a real store, a real nats-server, people who sign in."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from firsthand.services.discovery.repository import Repository
from firsthand.shared.clock import ManualClock
from firsthand.shared.copies import keep_institution
from firsthand.shared.deployment import Deployment
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState, Role
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import SessionIssuer
from tests.patience import PATIENCE

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
OAK, ELM = InstitutionId("oak-dental"), InstitutionId("elm-medical")
YES = {"public": True, "adult": True, "not_vulnerable": True, "not_asked_before": True}
CASE = {
    "prefix": "CLP",
    "title": "Cleft lip and palate",
    "condition": {"en": "cleft lip and palate", "ar": "شقّ الشفة والحنك", "es": "labio y paladar hendido"},
    "hashtags": ["#CleftLip", "CleftStrong", "شق_الشفة", "LabioLeporino"],
    "languages": ["en", "ar", "es"],
    "cohorts": ["year-3"],
    "tutors": ["tutor-1"],
    "safeguarding_contact": "coordinator-1",
}


@dataclass
class House:
    """Discovery while it runs, and people who sign in."""

    deployment: Deployment
    clock: ManualClock
    issuer: SessionIssuer
    data: Path

    @property
    def context(self) -> Context:
        return self.deployment.contexts["discovery"]

    @property
    def app(self) -> Any:
        return self.deployment.app

    def token(self, person: str = "tutor-1", role: Role = "tutor", at: InstitutionId = OAK) -> str:
        return self.issuer.staff(at, person, roles=frozenset({role}), cohorts=frozenset({"year-3"}))

    def browser(self, person: str = "tutor-1", role: Role = "tutor", at: InstitutionId = OAK) -> httpx.AsyncClient:
        """Somebody who reads pages."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://discovery.test/discovery",
            headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"},
            cookies={"fh_staff": self.token(person, role, at)},
            follow_redirects=True,
        )

    def client(self, person: str = "tutor-1", role: Role = "tutor", at: InstitutionId = OAK) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://discovery.test/discovery/api/v1",
            headers={"Authorization": f"Bearer {self.token(person, role, at)}"},
        )

    async def call(self, method: str, path: str, body: Any = None, **who: Any) -> Any:
        async with self.client(**who) as client:
            answer = await client.request(method, path, json=body)
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, body: Any = None, **who: Any) -> Any:
        async with self.client(**who) as client:
            answer = await client.request(method, path, json=body)
            assert answer.is_client_error, answer.text
            return answer.json()

    async def case(self, at: InstitutionId = OAK, **fields: Any) -> str:
        """Open a case with both approvals; the institution's policies are known."""
        boss = {"person": "coordinator-1", "role": "coordinator", "at": at}
        opened = await self.call("POST", "/cases", CASE | fields, **boss)
        for kind in ("ethics", "data-protection"):
            approval = {"number": "A-1", "expires_at": (self.clock.now() + timedelta(days=300)).isoformat()}
            await self.call("PUT", f"/cases/{opened['case_id']}/approvals/{kind}", approval, **boss)
        return str(opened["case_id"])

    async def policies(self, at: InstitutionId, sequence: int = 1, **fields: Any) -> None:
        state = InstitutionState(slug=at, name="A school", country="QA", zone="Asia/Qatar", languages=["en"], **fields)
        event = InstitutionChangedV1.record(
            institution=at, subject=at, sequence=sequence, at=NOW, actor="system", data=state
        )
        await keep_institution(self.context, event)

    async def nominate(self, case: str, address: str, at: InstitutionId = OAK) -> str:
        return str((await self.call("POST", f"/cases/{case}/nominations", {"address": address}, at=at))["lead_id"])

    async def clear(self, lead: str, at: InstitutionId = OAK, **fields: Any) -> Any:
        return await self.call("POST", f"/leads/{lead}/clear", {"checks": YES, "language": "en"} | fields, at=at)

    async def contact(self, address: str = "https://www.instagram.com/lina.example/", at: InstitutionId = OAK) -> Any:
        case = await self.case(at)
        return await self.clear(await self.nominate(case, address, at), at)


def mastodon(number: int, user: str = "noor", **fields: Any) -> dict[str, Any]:
    status = {
        "id": str(number),
        "url": f"https://social.example/@{user}/{number}",
        "created_at": "2026-11-10T08:00:00.000Z",
        "language": "en",
        "visibility": "public",
        "content": "<p>Two years since the operation. <a href='#'>#<span>CleftLip</span></a></p>",
        "tags": [{"name": "cleftlip"}],
        "account": {"acct": user, "url": f"https://social.example/@{user}", "display_name": user.title()},
    }
    return status | fields


async def bring(house: House, case: str, content: bytes | str, format_: str = "mastodon") -> Any:
    async with house.client() as client:
        path = f"/cases/{case}/posts" + (f"?format={format_}" if format_ else "")
        answer = await client.post(path, content=content)
        assert answer.status_code == 200, answer.text
        return answer.json()


def told(contact: Any, model: Any, sequence: int, consent: str, at: InstitutionId = OAK, **record: Any) -> Any:
    reference = ContactReference(
        contact_id=contact["contact_id"], case_id="clp", reference="CLP-001", language="en", tutor_id="tutor-1"
    )
    state = ConsentState(
        contact=reference,
        invitation=InvitationState(state="linked"),
        consent=ConsentRecordState(state=consent, **record),
    )
    return model.record(
        institution=at, subject=contact["contact_id"], sequence=sequence, at=NOW, actor="family", data=state
    )


async def state_of(house: House, lead: str) -> str:
    return str((await house.call("GET", f"/leads/{lead}"))["state"])


async def weeks_of(house: House) -> int:
    return len([week async for week in Repository(house.context, OAK).weeks.all()])


async def until(look: Any, wanted: object) -> None:
    """Wait for what a timer of the running service does; the test's timeout ends the wait."""
    async with asyncio.timeout(PATIENCE):
        while await look() != wanted:  # noqa: ASYNC110 - a timer of the service tells nobody
            await asyncio.sleep(0.05)
