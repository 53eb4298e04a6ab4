"""A cluster of three NATS servers that keep each stream three times: one of them may die at any instant."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from firsthand.example import journey as play
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.connection import NoServer, connected
from tests.e2e.system import ServerWithUsers, apart
from tests.ports import free_port
from tests.soak.test_kills import MINUTES, SEED, nothing_doubled_and_nothing_left, one_chain

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


class Member(ServerWithUsers):
    """One server of the cluster."""

    def __init__(self, folder: Path, conf: Path, routes: list[int], number: int) -> None:
        super().__init__(folder, conf)
        self._routes = routes
        self._number = number

    def _config(self) -> dict[str, Any]:
        routes = [f"nats-route://127.0.0.1:{port}" for port in self._routes]
        listen = f"127.0.0.1:{self._routes[self._number]}"
        cluster = {"name": "soak", "listen": listen, "routes": routes}
        return super()._config() | {"server_name": f"member-{self._number}", "cluster": cluster}


class Cluster:
    """Three of them, for `apart`."""

    def __init__(self, folder: Path, conf: Path) -> None:
        routes = [free_port() for _ in range(3)]
        self.members = [Member(folder / str(number), conf, routes, number) for number in range(3)]

    @property
    def url(self) -> str:
        return ",".join(member.url for member in self.members)

    async def start(self) -> str:
        await asyncio.gather(*(member.start() for member in self.members))
        await self.agreed()
        return self.url

    async def agreed(self) -> None:
        """Wait until they have a leader who would make a stream of three."""
        async with asyncio.timeout(60):
            while True:
                try:
                    async with connected(BusSettings(url=self.url)) as client:
                        await client.jetstream().account_info()
                        return
                except (nats.errors.Error, OSError, NoServer):
                    await asyncio.sleep(0.2)

    async def stop(self) -> None:
        await asyncio.gather(*(member.stop() for member in self.members))


async def clear_again(school: play.School, lead: str) -> play.Journey:
    """ "The institution's rules have not arrived yet", when a durable has just lost its leader."""
    journey: play.Journey = await play.eventually("the contact", lambda: play.clear(school, lead))
    return journey


async def test_chains_go_on_while_one_server_of_the_cluster_after_the_other_is_killed(tmp_path: Path) -> None:
    chance, calm, until = random.Random(SEED), asyncio.Lock(), time.monotonic() + MINUTES * 60
    async with apart(tmp_path, servers=Cluster, stream_replicas=3) as system:
        assert isinstance(system.nats, Cluster)
        members = system.nats.members
        watches = [asyncio.create_task(member.supervise()) for member in members]
        played = killed = 0

        async def kill_in_turn() -> int:
            killed = 0
            while time.monotonic() < until:
                await asyncio.sleep(chance.uniform(2, 6))  # a member that came back catches up meanwhile
                async with calm:
                    if pid := chance.choice(members).pid:
                        os.kill(pid, signal.SIGKILL)  # its supervisor starts it again
                        killed += 1
                    await asyncio.gather(*(program.until_ready() for program in system.programs.values()))
            return killed

        async with asyncio.TaskGroup() as group:
            killing = group.create_task(kill_in_turn())
            while time.monotonic() < until:
                await asyncio.gather(*(one_chain(system, played + number, calm, clear_again) for number in range(2)))
                played += 2
        killed = killing.result()
        await nothing_doubled_and_nothing_left(system.nats.url)
        for watch in watches:
            watch.cancel()
    print(f"{played} chains, {killed} kills")  # noqa: T201
    assert played
    assert killed
