"""The times that NATS knows: its server's, those of messages, and the one that an operator confirmed last.

A confirmed time is kept in the metadata of the stream of dead letters: every service may look at that stream, only the
operator may change it, and it is there for a service that starts later (docs/decisions/0018-clocks.md).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nats.aio.client import Client

from firsthand.shared.bus.connection import BusSettings, connected
from firsthand.shared.topology import CLOCK_KEY, DEAD_LETTERS

_ANSWER_WITHIN: Final = 2.0  # seconds


@dataclass(frozen=True)
class Times:
    """What NATS knows of the time; None: nothing."""

    server: datetime | None = None
    newest_message: datetime | None = None
    confirmed: datetime | None = None


class NotConfirmed(Exception):  # noqa: N818 - says what is the case
    """The server did not keep the confirmed time; the message is its reason."""


async def times_of(client: Client, streams: Iterable[str]) -> Times:
    """Ask for the newest message of these streams, and all else. Raises nats.errors.Error or TimeoutError."""
    dead = await _info(client, DEAD_LETTERS)
    told = [await _info(client, stream) for stream in streams]
    newest = [at for info in told if info.get("state", {}).get("last_seq") and (at := _read(info["state"]["last_ts"]))]
    metadata = dead.get("config", {}).get("metadata") or {}
    return Times(_read(dead.get("ts", "")), max(newest, default=None), _read(metadata.get(CLOCK_KEY, "")))


async def confirm(settings: BusSettings, at: datetime) -> None:
    """Let every service know that an operator says that it is `at`. Raises NotConfirmed, NoServer."""
    async with connected(settings) as client:
        config = (await _info(client, DEAD_LETTERS)).get("config")
        if config is None:
            raise NotConfirmed("the topology is not applied")
        config["metadata"] = (config.get("metadata") or {}) | {CLOCK_KEY: at.isoformat()}
        answer = await _ask(client, f"STREAM.UPDATE.{DEAD_LETTERS}", config)
        if error := answer.get("error"):
            raise NotConfirmed(str(error.get("description", error)))


async def _info(client: Client, stream: str) -> dict[str, Any]:
    """What the server knows of a stream. nats-py leaves out the server's time."""
    return await _ask(client, f"STREAM.INFO.{stream}", {})


async def _ask(client: Client, what: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.request(f"$JS.API.{what}", json.dumps(body).encode(), timeout=_ANSWER_WITHIN)
    told: dict[str, Any] = json.loads(answer.data)
    return told


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
