"""A running consent service for tests: real SQLite, real NATS, one case, and the people who use it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from firsthand.services.consent.app import SERVICE
from firsthand.services.consent.model import Journey
from firsthand.services.consent.repository import Journeys
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.events.archive import ArchiveErasedV1, RecordingArchivedV1, RecordingState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import (
    ApprovalState,
    CaseChangedV1,
    CaseState,
    ContactDiscoveredV1,
    ContactState,
    DiscoveryErasedV1,
    ErasedState,
)
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.events.scheduling import SchedulingErasedV1
from firsthand.shared.events.webhooks import WebhooksErasedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.service import Context
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings

SLUG = InstitutionId("qu-cdm")
START = datetime(2027, 1, 10, 8, tzinfo=UTC)
VIDEO = "a" * 64
NAME = "Noor Al-Canary"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}  # as a browser says of a form on our own page


@dataclass
class House:
    """A running consent service with one case, and the people who use it."""

    context: Context
    clock: ManualClock
    deployment: Deployment
    site: httpx.AsyncClient
    issuer: SessionIssuer

    async def tell(self, event: AnyEvent, handler: str) -> None:
        await SERVICE.handlers[handler](self.context, event)

    def staff(self, person_id: str = "tutor-1", role: Any = "tutor") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.staff(SLUG, person_id, roles=frozenset({role}))}"}

    def boss(self) -> dict[str, str]:
        return self.staff("boss", "coordinator")

    async def api(
        self, method: str, path: str, body: Any = None, *, who: dict[str, str] | None = None, ok: bool = True
    ) -> Any:
        headers = {**SAME_SITE, **(who or self.staff())}
        answer = await self.site.request(method, f"/consent/api/v1{path}", json=body, headers=headers)
        if ok:
            assert answer.is_success, (answer.status_code, answer.text)
            return answer.json()
        return answer

    async def discover(self, contact_id: str = "c1", *, language: str = "en", case_id: str = "case-1") -> str:
        contact = ContactReference(
            contact_id=contact_id, case_id=case_id, reference="CLP-001", language=language, tutor_id="tutor-1"
        )
        state = ContactState(contact=contact, platform="bluesky", state="discovered")
        await self.tell(event(ContactDiscoveredV1, contact_id, state), "prepare_invitation")
        return contact_id

    async def linked(self, contact_id: str = "c1", **more: Any) -> tuple[str, dict[str, str]]:
        """A contact that said yes and opened its link: the link's token and the family's session."""
        await self.discover(contact_id, **more)
        await self.api("POST", f"/invitations/{contact_id}/sent")
        await self.api("POST", f"/invitations/{contact_id}/answer", {"answer": "yes"})
        link = await self.api("POST", f"/invitations/{contact_id}/link")
        token = link["url"].rsplit("/", 1)[1]
        return token, await self.family(token)

    async def family(self, token: str) -> dict[str, str]:
        body = {"institution": SLUG, "token": token}
        opened = await self.site.post("/consent/api/v1/links/open", json=body, headers=SAME_SITE)
        assert opened.status_code == 200, opened.text
        return {"Authorization": f"Bearer {opened.json()['session']}"}

    async def granted(self, contact_id: str = "c1", **scopes: bool) -> tuple[str, dict[str, str]]:
        token, family = await self.linked(contact_id)
        await self.api("POST", "/family/decision", decision(**scopes), who=family)
        return token, family

    async def recorded(self, contact_id: str = "c1", media: Any = "video", sequence: int = 1) -> None:
        journey = await self.journey(contact_id)
        held = RecordingState(contact=journey.contact, state="held", media=media, sha256=VIDEO)
        await self.tell(event(RecordingArchivedV1, contact_id, held, sequence), "follow_recording")

    async def journey(self, contact_id: str = "c1") -> Journey:
        return await Journeys(self.context, SLUG).demand(contact_id)

    async def erased_by(self, contact_id: str, *services: str) -> None:
        erasure_id = (await self.journey(contact_id)).consent.erasure_id or ""
        kinds: dict[str, Any] = {
            "discovery": DiscoveryErasedV1, "scheduling": SchedulingErasedV1, "archive": ArchiveErasedV1,
            "webhooks": WebhooksErasedV1,
        }  # fmt: skip
        for service in services:
            state = ErasedState(
                contact_id=contact_id,
                erasure_id=erasure_id,
                service=service,
                erased=["handle"],
                kept=["suppression-mark"],
            )
            await self.tell(event(kinds[service], contact_id, state, 99), f"note_{service}_erased")

    async def time_passes(self, **by: float) -> None:
        self.clock.advance(timedelta(**by))
        await self.deployment.running["consent"].timers.look()


def event(kind: Any, subject: str, state: Any, sequence: int = 1) -> Any:
    return kind.record(institution=SLUG, subject=subject, sequence=sequence, at=START, actor="tutor-1", data=state)


def case(**changes: Any) -> CaseState:
    approvals = [
        ApprovalState(kind="ethics", number="QU-1", expires_at=START + timedelta(days=365)),
        ApprovalState(kind="data-protection", number="DP-1", expires_at=START + timedelta(days=300)),
    ]
    state = CaseState(
        case_id="case-1",
        prefix="CLP",
        title="Cleft lip and palate",
        condition={"en": "cleft lip and palate", "ar": "شقّ الشفة والحنك"},
        languages=["en", "ar"],
        cohorts=["year-3"],
        tutors=["tutor-1"],
        approvals=approvals,
        safeguarding_contact="boss",
        state="open",
    )
    return state.model_copy(update=changes)


def decision(**scopes: bool) -> dict[str, Any]:
    chosen = scopes or {"meet": True, "record-video": True, "share-cohort": True}
    return {
        "signer": "parent",
        "name": NAME,
        "about_child": True,
        "child_assent": "agrees",
        "birth_year": 2018,
        "scopes": {name.replace("_", "-"): yes for name, yes in chosen.items()},
    }


@asynccontextmanager
async def running(
    tmp_path: Path,
    nats_url: str,
    address: str = "https://first.example",
    clock: ManualClock | None = None,
    **more: Any,
) -> AsyncIterator[House]:
    clock = clock or ManualClock(START)
    settings = Settings(data=tmp_path / "data", nats_url=nats_url, public_url=address, **more)
    async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
        issuer = SessionIssuer({"staff": Keys.load(settings.key_folder).signing["staff"]}, clock)
        transport = httpx.ASGITransport(app=deployment.app)
        async with httpx.AsyncClient(transport=transport, base_url=address) as site:
            yield House(deployment.contexts["consent"], clock, deployment, site, issuer)


async def meet_institution(house: House) -> None:
    told = InstitutionState(
        slug=SLUG, name="QU Dental", country="QA", zone="Asia/Qatar", languages=["en", "ar"], account="@qu_dental"
    )
    await house.tell(event(InstitutionChangedV1, SLUG, told), "keep_institution")


async def begin(house: House) -> None:
    """The institution is known, the case is approved and its English text too."""
    await meet_institution(house)
    await house.tell(event(CaseChangedV1, "case-1", case()), "keep_case")
    await house.api("PUT", "/cases/case-1/texts/en", {"audience": "about 25 third-year students"}, who=house.boss())
    await house.api("POST", "/cases/case-1/texts/en/approve", {"number": "QU-1"}, who=house.boss())
