"""The whole chain over HTTP, with a real nats-server, as people go through it."""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from tests.e2e.system import SERVICES, System, apart, unique
from tests.real_servers import MongoServer

CLOCK = SystemClock()


async def _invited(school: play.School, handle: str) -> play.Journey:
    journey = await play.clear(school, await play.nominate(school, handle))
    await play.send_first_message(journey)
    await play.log_answer(journey, "yes")
    return journey


async def _consented(journey: play.Journey) -> play.Journey:
    await play.decide(journey)
    await play.free_times(journey)
    return journey


async def _shows_the_whole_chain(system: System, environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firsthand.services", "demo", "--json", "--url", system.url,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    document = json.loads(out)
    types = Counter(event["type"] for event in document["events"])
    assert {f"firsthand.{name}.v1" for name in play.THE_CHAIN} <= types.keys()
    assert len({event["id"] for event in document["events"]}) == len(document["events"])
    assert {event["journey"] for event in document["events"]} == {document["contact"]}
    assert document["plays"] is False


async def test_the_demo_completes_the_chain_and_the_withdrawn_recording_no_longer_plays(system: System) -> None:
    await _shows_the_whole_chain(system, system.everything.environment)


@pytest.mark.timeout(300)  # six processes begin beside other tests
async def test_the_demo_completes_the_chain_with_services_apart_on_mongodb(
    tmp_path: Path, mongo_server: MongoServer, mongo_url: str
) -> None:
    async with apart(tmp_path, mongo_url=mongo_url) as services:
        await _shows_the_whole_chain(services, os.environ | {"FIRSTHAND_DATA": str(services.data)})
    prefix = urlsplit(mongo_url).path[1:]
    with mongo_server.client() as client:
        names = set(client.list_database_names())
    assert {f"{prefix}_{service}" for service in SERVICES} <= names
    assert not (services.data / "db").exists(), "nothing is kept in files"


async def test_a_family_that_declines_is_asked_nothing_more(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        journey = await _invited(school, "decliner.example")
        async with play.open_link(journey):
            await journey.family.call("POST", "/consent/api/v1/family/decline", {})
            whole = await play.timeline(journey, "consent.declined")
            assert "firsthand.meeting.offered.v1" not in {entry["type"] for entry in whole["timeline"]}
            with pytest.raises(play.Refused):
                await play.decide(journey)
        with pytest.raises(play.Refused):
            await play.send_first_message(journey)
        # the same person is not asked again, and nobody learns why
        with pytest.raises(play.Refused) as refused:
            await play.clear(school, await play.nominate(school, "decliner.example"))
        assert refused.value.status in {404, 409, 422}


async def test_a_no_to_the_first_message_ends_the_journey(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        journey = await play.clear(school, await play.nominate(school, "no.example"))
        await play.send_first_message(journey)
        await play.log_answer(journey, "no")
        for act in ("sent", "link"):
            with pytest.raises(play.Refused):
                await school.tutor.call("POST", f"/consent/api/v1/invitations/{journey.contact_id}/{act}")


async def test_consent_can_be_withdrawn_at_every_stage_and_the_chain_obeys(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)

        async def withdrawn_after(stage: str) -> None:
            journey = await _invited(school, f"{stage}.example")
            async with play.open_link(journey):
                await _consented(journey)
                for step in (play.book, play.hold, play.upload, play.release):
                    if stage == "consented":
                        break
                    await step(journey)
                    if step.__name__ == stage:
                        break
                if stage == "hold":
                    await play.recording(journey, "awaited")
                await play.withdraw(journey)
                assert (await play.certificate(journey))["completed_at"]
                whole = await play.timeline(journey, "consent.withdrawn", "erasure.completed")
                types = [entry["type"] for entry in whole["timeline"]]
                assert types.count("firsthand.erasure.completed.v1") == 1
                if stage == "book":
                    assert "firsthand.meeting.cancelled.v1" in types
                await play.no_longer_plays(journey)

        for stage in ("consented", "book", "hold", "upload", "release"):
            await withdrawn_after(stage)


async def test_two_institutions_with_the_same_person_see_nothing_of_each_other(system: System) -> None:
    async with (
        play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as oak,
        play.school(
            system.url, system.keys, CLOCK, unique("elm-medical"), name="Elm Medical School", country="NZ"
        ) as elm,
    ):
        await play.open_case(oak)
        await play.open_case(elm)
        journey = await _invited(oak, "shared.person.example")
        # the second institution is told only that the person is not available now
        with pytest.raises(play.Refused) as refused:
            await play.clear(elm, await play.nominate(elm, "shared.person.example"))
        assert "oak" not in str(refused.value).lower()
        async with play.open_link(journey):
            await _consented(journey)
            await play.book(journey)
            await play.hold(journey)
            await play.upload(journey)
            await play.release(journey)
            for path in (
                f"/discovery/api/v1/contacts/{journey.contact_id}/label",
                f"/discovery/api/v1/cases/{oak.case_id}",
                f"/consent/api/v1/invitations/{journey.contact_id}",
                f"/scheduling/api/v1/meetings/{journey.contact_id}",
                f"/archive/api/v1/recordings/{journey.contact_id}",
                f"/archive/media/{journey.contact_id}",
                f"/portal/api/v1/journeys/{journey.contact_id}",
            ):
                answer = await elm.coordinator.send("GET", path)
                assert answer.status_code == 404, path
            for path, key in (("/portal/api/v1/journeys", "items"), ("/scheduling/api/v1/meetings", "items")):
                assert (await elm.coordinator.call("GET", path))[key] == []


async def test_of_a_video_only_its_sound_is_shown_where_no_more_is_allowed(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        journey = await _invited(school, "audio.only.example")
        async with play.open_link(journey):
            await play.decide(journey, ("meet", "record-audio", "share-cohort"))
            await play.book(journey)
            await play.hold(journey)
            held = await play.upload(journey)
            assert held["media"] == "audio"
            await play.release(journey)
            assert await play.plays(journey)


async def test_meeting_without_recording_is_a_complete_journey(system: System) -> None:
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        journey = await _invited(school, "talk.only.example")
        async with play.open_link(journey):
            await play.decide(journey, ("meet",))
            await play.book(journey)
            await play.hold(journey)
            finished = await play.meeting(journey, "finished")
            assert finished["recording"] == "none"
