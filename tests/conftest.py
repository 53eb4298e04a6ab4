"""What holds for all tests."""

import pytest
from _pytest.nodeid import coerce_node_id

pytest_plugins = ["tests.real_servers"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a group on one worker: pytest-xdist 3.8 writes the group where pytest 9.2 no longer reads it."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")
