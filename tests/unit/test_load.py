"""A process that stays behind puts bulk work off, one that pauses once does not, and it comes back by itself."""

import asyncio

from firsthand.shared.load import LOOP, Load
from firsthand.shared.metrics import Metrics
from tests.patience import PATIENCE


class Behind:
    """Something that may be behind."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def looked(load: Load, times: int, *, late: float = 0.0) -> bool:
    for _ in range(times):
        load.look(late=late)
    return load.strained


def test_bulk_work_is_put_off_while_something_stays_too_far_behind() -> None:
    load, outbox = Load(), Behind()
    load.watch("outbox", outbox, 0.5)
    outbox.seconds = 0.5
    assert not looked(load, 10)
    outbox.seconds = 0.6
    assert not looked(load, 1)
    assert looked(load, 1)
    outbox.seconds = 0.1
    assert looked(load, 1)
    assert not looked(load, 1)


def test_one_pause_puts_nothing_off() -> None:
    load = Load()
    assert not looked(load, 1, late=3.0)
    assert not looked(load, 1)
    assert not looked(load, 1, late=3.0)


def test_a_slow_event_loop_counts() -> None:
    load = Load()
    assert looked(load, 2, late=0.11)


async def test_a_process_looks_by_itself_and_what_waits_for_calm_goes_on_then() -> None:
    load, writer = Load(), Behind()
    load.watch("writer", writer, 0.25)
    writer.seconds = 1.0
    looking = asyncio.create_task(load.run())
    async with asyncio.timeout(PATIENCE):
        while not load.strained:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(load.calm(within=PATIENCE))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        writer.seconds = 0.0
        await waiting
    assert not load.strained
    looking.cancel()


async def test_what_waits_for_calm_does_not_wait_without_end() -> None:
    load = Load()
    looked(load, 2, late=1.0)
    async with asyncio.timeout(PATIENCE):
        await load.calm(within=0.05)
    assert load.strained


def test_metrics_tell_how_far_each_measure_is_behind() -> None:
    load, outbox, metrics = Load(), Behind(), Metrics("consent")
    load.watch("outbox of consent", outbox, 0.5)
    metrics.measure_load(load.names, lambda: load.behind)
    outbox.seconds = 1.0
    load.look(late=0.05)
    rendered = metrics.render().decode()
    assert 'firsthand_behind{measure="outbox of consent",service="consent"} 2.0' in rendered
    assert f'firsthand_behind{{measure="{LOOP}",service="consent"}} 0.5' in rendered
    metrics.shed()
    assert 'firsthand_shed_total{service="consent"} 1.0' in metrics.render().decode()
