"""Events reach the endpoints that hear them: as they were published, signed, again until taken, and nobody else's."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, webhooks

from firsthand.services.webhooks import lanes
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.metrics import metrics_of
from firsthand.services.webhooks.model import Delivery, Lane
from firsthand.services.webhooks.repository import Deliveries
from firsthand.shared.deployment import Deployment
from firsthand.shared.store import NoRoom
from tests.integration.webhooks.house import AKL, QU, House
from tests.patience import PATIENCE
from tests.receiver import Receiver, Reply


async def test_an_event_arrives_byte_for_byte_with_what_only_a_newer_release_says(
    house: House, receiver: Receiver
) -> None:
    await house.add(receiver.url)
    event = house.consent()
    newer = json.loads(event.wire())
    newer["data"]["consent"]["colour"] = "blue"
    body = json.dumps(newer, indent=1).encode()
    await house.publish(event, body)
    (received,) = await receiver.got(1)
    assert received.body == body
    assert received.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert received.target == "/hook"


async def test_a_verifier_of_others_accepts_the_signature_and_the_id_stays_over_all_attempts(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(500, body=b"not now")]
    event = house.consent()
    await house.publish(event)
    await receiver.got(1)
    await house.until(added["endpoint_id"], "waiting")
    await house.later(timedelta(seconds=6), added["endpoint_id"])
    first, second = await receiver.got(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event.id
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]  # of another time
    monkeypatch.setattr(webhooks, "datetime", type("Then", (datetime,), {"now": lambda tz: house.clock.now()}))
    for one in (first, second):
        assert Webhook(added["secret"]).verify(one.body, one.headers)["id"] == event.id
    (delivery,) = await house.until(added["endpoint_id"], "delivered")
    assert (delivery["attempts"], delivery["last_status"]) == (2, 200)


async def test_an_endpoint_hears_its_own_institution_its_types_and_its_cases_only(
    house: House, receiver: Receiver
) -> None:
    await house.add(receiver.url, event_types=["consent.granted"])
    async with Receiver.running() as elsewhere, Receiver.running() as refused:
        await house.add(elsewhere.url, institution=AKL)
        await house.add(refused.url, event_types=["meeting.*"])
        await house.publish(house.consent("ConsentChangedV1", contact="c1"))
        own = await house.grant(contact="c2")
        others = await house.publish(house.consent(contact="c3", institution=AKL))
        assert [one.body for one in await receiver.got(1)] == [own]
        assert [one.body for one in await elsewhere.got(1)] == [others]
        assert refused.received == []


async def test_what_fails_is_tried_by_the_schedule_and_then_given_up(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    receiver.always = Reply(503, body=b"closed\x00\x07 today")
    await house.grant()
    pauses = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    for count, pause in enumerate(pauses, 1):
        await receiver.got(count)

        async def noted(count: int = count) -> bool:
            (one,) = await house.deliveries(added["endpoint_id"])
            return bool(one["attempts"] == count)

        await house.eventually(noted)
        (one,) = await house.deliveries(added["endpoint_id"])
        whole = (await house.call("GET", f"/endpoints/{added['endpoint_id']}/deliveries/{one['delivery_id']}")).json()
        waited = (_at(whole["next_at"]) - _at(whole["tries"][-1]["at"])).total_seconds()
        assert pause <= waited <= pause * 1.1 + 1
        await house.later(timedelta(seconds=pause * 1.1 + 1), added["endpoint_id"])
    await receiver.got(10)
    (failed,) = await house.until(added["endpoint_id"], "failed")
    whole = (await house.call("GET", f"/endpoints/{added['endpoint_id']}/deliveries/{failed['delivery_id']}")).json()
    assert [one["status"] for one in whole["tries"]] == [503] * 10
    assert whole["tries"][0]["answer"] == "closed\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} today"
    assert whole["next_at"] is None


@pytest.mark.parametrize("told", ["120", "Fri, 27 Nov 2026 09:02:00 GMT"])
async def test_a_busy_receiver_is_left_alone_for_as_long_as_it_asks(
    house: House, receiver: Receiver, told: str
) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(429, {"Retry-After": told})]
    await house.grant()
    await receiver.got(1)
    (one,) = await house.until(added["endpoint_id"], "waiting")

    async def noted() -> bool:
        return bool((await house.deliveries(added["endpoint_id"]))[0]["attempts"])

    await house.eventually(noted)
    (one,) = await house.deliveries(added["endpoint_id"])
    assert 115 <= (_at(one["next_at"]) - house.clock.now()).total_seconds() <= 125
    await house.grant(contact="c2")
    await house.until(added["endpoint_id"], "waiting", 2)
    await house.later(timedelta(seconds=60), added["endpoint_id"])
    assert len(receiver.received) == 1  # nothing else is sent meanwhile either
    await house.later(timedelta(seconds=66), added["endpoint_id"])
    await receiver.got(3)


async def test_a_receiver_that_is_gone_is_disabled_and_that_is_told(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    receiver.always = Reply(410)
    await house.grant()

    async def disabled() -> bool:
        return bool((await house.call("GET", f"/endpoints/{added['endpoint_id']}")).json()["state"] == "disabled")

    await house.eventually(disabled)
    (told,) = await _eventually_told(house, "endpoint.disabled")
    assert told.data.disabled_because == "gone"
    await house.grant(contact="c2")
    (only,) = await house.deliveries(added["endpoint_id"])
    assert only["state"] == "aborted"


async def test_after_five_days_of_failure_an_endpoint_is_disabled_and_resumes_on_demand(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url)
    receiver.always = Reply(500)
    await house.grant()
    await receiver.got(1)

    async def failing() -> bool:
        return (await house.call("GET", f"/endpoints/{added['endpoint_id']}")).json()["failing_since"] is not None

    await house.eventually(failing)
    house.clock.advance(timedelta(days=5, minutes=1))
    await house.grant(contact="c2")

    async def disabled() -> bool:
        return bool((await house.call("GET", f"/endpoints/{added['endpoint_id']}")).json()["state"] == "disabled")

    await house.eventually(disabled)
    (told,) = await _eventually_told(house, "endpoint.disabled")
    assert told.data.disabled_because == "failing"
    receiver.always = Reply()
    answer = await house.call("POST", f"/endpoints/{added['endpoint_id']}/resume")
    assert (answer.json()["state"], answer.json()["failing_since"]) == ("active", None)
    body = await house.grant(contact="c3")

    async def came() -> bool:
        return body in [one.body for one in receiver.received]

    await house.eventually(came)


async def test_a_receiver_ends_a_message_that_it_never_wants(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(422, {"webhook-delivery": "abort-message"})]
    await house.grant()
    await house.until(added["endpoint_id"], "aborted")
    assert (await house.call("GET", f"/endpoints/{added['endpoint_id']}")).json()["failing_since"] is None


async def test_a_redirect_is_a_failure_and_nobody_follows_it(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    async with Receiver.running() as elsewhere:
        receiver.replies = [Reply(307, {"Location": elsewhere.url})]
        await house.grant()
        await receiver.got(1)

        async def noted() -> bool:
            return bool((await house.deliveries(added["endpoint_id"]))[0]["last_status"] == 307)

        await house.eventually(noted)
        assert elsewhere.received == []


async def test_a_paused_endpoint_keeps_what_is_meant_for_it(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    assert (await house.call("POST", f"/endpoints/{added['endpoint_id']}/pause")).json()["state"] == "paused"
    bodies = [await house.grant(contact=f"c{number}") for number in range(3)]
    await house.until(added["endpoint_id"], "waiting", 3)
    assert receiver.received == []
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/resume")
    assert sorted(one.body for one in await receiver.got(3)) == sorted(bodies)


async def test_a_lane_rests_while_its_endpoint_is_paused_though_much_waits(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url, parallel=1)
    gate = asyncio.Event()
    receiver.always = Reply(after=gate.wait)
    for number in range(3):
        await house.grant(contact=f"c{number}")
    await receiver.got(1)
    await house.until(added["endpoint_id"], "waiting", 3)
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/pause")
    gate.set()
    await house.until(added["endpoint_id"], "delivered")
    lanes = house.context.store.collection(Lane, QU)

    async def free() -> bool:
        lane = await lanes.get(added["endpoint_id"])
        return lane is not None and not lane.holder

    await house.eventually(free)
    lane = await lanes.get(added["endpoint_id"])
    assert lane is not None
    assert lane.due_at is None
    for _ in range(3):
        await _timers(house.deployment)
    again = await lanes.get(added["endpoint_id"])
    assert again is not None
    assert again.version == lane.version
    assert len(receiver.received) == 1
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/resume")
    await receiver.got(3)


async def test_in_order_the_next_event_of_a_journey_waits_and_other_journeys_do_not(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url, ordered=True)
    receiver.replies = [Reply(500)]
    first = await house.grant()
    await receiver.got(1)
    house.clock.advance(timedelta(seconds=1))
    second = await house.publish(house.consent("ConsentChangedV1", scopes=["meet", "record-video", "download"]))
    other = await house.grant(contact="c2")
    assert [one.body for one in await receiver.got(2)] == [first, other]
    await house.until(added["endpoint_id"], "delivered")
    await house.later(timedelta(seconds=6), added["endpoint_id"])
    assert [one.body for one in await receiver.got(4)] == [first, other, first, second]


async def test_not_more_than_so_many_attempts_run_at_once(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url, parallel=2)
    gate = asyncio.Event()
    receiver.always = Reply(after=gate.wait)
    for number in range(5):
        await house.grant(contact=f"c{number}")
    await receiver.got(2)
    assert receiver.connections == 2
    gate.set()
    await receiver.got(5)
    assert receiver.connections == 2  # kept alive, and used again


async def test_a_dead_and_a_hanging_endpoint_hold_up_no_other(house: House, receiver: Receiver) -> None:
    async with Receiver.running() as hanging:
        hanging.always = Reply(after=asyncio.Event().wait)
        await house.add(hanging.url)
        await house.add("http://127.0.0.1:1/nobody")
        await house.add(receiver.url)
        for number in range(20):
            await house.grant(contact=f"c{number}")
        await receiver.got(20)


async def test_however_much_hangs_each_endpoint_has_one_attempt_of_its_own(house: House, receiver: Receiver) -> None:
    dispatch_of(house.context).more_left = 3
    async with Receiver.running() as hanging, Receiver.running() as second:
        for one in (hanging, second):
            one.always = Reply(after=asyncio.Event().wait)
            await house.add(one.url, parallel=8)
        for number in range(10):
            await house.grant(contact=f"c{number}")
        await hanging.got(1)
        await second.got(1)

        async def taken() -> bool:
            return not dispatch_of(house.context).more_left

        await house.eventually(taken)
        assert hanging.connections + second.connections <= 5
        await house.add(receiver.url, parallel=8)
        for number in range(20):
            await house.grant(contact=f"d{number}")
        await receiver.got(20)
        assert receiver.connections == 1


async def test_what_was_not_delivered_when_the_service_ended_goes_out_when_it_is_back(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(500)]
    body = await house.grant()
    await receiver.got(1)

    async def noted() -> bool:
        return bool((await house.deliveries(added["endpoint_id"]))[0]["attempts"])

    await house.eventually(noted)
    lanes = dispatch_of(house.context)
    lanes._held.clear()  # as after a kill: the lease is written down, and nobody works
    house.clock.advance(timedelta(seconds=30))
    await house.deployment.running["webhooks"].timers.look()
    assert [one.body for one in await receiver.got(2)] == [body, body]


async def test_what_cannot_be_noted_on_a_full_disk_is_not_sent_without_end(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = await house.add(receiver.url)
    save, refused = Deliveries.save, asyncio.Event()

    async def full(_self: Deliveries, _delivery: Delivery) -> Delivery:
        refused.set()
        raise NoRoom("the disk is full")

    monkeypatch.setattr(Deliveries, "save", full)
    await house.grant()
    await asyncio.wait_for(refused.wait(), PATIENCE)
    for _ in range(5):
        await house.later(timedelta(seconds=1), added["endpoint_id"])
    assert len(receiver.received) == 1
    monkeypatch.setattr(Deliveries, "save", save)
    await house.later(timedelta(minutes=2), added["endpoint_id"])
    await receiver.got(2)
    await house.until(added["endpoint_id"], "delivered")


async def test_a_test_event_goes_to_its_endpoint_only(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url, event_types=["meeting.finished"])
    async with Receiver.running() as other:
        await house.add(other.url, event_types=["*"])
        assert (await house.call("POST", f"/endpoints/{added['endpoint_id']}/test")).status_code == 202
        (received,) = await receiver.got(1)
        assert json.loads(received.body)["type"] == "firsthand.endpoint.tested.v1"
        await house.grant()

        async def granted() -> bool:
            return any(b"consent.granted" in one.body for one in other.received)

        await house.eventually(granted)
        assert not any(b"endpoint.tested" in one.body for one in other.received)


async def test_one_is_sent_again_and_what_failed_since_is_recovered(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    where = f"/endpoints/{added['endpoint_id']}"
    await house.grant()
    (one,) = await house.until(added["endpoint_id"], "delivered")
    answer = await house.call("POST", f"{where}/deliveries/{one['delivery_id']}/resend")
    assert answer.status_code == 202
    first, again = await receiver.got(2)
    assert first.body == again.body
    await house.until(added["endpoint_id"], "delivered")
    receiver.replies = [Reply(400, {"webhook-delivery": "abort-message"})] * 2
    began = house.clock.now().isoformat()
    for contact in ("c2", "c3"):
        await house.grant(contact=contact)
    await house.until(added["endpoint_id"], "aborted", 2)
    answer = await house.call("POST", f"{where}/recover", json={"since": began})
    assert answer.json() == {"count": 2}
    await receiver.got(6)
    await house.until(added["endpoint_id"], "delivered", 3)


async def test_rotated_secrets_sign_together_for_as_long_as_it_was_chosen(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    rotated = (await house.call("POST", f"/endpoints/{added['endpoint_id']}/rotate", json={"hours": 2})).json()
    assert rotated["secret"] != added["secret"]
    await house.grant()
    (both,) = await receiver.got(1)
    assert [one.partition(",")[0] for one in both.headers["webhook-signature"].split()] == ["v1", "v1", "v1a", "v1a"]
    house.clock.advance(timedelta(hours=2))
    await house.grant(contact="c2")
    _, after = await receiver.got(2)
    assert len(after.headers["webhook-signature"].split()) == 2


async def test_a_delivery_is_forgotten_in_time(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    await house.grant()
    await house.until(added["endpoint_id"], "delivered")
    house.clock.advance(timedelta(days=31))
    await _timers(house.deployment)
    assert await house.deliveries(added["endpoint_id"]) == []


async def _timers(deployment: Deployment) -> None:
    await deployment.running["webhooks"].timers.look()


async def _eventually_told(house: House, subject: str) -> list[Any]:
    found: list[Any] = []

    async def there() -> bool:
        found[:] = await house.told(subject)
        return bool(found)

    await house.eventually(there)
    return found


def _at(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


async def test_what_takes_back_overtakes_whatever_waits(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url, parallel=1)
    gate = asyncio.Event()
    receiver.replies = [Reply(after=gate.wait)]
    for number in range(40):
        await house.grant(contact=f"c{number}")
    await house.until(added["endpoint_id"], "waiting", 40)
    await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c0"))
    await house.until(added["endpoint_id"], "waiting", 41)
    gate.set()
    received = await receiver.got(41)
    assert [one.headers.get("firsthand-answer-to") is not None for one in received].index(True) == 1


async def test_in_order_a_withdrawal_brings_forward_what_happened_before_it(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url, parallel=2, ordered=True)
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/pause")
    contacts = [f"c{number}" for number in range(50)]
    for contact in contacts:
        await house.grant(contact=contact)
    house.clock.advance(timedelta(seconds=1))
    for contact in contacts:
        await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact=contact))

    async def all_wait() -> bool:
        endpoint = await house.call("GET", f"/endpoints/{added['endpoint_id']}")
        return bool(endpoint.json()["deliveries"]["waiting"] == 100)

    await house.eventually(all_wait)
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/resume")
    told = [json.loads(one.body) for one in await receiver.got(100)]
    assert len(told) == 100
    for contact in contacts:
        kinds = [one["type"].split(".")[2] for one in told if one["subject"] == contact]
        assert kinds == ["granted", "withdrawn"]


async def test_deliveries_are_searched_by_state_type_day_event_and_contact(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(status=500)]
    await house.grant(contact="c1")
    await receiver.got(1)
    failing = house.clock.now()
    house.clock.advance(timedelta(seconds=1))
    await house.grant(contact="c2")
    await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c2"))
    await house.until(added["endpoint_id"], "delivered", 2)

    async def found(**asked: str) -> list[tuple[str, str]]:
        items = await house.deliveries(added["endpoint_id"], **asked)
        return [(one["contact_id"], one["event_type"].split(".")[2]) for one in items]

    later = (failing + timedelta(microseconds=1)).isoformat()
    first, second, third = ("c1", "granted"), ("c2", "granted"), ("c2", "withdrawn")
    assert sorted(await found()) == [first, second, third]
    assert await found(event_type="consent.withdrawn") == [third]
    assert sorted(await found(event_type="consent.*", state="delivered")) == [second, third]
    assert sorted(await found(since=later)) == [second, third]
    assert await found(until=later) == [first]
    assert sorted(await found(contact_id="c2")) == [second, third]
    assert await found(contact_id="c2", event_type="firsthand.consent.granted.v1") == [second]
    assert await found(contact_id="c2", state="failed") == []
    (of_event,) = await house.deliveries(added["endpoint_id"], contact_id="c1")
    assert await found(event_id=of_event["event_id"]) == [first]
    assert await found(event_id=of_event["event_id"], since=later) == []
    wrong = await house.call("GET", f"/endpoints/{added['endpoint_id']}/deliveries", params={"event_type": "nothing"})
    assert wrong.status_code == 422
    assert "event_types" in wrong.text


async def test_the_page_searches_by_the_days_of_the_institution_and_says_what_is_wrong(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url)
    await house.grant()
    await house.until(added["endpoint_id"], "delivered")
    page = f"/webhooks/endpoints/{added['endpoint_id']}"
    today = house.clock.now().date().isoformat()

    async def seen(**asked: str) -> str:
        answer = await house.http.get(page, headers=house.staff(), params=asked)
        assert answer.status_code in {200, 422}, answer.text
        return answer.text

    assert "consent.granted.v1</bdi>" in await seen(
        from_day=today, to_day=today, event_type="consent.*", state="delivered"
    )
    assert "Nothing found" in await seen(from_day="2020-01-01", to_day="2020-01-02")
    wrong = await seen(from_day="yesterday")
    assert "Enter a day." in wrong
    assert 'value="yesterday"' in wrong


async def test_metrics_tell_what_waits_by_age_what_became_of_attempts_and_who_owes(
    house: House, receiver: Receiver
) -> None:
    receiver.replies = [Reply(status=500)]
    failing = await house.add(receiver.url)
    other = await house.add(receiver.url, event_types=["meeting.*"])
    await house.call("POST", f"/endpoints/{other['endpoint_id']}/pause")
    await house.grant(contact="c1")
    await house.until(failing["endpoint_id"], "waiting")
    house.clock.advance(timedelta(seconds=4))
    await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c1"))
    await house.until(failing["endpoint_id"], "delivered")
    house.clock.advance(timedelta(hours=2))
    metrics = metrics_of(house.context)
    await metrics.look(house.context)
    text = (await house.http.get("/webhooks/metrics")).text
    for line in (
        'firsthand_webhook_attempts_total{result="status"} 1.0',
        'firsthand_webhook_attempts_total{result="delivered"} 1.0',
        "firsthand_webhook_attempt_seconds_count 2.0",
        'firsthand_webhook_waiting{age="0s"} 1.0',
        'firsthand_webhook_waiting{age="1h"} 1.0',
        'firsthand_webhook_waiting{age="1d"} 0.0',
        'firsthand_webhook_endpoints{state="active"} 1.0',
        'firsthand_webhook_endpoints{state="paused"} 1.0',
        "firsthand_webhook_answers_overdue 0.0",
    ):
        assert line in text
    house.clock.advance(timedelta(days=8))
    await metrics.look(house.context)
    assert "firsthand_webhook_answers_overdue 1.0" in (await house.http.get("/webhooks/metrics")).text


async def test_what_cannot_send_fails_the_attempt_which_is_made_again_in_time(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    added, works = await house.add(receiver.url), lanes._sender

    async def fails(_: object) -> Any:
        raise RuntimeError("no certificates")

    monkeypatch.setattr(lanes, "_sender", fails)
    await house.grant()

    async def tried() -> bool:
        return bool((await house.deliveries(added["endpoint_id"]))[0]["attempts"])

    await house.until(added["endpoint_id"], "waiting")
    await house.eventually(tried)
    (one,) = await house.deliveries(added["endpoint_id"])
    assert (one["attempts"], one["last_error"]) == (1, "internal")
    monkeypatch.setattr(lanes, "_sender", works)
    await house.later(timedelta(seconds=6), added["endpoint_id"])
    await receiver.got(1)
