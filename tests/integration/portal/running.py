"""The portal running alone, and the people who use it over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.mail import Letter
from firsthand.shared.service import Context
from tests.patience import PATIENCE

HERE = "http://127.0.0.1:8080"
COLLEGE = {
    "slug": "qu-cdm",
    "name": "Example College",
    "country": "QA",
    "zone": "Asia/Qatar",
    "languages": ["en", "ar"],
    "website": "https://dental.example",
    "account": "@dental.example",
    "verify_address": "https://dental.example/check",
}


@dataclass
class Portal:
    deployment: Deployment
    clock: ManualClock

    @property
    def context(self) -> Context:
        return self.deployment.contexts["portal"]

    def client(self, host: str = "127.0.0.1", base: str = HERE, **headers: str) -> httpx.AsyncClient:
        """A browser or a program on the machine `host`."""
        transport = httpx.ASGITransport(app=self.deployment.app, client=(host, 1))
        origin = {} if "Authorization" in headers else {"Origin": base}
        return httpx.AsyncClient(
            transport=transport, base_url=base, headers={"Accept": "application/json"} | origin | headers
        )

    async def letters(self, number: int) -> Sequence[Letter]:
        """The institution's mail, once it is so many letters."""
        async with asyncio.timeout(PATIENCE):
            while len(letters := await self.context.mail.list(InstitutionId("qu-cdm"))) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return letters

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[httpx.AsyncClient]:
        token = self.context.issuer.staff(DEPLOYMENT, "operator", roles=frozenset({"operator"}))
        async with self.client(Authorization=f"Bearer {token}") as client:
            yield client

    async def add(self, slug: str = "qu-cdm", **fields: Any) -> None:
        async with self.operator() as operator:
            answer = await operator.post("/portal/api/v1/institutions", json=COLLEGE | {"slug": slug} | fields)
            assert answer.status_code == 201, answer.text

    async def person(self, email: str, *roles: str, slug: str = "qu-cdm") -> str:
        async with self.operator() as operator:
            body = {"name": f"Name of {email}", "email": email, "roles": roles, "cohorts": ["year-3"]}
            answer = await operator.post(f"/portal/api/v1/institutions/{slug}/people", json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()["person_id"]

    async def link(self, email: str, slug: str = "qu-cdm") -> str:
        async with self.operator() as operator:
            path = f"/portal/api/v1/institutions/{slug}/sign-in-links"
            answer = await operator.post(path, json={"email": email})
            return httpx.URL(answer.json()["url"]).path

    @asynccontextmanager
    async def signed_in(self, email: str, slug: str = "qu-cdm", **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with self.client(**options) as browser:
            answer = await browser.post(await self.link(email, slug))
            assert answer.status_code == 303
            yield browser
