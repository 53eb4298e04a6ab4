"""Chains of FFmpeg's filters."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from av.filter import Graph

Step = tuple[Any, Any]  # where it is entered, and where it is left


def link(filters: Sequence[Any]) -> Step:
    """Link filters, one after the other, to a step of a chain."""
    for before, after in pairwise(filters):
        before.link_to(after)
    return filters[0], filters[-1]


def ready(graph: Graph, steps: Sequence[Any]) -> Graph:
    """Link filters, and steps of several, one after the other."""
    for before, after in pairwise(one if isinstance(one, tuple) else (one, one) for one in steps):
        before[1].link_to(after[0])
    graph.configure()
    return graph


def pulled(graph: Graph, frame: Any) -> Iterator[Any]:
    """What comes of a frame; of None, what was still in the chain."""
    graph.push(frame)
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return
