"""An endpoint that was added later is sent what happened, out of the streams, and nobody's who took it back."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from firsthand.services.webhooks.app import SERVICE
from firsthand.services.webhooks.model.replay import LEASE, Replay
from firsthand.shared.timers import Timers
from tests.integration.webhooks.house import AKL, QU, House
from tests.receiver import Receiver, Reply


async def replayed(house: House, endpoint_id: str, state: str = "done", **asked: Any) -> dict[str, Any]:
    """Ask for a replay of the last hour, and wait for its end."""
    body = {"since": (house.clock.now() - timedelta(hours=1)).isoformat()} | asked
    begun = await house.call("POST", f"/endpoints/{endpoint_id}/replay", json=body)
    assert begun.status_code == 202, begun.text
    return await told(house, endpoint_id, state)


async def told(house: House, endpoint_id: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update((await house.call("GET", f"/endpoints/{endpoint_id}/replay")).json())
        return bool(found["state"] == state)

    await house.eventually(there)
    return found


async def follow(house: House, *contacts: str) -> None:
    """Wait until what was told so far is taken: an endpoint that hears all of it has it."""
    async with Receiver.running() as receiver:
        added = await house.add(receiver.url)
        for contact in contacts:
            await house.grant(contact=contact)
        await receiver.got(len(contacts))
        await house.call("DELETE", f"/endpoints/{added['endpoint_id']}")


async def test_who_is_added_later_is_sent_what_happened_and_of_nobody_who_took_it_back(
    house: House, receiver: Receiver
) -> None:
    long_ago = await house.grant(contact="c0")
    house.clock.advance(timedelta(hours=2))
    granted = [await house.grant(contact=f"c{number}") for number in range(1, 6)]
    await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c2"))
    await house.publish(house.consent("ConsentDeclinedV1", state="declined", contact="c3"))
    await house.publish(house.consent("ErasureRequestedV1", state="erased", contact="c4", erasure_id="e4"))
    narrowed = await house.publish(house.consent("ConsentChangedV1", contact="c5", scopes=["meet"]))
    await house.grant(contact="c9", institution=AKL)
    await follow(house, "c10")
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url)
    done = await replayed(house, added["endpoint_id"])
    bodies = {one.body for one in await receiver.got(4)}
    assert {granted[0], granted[4], narrowed} < bodies
    assert long_ago not in bodies
    assert {one["contact_id"] for one in await house.deliveries(added["endpoint_id"])} == {"c1", "c5", "c10"}
    assert done["found"] == 4
    owing = await house.call("GET", "/obligations")
    assert "c5" not in {one["contact_id"] for one in owing.json()["items"]}, "it learned of it after it was narrowed"
    await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c1"))
    assert "firsthand-answer-to" in (await receiver.got(5))[-1].headers


async def test_what_is_in_the_log_already_is_not_sent_twice(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    await house.grant(contact="c1")
    await house.until(added["endpoint_id"], "delivered")
    house.clock.advance(timedelta(minutes=1))
    assert (await replayed(house, added["endpoint_id"]))["found"] == 0
    assert len(receiver.received) == 1


async def test_what_is_past_waits_for_what_happens_and_is_dropped_when_it_is_stopped(
    house: House, receiver: Receiver
) -> None:
    for number in range(40):
        await house.grant(contact=f"c{number}")
    await follow(house, "d")
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url, parallel=1)
    gate = asyncio.Event()
    receiver.replies = [Reply(after=gate.wait)]
    assert (await replayed(house, added["endpoint_id"]))["found"] == 41
    await receiver.got(1)
    now = await house.publish(house.consent("ConsentDeclinedV1", state="declined", contact="now"))
    await house.until(added["endpoint_id"], "waiting", 42)
    stopped = await house.call("DELETE", f"/endpoints/{added['endpoint_id']}/replay")
    assert stopped.status_code == 204
    gate.set()
    assert [one.body for one in (await receiver.got(2))[1:]] == [now]

    async def nothing_waits() -> bool:
        return not await house.deliveries(added["endpoint_id"], state="waiting")

    await house.eventually(nothing_waits)
    assert len(receiver.received) == 2


async def test_a_withdrawal_drops_what_still_waits_of_the_past_and_is_told_itself(
    house: House, receiver: Receiver
) -> None:
    granted = {contact: await house.grant(contact=contact) for contact in ("c1", "c2")}
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url)
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/pause")
    assert (await replayed(house, added["endpoint_id"]))["found"] == 2
    withdrawn = await house.publish(house.consent("ConsentWithdrawnV1", state="withdrawn", contact="c1"))

    async def past_is_dropped() -> bool:
        waiting = await house.deliveries(added["endpoint_id"], state="waiting")
        return {one["event_type"] for one in waiting if one["contact_id"] == "c1"} == {"firsthand.consent.withdrawn.v1"}

    await house.eventually(past_is_dropped)
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/resume")
    assert [one.body for one in await receiver.got(2)] == [withdrawn, granted["c2"]]


async def test_a_replay_whose_reader_is_gone_is_read_by_the_next(house: House, receiver: Receiver) -> None:
    for number in range(10):
        await house.grant(contact=f"c{number}")
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url)
    kept = house.context.store.collection(Replay, QU)
    await kept.insert(
        Replay(
            id=added["endpoint_id"], institution=QU, since=house.clock.now() - timedelta(days=1),
            until=house.clock.now(), due_at=house.clock.now() + LEASE,
        )
    )  # fmt: skip
    house.clock.advance(LEASE)
    await Timers(house.context, {Replay: SERVICE.timers[Replay]}).look()
    assert (await told(house, added["endpoint_id"], "done"))["found"] == 10
    await receiver.got(10)


async def test_the_service_is_ready_while_a_replay_is_read(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    await house.grant(contact="c1")
    await house.until(added["endpoint_id"], "delivered")
    house.clock.advance(timedelta(minutes=1))
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def hear(_event: object, _sequence: int) -> None:
        reading.set()
        await go_on.wait()

    bus = house.context.bus
    read = asyncio.create_task(bus.read("replay_consents", hear, unreadable=hear, since="all"))
    await reading.wait()
    assert await bus.problems() == []
    go_on.set()
    await read


async def test_a_replay_ends_when_its_endpoint_is_removed_or_disabled(house: House, receiver: Receiver) -> None:
    await house.grant(contact="c1")
    house.clock.advance(timedelta(minutes=1))
    receiver.always = Reply(status=410)
    added = await house.add(receiver.url)
    await replayed(house, added["endpoint_id"])
    await house.eventually(lambda: is_disabled(house, added["endpoint_id"]))
    refused = await house.call(
        "POST", f"/endpoints/{added['endpoint_id']}/replay", json={"since": "2026-11-20T00:00:00Z"}
    )
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("not-active")
    await house.call("DELETE", f"/endpoints/{added['endpoint_id']}")
    assert await house.context.store.collection(Replay, QU).get(added["endpoint_id"]) is None


async def is_disabled(house: House, endpoint_id: str) -> bool:
    return bool((await house.call("GET", f"/endpoints/{endpoint_id}")).json()["state"] == "disabled")


async def test_a_time_to_come_is_refused_and_others_find_nothing(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    path = f"/endpoints/{added['endpoint_id']}/replay"
    later = {"since": (house.clock.now() + timedelta(days=1)).isoformat()}
    wrong = await house.call("POST", path, json=later)
    assert wrong.status_code == 422
    assert "has passed" in wrong.text
    assert (await house.call("GET", path)).status_code == 404
    for method in ("GET", "POST", "DELETE"):
        more = {"json": later} if method == "POST" else {}
        assert (await house.call(method, path, institution=AKL, **more)).status_code == 404


async def test_the_page_sends_past_events_and_says_how_it_went(house: House, receiver: Receiver) -> None:
    await house.grant(contact="c1")
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url)
    page = f"/webhooks/endpoints/{added['endpoint_id']}"

    async def posted(since: str) -> str:
        headers = house.staff() | {"Origin": "http://127.0.0.1:8080"}
        answer = await house.http.post(
            f"{page}/replay", headers=headers, data={"past_since": since}, follow_redirects=True
        )
        return answer.text

    for wrong in ("soon", "0001-01-01T00:30", "9999-12-31T23:59", ""):
        assert "Enter a day and a time." in await posted(wrong)
    await posted("2026-11-26T00:00")
    await receiver.got(1)
    await told(house, added["endpoint_id"], "done")
    assert "Last time: from" in (await house.http.get(page, headers=house.staff())).text


async def test_nothing_is_sent_of_a_contact_whose_consent_only_a_newer_release_understands(
    house: House, receiver: Receiver
) -> None:
    for contact in ("c1", "c2", "c3"):
        await house.grant(contact=contact)
    newer = json.loads(house.consent("ConsentChangedV1", contact="c2").wire())
    newer |= {"id": "newer", "type": "firsthand.consent.handed-over.v2"}
    await house.nats.jetstream().publish("fh.v1.qu-cdm.consent.handed-over", json.dumps(newer).encode())
    await house.publish(house.consent("ConsentChangedV1", state="suspended", contact="c3"))
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url)
    assert (await replayed(house, added["endpoint_id"]))["found"] == 1
    assert {one["contact_id"] for one in await house.deliveries(added["endpoint_id"])} == {"c1"}


async def test_what_is_kept_while_it_is_stopped_goes_too_and_the_next_one_begins_at_once(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await house.grant(contact=f"c{number}")
    house.clock.advance(timedelta(minutes=1))
    added = await house.add(receiver.url, event_types=["consent.*"])
    await house.call("POST", f"/endpoints/{added['endpoint_id']}/pause")
    reading, go_on, read = asyncio.Event(), asyncio.Event(), house.context.bus.read

    async def held(name: str, *given: Any, **more: Any) -> None:
        await read(name, *given, **more)
        if name == "replay_events":
            reading.set()
            await go_on.wait()

    monkeypatch.setattr(house.context.bus, "read", held)
    path = f"/endpoints/{added['endpoint_id']}/replay"
    since = {"since": (house.clock.now() - timedelta(hours=1)).isoformat()}
    assert (await house.call("POST", path, json=since)).status_code == 202
    await reading.wait()
    assert (await house.call("DELETE", path)).status_code == 204
    go_on.set()
    house.clock.advance(timedelta(seconds=1))
    assert (await replayed(house, added["endpoint_id"]))["found"] == 3
    assert len(await house.deliveries(added["endpoint_id"], state="waiting")) == 3
