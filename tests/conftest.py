"""What holds for all tests."""

import sys
from pathlib import Path

import pytest
from _pytest.nodeid import coerce_node_id
from hypothesis import HealthCheck, settings

_HERE = Path(__file__).parent
for name in ("example", "services", "shared"):  # a string that names one would load modules a second time
    sys.modules[name] = None  # type: ignore[assignment]
pytest_plugins = ["tests.real_servers"]
# How long an example takes, or its making, says how busy the machine is.
settings.register_profile("firsthand", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("firsthand")


_LONG_ONES = ("browser", "e2e", "integration")  # in this order, so that no worker begins a long one at the end


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests come in an order drawn anew each time (pytest-randomly prints its seed), the kinds that take long first."""
    kinds = {kind: place for place, kind in enumerate(_LONG_ONES)}
    items.sort(key=lambda item: kinds.get(item.path.relative_to(_HERE).parts[0], len(kinds)))
    _keep_groups(config, items)


def _keep_groups(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a group on one worker: pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")
