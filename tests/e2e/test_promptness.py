"""Under more load than the system takes, a withdrawal still reaches its players, and what can wait is put off."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from bench.withdraw import loading, percentile, released, sound, withdraw
from firsthand.example import journey as play
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import address_of
from tests.e2e.system import all_in_one, unique
from tests.patience import PATIENCE

PLAYERS = 4
WITHDRAWALS = 16
CHAINS_AT_ONCE = 3000  # begun and not yet finished: some fifteen seconds of work


async def put_off(school: play.School) -> bool:
    """Whether an import was answered with 429."""
    metrics = await school.tutor.send("GET", "/discovery/metrics")
    return 'firsthand_shed_total{service="discovery"} 0.0' not in metrics.text


@pytest.mark.promise
async def test_withdrawals_reach_players_within_a_second_under_load_and_bulk_work_is_put_off(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        system = await stack.enter_async_context(all_in_one(tmp_path))
        nats_url = address_of(system.data / "nats")
        assert nats_url
        school = await stack.enter_async_context(
            play.school(system.url, system.keys, SystemClock(), unique("playing-dental"), active_contacts_a_case=500)
        )
        await play.open_case(school)
        watched = await released(school, PLAYERS, sound(40), stack)
        for one in watched:
            await one.begin()
        load = await stack.enter_async_context(loading(system.url, nats_url, CHAINS_AT_ONCE))
        await load.begin(school)
        async with asyncio.timeout(PATIENCE):
            while not await put_off(school):  # noqa: ASYNC110 - what is waited for is told over HTTP
                await asyncio.sleep(0.05)
        found = await withdraw(watched, WITHDRAWALS, every=0.15)
        for one in watched:
            if one.player:
                await one.player.close()
        assert (await load.end())["chains"] > 0
        health = await school.tutor.send("GET", "/consent/readyz")
    ended = [end for _, _, end in found]
    assert percentile(ended, 1.0) < 1000, sorted(ended)
    assert json.loads(health.content)["problems"] == []
