"""The adapters of the storage port. A new one joins the contract suite with one entry of ADAPTERS."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.clock import ManualClock
from shared.store import Store
from shared.store.sqlite import SqliteStore

CLOCK = ManualClock(datetime(2026, 3, 1, 9, tzinfo=UTC))


async def _sqlite(folder: Path) -> Store:
    return await SqliteStore.open(folder / "store.db", CLOCK)


ADAPTERS: dict[str, Callable[[Path], Awaitable[Store]]] = {"sqlite": _sqlite}


@pytest.fixture(params=ADAPTERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await ADAPTERS[request.param](tmp_path)
    yield opened
    await opened.close()
