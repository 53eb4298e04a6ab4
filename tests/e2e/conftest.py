"""Whole systems to play the chain in. One is shared by all tests that leave it running."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from tests.e2e.system import System, all_in_one, apart

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The shared system's process belongs to one event loop, so all tests of this folder run on it."""
    for item in items:
        if _HERE in item.path.parents and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """`firsthand up`, shared: never killed or stopped by a test."""
    async with all_in_one(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def own_system(tmp_path: Path) -> AsyncIterator[System]:
    """`firsthand up` for one test, which may kill it."""
    async with all_in_one(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def services(tmp_path: Path) -> AsyncIterator[System]:
    """The services apart, for one test, which may kill them."""
    async with apart(tmp_path) as running:
        yield running
