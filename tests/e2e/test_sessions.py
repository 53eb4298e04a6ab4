"""Signing out and locking a page, in every service of a whole system."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import httpx
import pytest_asyncio

from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from tests.e2e.doors import doors
from tests.e2e.system import System
from tests.patience import PATIENCE

# A page of each service that a coordinator may open, and the same for a family.
OF_STAFF = (
    "/portal/today",
    "/discovery/cases",
    "/consent/invitations",
    "/scheduling/meetings",
    "/archive/recordings",
)
OF_FAMILY = ("/consent/family", "/scheduling/family", "/archive/family")
SAME_SITE = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def journey(system: System) -> AsyncIterator[play.Journey]:
    async with play.school(system.url, system.keys, SystemClock(), "sessions") as school:
        await play.open_case(school)
        found = await play.clear(school, await play.nominate(school, "canary.signs.out"))
        await play.send_first_message(found)
        await play.log_answer(found, "yes")
        async with play.open_link(found):
            await play.decide(found)
            await play.book(found)
            yield found


def browser(journey: play.Journey, **cookies: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=journey.school.url, timeout=30, headers=SAME_SITE, cookies=cookies)


async def opened(client: httpx.AsyncClient, paths: Sequence[str]) -> list[str]:
    """The pages that open to this browser, which is not sent on to renew its session."""
    return [path for path in paths if (await client.get(path)).status_code == 200]


async def until_all_are_closed(client: httpx.AsyncClient, paths: Sequence[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await opened(client, paths):  # noqa: ASYNC110 - each service hears of it for itself
            await asyncio.sleep(0.02)


async def signed_in(client: httpx.AsyncClient, journey: play.Journey) -> None:
    school = journey.school
    path = f"/portal/api/v1/institutions/{school.slug}/sign-in-links"
    link = await school.operator.call("POST", path, {"email": f"coordinator@{school.slug}.example"})
    assert (await client.post(urlsplit(link["url"]).path)).status_code == 303


async def test_signing_out_ends_the_session_in_every_service_and_no_other_one(journey: play.Journey) -> None:
    async with browser(journey) as one, browser(journey) as other:
        await signed_in(one, journey)
        await signed_in(other, journey)
        assert (await one.get("/portal/session/renew?next=/portal/today")).status_code == 303
        kept = dict(one.cookies)  # as somebody has them who copied them before
        async with browser(journey, **kept) as copied:
            assert await opened(copied, OF_STAFF) == [*OF_STAFF]
            assert (await one.post("/portal/sign-out")).status_code == 303
            await until_all_are_closed(copied, OF_STAFF)
            renewed = await copied.get("/portal/session/renew?next=/portal/today")
            assert renewed.headers["location"].startswith("/portal/sign-in?")
            assert (await copied.post("/portal/sign-out")).status_code == 303, "asked again, it changes nothing"
        assert await opened(other, OF_STAFF) == [*OF_STAFF]
        await signed_in(one, journey)
        assert await opened(one, OF_STAFF) == [*OF_STAFF]


async def test_locking_the_page_ends_the_session_of_this_device_in_every_service(journey: play.Journey) -> None:
    link = urlsplit(journey.link).path
    async with browser(journey) as phone, browser(journey) as laptop:
        for device in (phone, laptop):
            assert (await device.post(link)).status_code == 303
            assert (await device.get("/consent/family/renew")).status_code == 303, "one session goes on"
        kept = dict(phone.cookies)
        async with browser(journey, **kept) as copied:
            seen = await opened(copied, OF_FAMILY)
            assert {"/consent/family", "/scheduling/family"} <= {*seen}
            answer = await phone.post("/consent/family/leave")
            assert "Open your personal link again" in answer.text
            assert not phone.cookies
            await until_all_are_closed(copied, OF_FAMILY)
            assert (await copied.get("/consent/family/renew")).status_code == 401, "nor is it renewed"
            assert (await phone.post("/consent/family/leave")).status_code == 200, "asked again, it changes nothing"
        assert await opened(laptop, OF_FAMILY) == seen
        assert (await phone.post(link)).status_code == 303, "the link itself opens again"
        assert await opened(phone, OF_FAMILY) == seen


async def test_every_page_of_a_family_can_be_locked(journey: play.Journey) -> None:
    forgotten = []
    async with browser(journey) as phone:
        assert (await phone.post(urlsplit(journey.link).path)).status_code == 303
        for door in doors():
            if door.who == "family" and door.method == "GET" and not door.api:
                answer = await phone.get(door.at(name="meet", language="en", form="vtt"))
                html = answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
                if html and 'action="/consent/family/leave"' not in answer.text:
                    forgotten.append(str(door))
    assert forgotten == []
