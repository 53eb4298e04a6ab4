"""The one top-level package that is installed. What is in it stands in the folders beside this one."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Final

_NATS: Final = "nats.aio.transport"


class _NatsWithoutAiohttp(MetaPathFinder):
    """Let nats-py go without aiohttp, which it imports for WebSockets where it is installed: 12 MB in each process.

    Only webhooks make use of aiohttp, once one is sent (`services/webhooks/sending.py`).
    """

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name == "aiohttp" and _NATS in sys.modules and not hasattr(sys.modules[_NATS], "WebSocketTransport"):
            raise ModuleNotFoundError(name)
        return None


sys.meta_path.insert(0, _NatsWithoutAiohttp())
