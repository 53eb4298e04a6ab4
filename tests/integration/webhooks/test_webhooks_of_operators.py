"""A deployment's operators have endpoints of their own: they hear how the services are, and nothing of any family."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from firsthand.services.webhooks.handlers.conditions import look_at_services
from firsthand.services.webhooks.model.condition import NO_ANSWER, Condition
from firsthand.shared.status import Status
from firsthand.shared.topology import SERVICES
from tests.integration.webhooks.house import AKL, API, QU, House
from tests.receiver import Receiver, Reply

PLACE = "/deployment/endpoints"


async def call(house: House, method: str, path: str, *, role: str = "operator", **more: Any) -> httpx.Response:
    return await house.http.request(method, API + path, headers=house.staff("op1", role), **more)


async def added(house: House, receiver: Receiver, *types: str) -> dict[str, Any]:
    body = {"url": receiver.url, "event_types": [*types] or ["*"], "name": "Pager"}
    answer = await call(house, "POST", PLACE, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def told(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    return [httpx.Response(200, content=one.body).json() for one in await receiver.got(count)]


async def test_operators_hear_of_impaired_services_once_and_when_they_are_well_again(
    house: House, receiver: Receiver
) -> None:
    await added(house, receiver, "service.*")
    for _ in range(3):  # of six services, only webhooks runs here
        await look_at_services(house.context)
    first = await told(receiver, len(SERVICES) - 1)
    assert {one["subject"] for one in first} == {*SERVICES} - {"webhooks"}
    assert {one["type"] for one in first} == {"firsthand.service.impaired.v1"}
    assert all(one["data"]["problems"] == [NO_ANSWER] for one in first)
    house.context.impair("test", ["The test says so."])
    for _ in range(2):
        await look_at_services(house.context)
    seen = (await told(receiver, len(SERVICES)))[-1]
    assert (seen["subject"], seen["data"]["impaired"]) == ("webhooks", ["The test says so."])
    house.context.impair("test", [])
    for _ in range(2):
        await look_at_services(house.context)
    well = (await told(receiver, len(SERVICES) + 1))[-1]
    assert (well["type"], well["data"]["impaired"]) == ("firsthand.service.recovered.v1", [])


def test_what_is_seen_once_is_no_alarm() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    condition = Condition.well("consent", now)
    ill, well = [Status(service="consent", impaired=["x"])], [Status(service="consent")]
    assert [condition.see(one, now) for one in (ill, well, ill, well, well)] == [None] * 5


async def test_operators_hear_of_disabled_endpoints_of_all_institutions_and_of_no_contact(
    house: House, receiver: Receiver
) -> None:
    made = await added(house, receiver)
    async with Receiver.running() as gone:
        gone.always = Reply(status=410)
        await house.add(gone.url, institution=AKL)
        await house.grant(contact="c1", institution=AKL)
        (event,) = await told(receiver, 1)
    assert (event["type"], event["institution"]) == ("firsthand.endpoint.disabled.v1", AKL)
    kept = (await call(house, "GET", f"{PLACE}/{made['endpoint_id']}/deliveries")).json()["items"]
    assert [one["event_type"] for one in kept] == ["firsthand.endpoint.disabled.v1"]


async def test_coordinators_and_operators_keep_their_own_endpoints_only(house: House, receiver: Receiver) -> None:
    mine = (await added(house, receiver))["endpoint_id"]
    theirs = (await house.add(receiver.url))["endpoint_id"]
    for role in ("coordinator", "tutor", "machine", "student"):
        for method, path in (("GET", PLACE), ("GET", f"{PLACE}/{mine}"), ("DELETE", f"{PLACE}/{mine}")):
            assert (await call(house, method, path, role=role)).status_code == 403
    assert (await call(house, "GET", "/endpoints")).status_code == 403
    assert (await call(house, "GET", f"{PLACE}/{theirs}")).status_code == 404
    assert (await house.call("GET", f"/endpoints/{mine}")).status_code == 404
    assert [one["endpoint_id"] for one in (await call(house, "GET", PLACE)).json()["items"]] == [mine]
    refused = await call(house, "POST", PLACE, json={"url": receiver.url, "event_types": ["consent.granted"]})
    assert refused.status_code == 422
    offered = (await call(house, "GET", "/deployment/event-types")).json()["items"]
    assert "service.impaired" in offered
    assert not any(one.startswith(("consent.", "contact.", "meeting.", "recording.")) for one in offered)
    assert (
        await house.call("POST", "/endpoints", json={"url": receiver.url, "event_types": ["service.impaired"]})
    ).status_code == 422


@pytest.mark.parametrize("language", ["en", "ar", "es"])
async def test_the_operators_pages_link_to_themselves(house: House, receiver: Receiver, language: str) -> None:
    made = (await added(house, receiver))["endpoint_id"]
    await call(house, "POST", f"{PLACE}/{made}/test")
    await receiver.got(1)
    (one,) = (await call(house, "GET", f"{PLACE}/{made}/deliveries")).json()["items"]
    pages = f"/webhooks{PLACE}"
    for page in (pages, f"{pages}/new", f"{pages}/{made}", f"{pages}/{made}/edit", f"{pages}/{made}/remove",
                 f"{pages}/{made}/deliveries/{one['delivery_id']}"):  # fmt: skip
        answer = await house.http.get(page, headers=house.staff("op1", "operator"), params={"lang": language})
        assert answer.status_code == 200
        assert '"/webhooks/endpoints' not in answer.text.replace('href="/webhooks/endpoints">', "", 1)
        assert (await house.http.get(page, headers=house.staff())).status_code == 403


async def test_its_secrets_are_sealed_for_the_deployment_and_it_is_removed_whole(
    house: House, receiver: Receiver
) -> None:
    made = (await added(house, receiver))["endpoint_id"]
    house.clock.advance(timedelta(minutes=1))
    assert (await call(house, "POST", f"{PLACE}/{made}/rotate", json={"hours": 1})).status_code == 200
    assert (await call(house, "POST", f"{PLACE}/{made}/replay", json={"since": "2026-11-27T00:00:00Z"})).is_success
    assert (await call(house, "DELETE", f"{PLACE}/{made}")).status_code == 204
    assert not (await call(house, "GET", PLACE)).json()["items"]


async def test_a_process_of_named_institutions_has_no_endpoints_of_the_deployment(
    house: House, receiver: Receiver
) -> None:
    object.__setattr__(house.context.settings, "institutions", (QU,))
    refused = await call(house, "POST", PLACE, json={"url": receiver.url, "event_types": ["*"]})
    assert refused.status_code == 404
    assert "the one that serves all" in refused.text
    assert (await house.call("GET", "/endpoints")).status_code == 200
