"""Whole systems to play the chain in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.system import System, all_in_one, apart


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """`firsthand up`."""
    async with all_in_one(tmp_path) as running:
        yield running


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[System]:
    """The services apart."""
    async with apart(tmp_path) as running:
        yield running
