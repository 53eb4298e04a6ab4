"""The journeys page's model over real NATS: late, repeated, live, and sealed off between institutions."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from firsthand.services.portal import live
from firsthand.services.portal.handlers.journeys import has_entry
from firsthand.services.portal.model.journey import Journey
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.events.archive import RecordingArchivedV1, RecordingState
from firsthand.shared.events.consent import ConsentGrantedV1, ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import CaseChangedV1, CaseState, ContactDiscoveredV1, ContactState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.serving import WebServer, bound_socket
from tests.integration.portal.running import Portal
from tests.patience import PATIENCE

SCHOOL = InstitutionId("qu-cdm")


def contact(contact_id: str, case_id: str = "k1", tutor_id: str = "") -> ContactReference:
    return ContactReference(
        contact_id=contact_id, case_id=case_id, reference=f"CLP-{contact_id}", language="en", tutor_id=tutor_id
    )


async def happens(
    portal: Portal, event: type[AnyEvent], subject: str, state: Any, *, sequence: int = 1, institution: str = SCHOOL
) -> AnyEvent:
    """Publish an event as the service that it comes from would."""
    made = event.record(
        institution=InstitutionId(institution),
        subject=subject,
        sequence=sequence,
        at=portal.clock.now(),
        actor="system",
        data=state,
    )
    await publish(portal, made)
    return made


async def publish(portal: Portal, made: AnyEvent) -> None:
    async with connected(BusSettings(url=portal.context.settings.nats_url)) as client:
        # without the id by which the server itself would drop a repeat: what comes twice is for the portal to see
        await client.jetstream().publish(made.nats_subject, made.wire())


async def discovered(portal: Portal, contact_id: str, **fields: Any) -> AnyEvent:
    institution = fields.pop("institution", SCHOOL)
    state = ContactState(contact=contact(contact_id, **fields), platform="other", state="discovered")
    return await happens(portal, ContactDiscoveredV1, contact_id, state, institution=institution)


async def granted(portal: Portal, contact_id: str, sequence: int) -> AnyEvent:
    state = ConsentState(
        contact=contact(contact_id),
        invitation=InvitationState(state="linked"),
        consent=ConsentRecordState(state="granted", scopes=["meet"]),
    )
    return await happens(portal, ConsentGrantedV1, contact_id, state, sequence=sequence)


async def case(portal: Portal, case_id: str, *tutors: str) -> None:
    state = CaseState(
        case_id=case_id,
        prefix="CLP",
        title=f"Case {case_id}",
        condition={},
        languages=["en"],
        cohorts=["year-3"],
        tutors=list(tutors),
        approvals=[],
        state="open",
    )
    await happens(portal, CaseChangedV1, case_id, state)


async def until(look: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.02)


async def shows(client: httpx.AsyncClient, contact_id: str, stage: str) -> Any:
    async def look() -> Any:
        answer = await client.get(f"/portal/api/v1/journeys/{contact_id}")
        return answer.json() if answer.status_code == 200 and answer.json()["stage"] == stage else None

    return await until(look)


async def test_a_journey_shows_each_step_once_also_when_it_comes_late_or_twice(college: Portal) -> None:
    async with college.signed_in("c@school.example") as coordinator:
        first = await granted(college, "c1", 5)
        await shows(coordinator, "c1", "consented")
        late = await discovered(college, "c1")
        held = RecordingState(contact=contact("c1"), state="held")
        await happens(college, RecordingArchivedV1, "c1", held)
        await publish(college, first)
        journey = await shows(coordinator, "c1", "held")
        await until(lambda: _has(coordinator, "c1", 3))
        journey = (await coordinator.get("/portal/api/v1/journeys/c1")).json()
        assert {entry["id"] for entry in journey["timeline"]} >= {first.id, late.id}
        assert len(journey["timeline"]) == 3
        assert journey["timeline"][0].keys() >= {"id", "type", "time", "journey", "actor", "service", "sequence"}


async def _has(client: httpx.AsyncClient, contact_id: str, entries: int) -> bool:
    return len((await client.get(f"/portal/api/v1/journeys/{contact_id}")).json()["timeline"]) == entries


async def test_tutors_see_the_journeys_of_their_cases_and_students_none(college: Portal) -> None:
    tutor_id = await college.person("t@school.example", "tutor")
    await college.person("s@school.example", "student")
    await case(college, "k1", tutor_id)
    await case(college, "k2", "another")
    for contact_id, case_id in (("c1", "k1"), ("c2", "k2"), ("c3", "k2")):
        await discovered(college, contact_id, case_id=case_id, tutor_id=tutor_id if contact_id == "c3" else "")
    async with (
        college.signed_in("c@school.example") as coordinator,
        college.signed_in("t@school.example") as tutor,
        college.signed_in("s@school.example") as student,
    ):
        for contact_id in ("c1", "c2", "c3"):
            await shows(coordinator, contact_id, "discovered")
        board = (await coordinator.get("/portal/api/v1/journeys")).json()
        assert {one["contact_id"] for one in board["items"]} == {"c1", "c2", "c3"}
        assert board["counts"]["discovered"] == 3
        filtered = (await coordinator.get("/portal/api/v1/journeys?case=k2&stage=discovered")).json()
        assert {one["contact_id"] for one in filtered["items"]} == {"c2", "c3"}
        theirs = (await tutor.get("/portal/api/v1/journeys")).json()["items"]
        assert {one["contact_id"] for one in theirs} == {"c1", "c3"}
        assert (await tutor.get("/portal/api/v1/journeys/c2")).status_code == 404
        assert (await tutor.get("/portal/api/v1/journeys?case=k2")).status_code == 404
        assert (await student.get("/portal/api/v1/journeys")).status_code == 403


async def test_another_institutions_journeys_are_not_there(college: Portal) -> None:
    await college.add("other-school")
    await college.person("c@other.example", "coordinator", slug="other-school")
    await discovered(college, "ours")
    await discovered(college, "theirs", institution="other-school")
    async with (
        college.signed_in("c@school.example") as us,
        college.signed_in("c@other.example", "other-school") as them,
    ):
        await shows(us, "ours", "discovered")
        await shows(them, "theirs", "discovered")
        assert (await us.get("/portal/api/v1/journeys/theirs")).status_code == 404
        assert [one["contact_id"] for one in (await them.get("/portal/api/v1/journeys")).json()["items"]] == ["theirs"]


async def test_an_open_page_is_told_of_its_own_institutions_changes_only(college: Portal) -> None:
    await college.add("other-school")
    await case(college, "k1")
    async with college.signed_in("c@school.example") as coordinator, serving(college) as url:
        cookies = {"fh_staff": coordinator.cookies["fh_staff"]}
        async with (
            httpx.AsyncClient(base_url=url, cookies=cookies, timeout=10) as browser,
            browser.stream("GET", "/portal/api/v1/journeys/stream") as stream,
        ):
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.aiter_lines()
            assert (await anext(lines)).startswith("retry:")
            await discovered(college, "theirs", institution="other-school")
            await discovered(college, "ours")
            await granted(college, "ours", 1)
            stages = []
            async for line in lines:
                if line.startswith("data:"):
                    update = json.loads(line.removeprefix("data:"))
                    assert update["contact_id"] == "ours"
                    stages.append(update["stage"])
                    if update["stage"] == "consented":
                        break


async def test_an_open_page_is_told_however_far_the_journeys_lag_behind(
    college: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may lag by minutes: after an outage, or while somebody imports thousands of contacts."""
    await discovered(college, "c1")
    waited = 0.0

    async def late(*of: Any) -> Journey | None:
        return await has_entry(*of) if waited > 240 else None  # seconds

    async def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds

    made = await granted(college, "c1", 1)
    async with college.signed_in("c@school.example") as coordinator:
        await shows(coordinator, "c1", "consented")
    monkeypatch.setattr(live, "has_entry", late)
    monkeypatch.setattr(live, "asyncio", SimpleNamespace(sleep=sleep))
    told = await college.context.own(live.LivePages)._entered(made)
    assert told is not None
    assert told.stage == "consented"
    assert waited < 240 * 1.5 + 1, "no later than half as long again"


