"""A personal link that was replaced opens nothing any more, nor does the session that it had opened."""

import asyncio

import pytest

from firsthand.example import journey as play
from firsthand.shared.client import family
from firsthand.shared.clock import SystemClock
from tests.e2e.system import System

CLOCK = SystemClock()


@pytest.mark.promise
async def test_who_opened_the_link_before_is_out_of_every_service_at_once(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, "links-dental") as school:
        await play.open_case(school)
        journey = await play.clear(school, await play.nominate(school, "replaced.link"))
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            await asyncio.sleep(1)  # tokens tell their second of issue only
            path = f"/consent/api/v1/invitations/{journey.contact_id}/link"
            newest = (await school.tutor.call("POST", path))["url"]
            for service in ("consent", "scheduling", "archive"):

                async def out(service: str = service) -> bool:
                    return (await journey.family.send("GET", f"/{service}/api/v1/family")).status_code == 401

                await play.eventually(f"out of {service}", out, within=2)
            assert (await journey.family.send("POST", "/consent/api/v1/family/decline")).status_code == 401
            async with family(system.url, newest) as again:
                assert (await again.send("GET", "/consent/api/v1/family")).status_code == 200
