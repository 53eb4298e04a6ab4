"""What arrives is verified and read by libraries that are not ours, in two languages."""

import asyncio
import json
import os
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from tests.integration.webhooks.house import House
from tests.patience import PATIENCE
from tests.real_servers import NODE_PEERS_SETTING
from tests.receiver import Received, Receiver

PEERS = os.environ.get(NODE_PEERS_SETTING, "")


async def arrived(house: House, receiver: Receiver) -> tuple[dict[str, Any], Received]:
    added = await house.add(receiver.url)
    await house.grant()
    (one,) = await receiver.got(1)
    return added, one


async def test_the_cloudevents_sdk_of_python_reads_it(house_of_today: House, receiver: Receiver) -> None:
    _, one = await arrived(house_of_today, receiver)
    read = from_structured_event(HTTPMessage(one.headers, one.body))
    assert read.get_id() == one.headers["webhook-id"]
    assert (read.get_type(), read.get_subject()) == ("firsthand.consent.granted.v1", "c1")


@pytest.mark.skipif(not PEERS, reason=f"not run: {NODE_PEERS_SETTING} names no readers in JavaScript (.ci/node-peers)")
async def test_libraries_of_javascript_verify_both_signatures_and_read_it(
    house_of_today: House, receiver: Receiver
) -> None:
    added, one = await arrived(house_of_today, receiver)
    given = {"headers": one.headers, "secret": added["secret"], "publicKey": added["public_key"]}

    async def read(body: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            "node", f"{PEERS}/check.mjs", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate(json.dumps(given | {"body": body}).encode())
        found: dict[str, Any] = json.loads(said)
        return found

    seen = await read(one.body.decode())
    assert (seen["standardwebhooks"], seen["svix"], seen["asymmetric"]) == (True, True, True)
    assert seen["event"]["valid"]
    assert seen["event"]["id"] == one.headers["webhook-id"]
    assert seen["event"]["data"] == json.loads(one.body)["data"]
    forged = await read(one.body.decode().replace("record-video", "record-audio"))
    assert (forged["standardwebhooks"], forged["svix"], forged["asymmetric"]) == (False, False, False)
