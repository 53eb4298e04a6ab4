"""The adapters of the storage port. A new one joins the contract suite with one entry of ADAPTERS."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from firsthand.shared.clock import ManualClock
from firsthand.shared.store import Store
from firsthand.shared.store.mongo import MongoStore
from firsthand.shared.store.mongo_client import Driver
from firsthand.shared.store.sqlite import SqliteStore
from tests.real_servers import mongo_drivers

CLOCK = ManualClock(datetime(2026, 3, 1, 9, tzinfo=UTC))

Asked = pytest.FixtureRequest


async def _sqlite(request: Asked) -> Store:
    folder: Path = request.getfixturevalue("tmp_path")
    return await SqliteStore.open(folder / "store.db", CLOCK)


async def _mongo(driver: Driver, request: Asked) -> Store:
    return await MongoStore.open(request.getfixturevalue("mongo_url"), "visits", CLOCK, driver=driver)


ADAPTERS: dict[str, Callable[[Asked], Awaitable[Store]]] = {
    "sqlite": _sqlite,
    **{f"mongo by {driver}": partial(_mongo, driver) for driver in mongo_drivers()},
}


@pytest.fixture(params=ADAPTERS)
async def store(request: Asked) -> AsyncIterator[Store]:
    opened = await ADAPTERS[request.param](request)
    yield opened
    await opened.close()
