"""Whose request it is, with and without a reverse proxy of ours before the application."""

import httpx
import pytest
from fastapi import APIRouter, Request

from firsthand.shared.web.access import Public
from firsthand.shared.web.app import MountedPart, build_app
from firsthand.shared.web.health import Condition


async def client_seen(*, behind_proxy: bool, forwarded_for: str) -> str:
    router = APIRouter()

    @router.get("/client")
    async def client(request: Request, _: Public) -> str:
        return request.client.host if request.client else ""

    async def examine() -> Condition:
        return Condition()

    part = MountedPart("portal", router, context=None, examine=examine)
    transport = httpx.ASGITransport(build_app([part], behind_proxy=behind_proxy), client=("10.0.0.9", 4000))
    async with httpx.AsyncClient(transport=transport, base_url="http://firsthand.example") as http:
        answer = await http.get("/portal/client", headers={"X-Forwarded-For": forwarded_for})
        return str(answer.json())


@pytest.mark.parametrize("claimed", ["203.0.113.7", "198.51.100.1, 203.0.113.7"])
async def test_behind_a_proxy_the_client_is_whom_the_proxy_saw_whatever_the_client_claimed(claimed: str) -> None:
    assert await client_seen(behind_proxy=True, forwarded_for=claimed) == "203.0.113.7"


async def test_without_a_proxy_nobody_passes_for_another_client() -> None:
    assert await client_seen(behind_proxy=False, forwarded_for="203.0.113.7") == "10.0.0.9"