async def test_the_portal_stays_ready_whenever_pages_close(college: Portal) -> None:
    """More visits than there are names of listeners, each closed at a moment of its own."""
    chance = random.Random(7)
    path = "/portal/api/v1/journeys/stream"
    async with college.signed_in("c@school.example") as coordinator, serving(college) as url:
        cookies = {"fh_staff": coordinator.cookies["fh_staff"]}

        async def visit(browser: httpx.AsyncClient) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(0, 0.15)), browser.stream("GET", path) as stream:
                    async for _ in stream.aiter_lines():
                        pass

        at_rest = len(college.context.bus._listeners)
        async with httpx.AsyncClient(base_url=url, cookies=cookies) as browser:
            for _ in range(20):
                await asyncio.gather(*(visit(browser) for _ in range(5)))
                assert len(college.context.bus._listeners) <= at_rest + 1  # the live pages
        ready = await coordinator.get("/portal/readyz")
        assert (ready.status_code, ready.json()["problems"]) == (200, [])
        async with (
            httpx.AsyncClient(base_url=url, cookies=cookies, timeout=PATIENCE) as browser,
            browser.stream("GET", path) as stream,
        ):
            lines = stream.aiter_lines()
            await anext(lines)
            await discovered(college, "c1")
            async for line in lines:  # and pages are still told
                if line.startswith("data:"):
                    assert json.loads(line.removeprefix("data:"))["contact_id"] == "c1"
                    break


@contextlib.asynccontextmanager
async def serving(portal: Portal) -> AsyncIterator[str]:
    """The portal on a real socket: what streams is not shown by a transport that waits for the end."""
    sock = bound_socket(portal.context.settings.model_copy(update={"port": 0}))
    server = WebServer(portal.deployment)
    task = asyncio.create_task(server.serve([sock]))
    await server.until_started()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    await task
    sock.close()
