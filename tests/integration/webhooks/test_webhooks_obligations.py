"""Whoever was sent something of a contact is asked what they did with it, once the family takes something back."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from firsthand.shared.events import AnyEvent
from tests.integration.webhooks.house import AKL, House
from tests.receiver import Received, Receiver, Reply

ASKS = "firsthand-answer-to"


async def asked(house: House, receiver: Receiver, count: int) -> Received:
    """Wait for so many requests; give the last one, which asks."""
    last = (await receiver.got(count))[count - 1]
    assert ASKS in last.headers, last
    return last


async def answer(house: House, request: Received, body: dict[str, Any]) -> Any:
    return await house.http.post(urlsplit(request.headers[ASKS]).path, json=body)


async def owed(house: House) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await house.call("GET", "/obligations")).json()["items"]
    return items


async def withdraw(house: House, contact: str = "c1") -> bytes:
    return await house.publish(house.consent("ConsentWithdrawnV1", "withdrawn", contact))


async def test_a_withdrawal_asks_everybody_who_was_sent_something_also_who_does_not_hear_withdrawals(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url, event_types=["consent.granted"])
    async with Receiver.running() as other:
        await house.add(other.url, event_types=["meeting.*"], name="Register")
        await house.grant()
        first = (await receiver.got(1))[0]
        assert ASKS not in first.headers
        body = await withdraw(house)
        request = await asked(house, receiver, 2)
        assert request.body == body
        (one,) = await owed(house)
        assert (one["contact_id"], one["reference"]) == ("c1", "CLP-c1")
        (obligation,) = one["obligations"]
        assert (obligation["consumer"], obligation["because"], obligation["answer"]) == (
            "Learning platform",
            "withdrawn",
            None,
        )
        told = await answer(house, request, {"answer": "deleted", "reference": "DP-17"})
        assert told.status_code == 200, told.text
        assert await owed(house) == []
        (whole,) = (await house.call("GET", "/obligations/c1")).json()["obligations"]
        assert (whole["answer"], whole["reference"], whole["by"]) == ("deleted", "DP-17", "")
        assert whole["endpoint_id"] == added["endpoint_id"]
        assert other.received == []  # it was never sent anything of this contact


async def test_consent_is_told_who_was_asked_and_what_they_answered(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url)
    await house.grant()
    await receiver.got(1)
    await withdraw(house)
    request = await asked(house, receiver, 2)
    await answer(house, request, {"answer": "restricted"})
    told: list[AnyEvent] = []

    async def both() -> bool:
        told[:] = await house.told("obligation.opened") + await house.told("obligation.answered")
        return len(told) == 2

    await house.eventually(both)
    assert [[(one.consumer, one.answer) for one in event.data.obligations] for event in told] == [
        [("Learning platform", None)],
        [("Learning platform", "restricted")],
    ]
    assert told[0].sequence < told[1].sequence
    assert told[1].data.contact.reference == "CLP-c1"


@pytest.mark.parametrize("scopes", [["meet"], []])
async def test_narrowing_asks_and_allowing_it_again_lifts_what_is_not_answered(
    house: House, receiver: Receiver, scopes: list[str]
) -> None:
    await house.add(receiver.url)
    await house.grant()
    await receiver.got(1)
    state = "granted" if scopes else "paused"
    await house.publish(house.consent("ConsentChangedV1", state, scopes=scopes))
    await asked(house, receiver, 2)
    assert (await owed(house))[0]["obligations"][0]["because"] == "narrowed"
    await house.publish(house.consent("ConsentChangedV1"))

    async def lifted() -> bool:
        return await owed(house) == []

    await house.eventually(lifted)
    (one,) = (await house.call("GET", "/obligations/c1")).json()["obligations"]
    assert one["lifted_at"] is not None
    await house.publish(house.consent("ConsentChangedV1", scopes=["meet"]))
    await asked(house, receiver, 4)
    assert len(await owed(house)) == 1


async def test_widening_asks_nobody(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url)
    await house.grant()
    await receiver.got(1)
    await house.publish(house.consent("ConsentChangedV1", scopes=["meet", "record-video", "download"]))
    assert ASKS not in (await receiver.got(2))[1].headers
    assert await owed(house) == []


async def test_an_erasure_asks_again_unless_it_was_deleted_and_takes_what_was_kept(
    house: House, receiver: Receiver
) -> None:
    added = await house.add(receiver.url)
    receiver.replies = [Reply(body=b"canary-of-the-receiver")]
    await house.grant()
    await receiver.got(1)
    await withdraw(house)
    request = await asked(house, receiver, 2)
    await answer(house, request, {"answer": "restricted"})
    await house.until(added["endpoint_id"], "delivered", 2)
    await house.publish(house.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1"))
    request = await asked(house, receiver, 3)
    assert (await owed(house))[0]["obligations"][0]["because"] == "erased"
    told: list[AnyEvent] = []

    async def erased() -> bool:
        told[:] = await house.told("webhooks.erased")
        return bool(told)

    await house.eventually(erased)
    assert (told[0].data.erasure_id, told[0].data.erased, told[0].data.out_of_reach) == (
        "e1",
        ["deliveries"],
        ["delivered-events"],
    )
    kept = await house.deliveries(added["endpoint_id"])
    assert [one["event_type"] for one in kept] == ["firsthand.erasure.requested.v1"]
    files = house.context.settings.databases.glob("webhooks.db*")
    assert not any(b"canary-of-the-receiver" in path.read_bytes() for path in files)
    assert (await answer(house, request, {"answer": "deleted"})).status_code == 200
    await withdraw(house)  # a later question finds nothing left to ask about
    await receiver.got(4)
    assert await owed(house) == []


async def test_what_arrives_late_of_a_withdrawn_contact_asks_its_receiver_too(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url)
    async with Receiver.running() as late:
        await house.add(late.url, event_types=["invitation.*"], name="Register")
        await house.grant()
        await receiver.got(1)
        await withdraw(house)
        await asked(house, receiver, 2)
        await house.publish(house.consent("InvitationAnsweredV1", "withdrawn"))
        await asked(house, late, 1)
        (one,) = await owed(house)
        assert {obligation["consumer"] for obligation in one["obligations"]} == {"Learning platform", "Register"}


async def test_nobody_answers_for_another_contact_endpoint_or_institution(house: House, receiver: Receiver) -> None:
    await house.add(receiver.url)
    for contact, count in (("c1", 2), ("c2", 4)):
        await house.grant(contact)
        await receiver.got(count - 1)
        await withdraw(house, contact)
        await receiver.got(count)
    requests = [one for one in receiver.received if ASKS in one.headers]
    path = urlsplit(requests[0].headers[ASKS]).path
    other = urlsplit(requests[1].headers[ASKS]).path
    parts, others = path.split("/"), other.split("/")
    wrong = [
        "/".join([*parts[:-1], others[-1]]),
        "/".join([*parts[:-1], "0" * 64]),
        path.replace("/qu-cdm/", "/akl-dent/"),
        "/".join([*parts[:-2], "0" * 24, parts[-1]]),
    ]
    for one in wrong:
        assert (await house.http.post(one, json={"answer": "deleted"})).status_code == 404, one
    assert (await house.http.post(path, json={"answer": "perhaps"})).status_code == 422
    assert len(await owed(house)) == 2
    assert (await house.call("GET", "/obligations", institution=AKL)).json()["items"] == []
    assert (await house.call("GET", "/obligations/c1", institution=AKL)).status_code == 404


async def test_a_coordinator_answers_for_a_consumer_and_is_named(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    await house.grant()
    await receiver.got(1)
    await withdraw(house)
    await receiver.got(2)
    path = f"/obligations/c1/{added['endpoint_id']}"
    answered = await house.call("PUT", path, json={"answer": "not-held", "reference": "told by phone"})
    assert (answered.json()["by"], answered.json()["answer"]) == ("coord1", "not-held")
    assert await owed(house) == []


async def test_a_removed_endpoint_still_owes_and_keeps_its_name(house: House, receiver: Receiver) -> None:
    added = await house.add(receiver.url)
    await house.grant()
    await receiver.got(1)
    assert (await house.call("DELETE", f"/endpoints/{added['endpoint_id']}")).status_code == 204
    await withdraw(house)

    async def there() -> bool:
        return bool(await owed(house))

    await house.eventually(there)
    (one,) = await owed(house)
    assert one["obligations"][0]["consumer"] == "Learning platform"
    house.clock.advance(timedelta(seconds=1))
    assert len(receiver.received) == 1
