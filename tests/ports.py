"""Ports for servers that are started a moment later, or again, at an address that somebody has been given already."""

import os
import random
import socket
from itertools import cycle, islice
from typing import Final

# Below those that the system gives to whoever asks for any: between looking and listening one of these would be gone
# to another server or an outgoing connection now and then. Each worker of a test run has a part to itself.
_FIRST: Final = 20_000
_EACH: Final = 1_500
_WORKERS: Final = 8


def _part() -> "cycle[int]":
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    ports = range(_FIRST + worker * _EACH, _FIRST + (worker + 1) * _EACH)
    start = random.randrange(_EACH)  # two runs on one machine rarely walk side by side
    return cycle([*ports[start:], *ports[:start]])


_PORTS: Final = _part()


def free_port() -> int:
    """Give a port of loopback on which nobody listens, each time another one."""
    for port in islice(_PORTS, _EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port of this worker's part is taken")
