"""Webhooks while the service is killed at any instant, again and again: every event arrives, and is noted.

`FIRSTHAND_SOAK_SEED` says when the kills come.
"""

import asyncio
import contextlib
import os
import random
from pathlib import Path

import httpx
import nats
import pytest

from firsthand.services.webhooks.app import SERVICE
from firsthand.services.webhooks.handlers.endpoints import Wanted, add_endpoint
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events.consent import ConsentGrantedV1
from firsthand.shared.events.examples import example_of
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer, Staff
from firsthand.shared.settings import Settings
from tests.e2e.system import Program
from tests.ports import free_port
from tests.receiver import Receiver, Reply
from tests.soak.test_kills import SEED

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

_EVENTS, _KILLS = 300, 6
_LEASE_ENDS = 20.0  # seconds; the lane of a killed process is free after 15
OAK = InstitutionId("oak-dental")
STAFF = Staff(institution=OAK, person_id="coord1", roles=frozenset({"coordinator"}), cohorts=frozenset())


async def test_kills_at_any_instant_lose_no_event(tmp_path: Path) -> None:
    chance, clock, port = random.Random(SEED), SystemClock(), free_port()
    server = EmbeddedNats(tmp_path / "nats", free_port())
    await server.start()
    await apply(BusSettings(url=server.url))
    settings = Settings(data=tmp_path / "data", nats_url=server.url)
    async with Receiver.running() as receiver:
        receiver.always = Reply(after=lambda: asyncio.sleep(0.01))
        wanted = Wanted(url=receiver.url, event_types=["consent.*"], parallel=4)
        async with Deployment.started(settings, [SERVICE], clock=clock, create_keys=True) as deployment:
            endpoint = (await add_endpoint(deployment.contexts["webhooks"], STAFF, wanted)).endpoint
        program = Program(
            ("serve", "webhooks"),
            os.environ
            | {
                "FIRSTHAND_DATA": str(tmp_path / "data"),
                "FIRSTHAND_NATS_URL": server.url,
                "FIRSTHAND_PORT": str(port),
            },
            f"http://127.0.0.1:{port}/webhooks/readyz",
            tmp_path / "log",
        )
        client = await nats.connect(server.url)
        sent = set()
        for number in range(_EVENTS):
            event = ConsentGrantedV1.record(
                institution=OAK, subject=f"c{number}", sequence=5, at=clock.now(), actor="family",
                data=example_of(ConsentGrantedV1).data,
            )  # fmt: skip
            await client.jetstream().publish(event.nats_subject, event.wire())
            sent.add(event.id)
        await client.close()
        for _ in range(_KILLS):
            await program.start()
            with contextlib.suppress(TimeoutError):  # all have arrived
                async with asyncio.timeout(_LEASE_ENDS):
                    await receiver.got(len(receiver.received) + chance.randrange(1, _EVENTS // _KILLS))
            await asyncio.sleep(chance.uniform(0, 0.05))
            await program.kill()
        await program.start()
        issuer = SessionIssuer(Keys.load(settings.key_folder).signing, clock)
        token = issuer.staff(OAK, "coord1", roles=frozenset({"coordinator"}))
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http, asyncio.timeout(120):
            while True:
                told = await http.get(f"http://127.0.0.1:{port}/webhooks/api/v1/endpoints/{endpoint.id}")
                if told.json()["deliveries"]["delivered"] == _EVENTS:
                    break
                await asyncio.sleep(0.2)
        await program.stop()
        arrived = [one.headers["webhook-id"] for one in receiver.received]
        print(f"webhooks: {_KILLS} kills, {len(arrived) - len(sent)} of {len(sent)} arrived twice (seed {SEED})")  # noqa: T201
        assert set(arrived) == sent
    await server.stop()
