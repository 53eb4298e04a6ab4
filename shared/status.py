"""How a replica of a service is, as it answers the operator: what readiness says, and what only it can look up.

The operator asks on one subject of core NATS, and every replica answers on its service's, which nobody else may publish
on (docs/decisions/0027-doctor-asks.md). Nothing in an answer is personal.
"""

import asyncio
import contextlib
import importlib.metadata
import os
import secrets
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel, Field, ValidationError

from firsthand.shared.bus import Bus
from firsthand.shared.settings import Settings
from firsthand.shared.topology import STATUS_QUESTION, status_answer

COUNTED_UP_TO: Final = 256  # waiting events
_THERE_WITHIN: Final = 1.0  # seconds for a replica to say that it is there
_NEXT_WITHIN: Final = 0.2  # ... and for a further replica, once every service has one
_ANSWER_WITHIN: Final = 8.0  # seconds; a replica looks at its stores and at NATS, and may wait for each


class DiskStatus(BaseModel):
    """The room where a folder lies, in bytes."""

    folder: str
    device: int
    free: int
    total: int


class ClockStatus(BaseModel):
    """A service's clock, as `trusted_clock.Reading` has it."""

    now: datetime
    sure: datetime
    state: str
    sentence: str = ""


class Status(BaseModel):
    """How one replica is. A field that a newer release adds has a default, so that each release reads the others."""

    service: str
    version: str = ""
    host: str = ""
    placement: str = ""
    problems: list[str] = Field(default_factory=list)
    impaired: list[str] = Field(default_factory=list)
    clock: ClockStatus | None = None
    drift: list[str] | None = None  # of indexes and kept counts; None: not known
    waiting: int | None = None  # events that wait to be published, counted up to COUNTED_UP_TO; None: not known
    waiting_since: datetime | None = None
    disks: list[DiskStatus] = Field(default_factory=list)


class Answer(BaseModel):
    """What a replica sends: first that it is there, then its status."""

    question: str
    replica: str
    status: Status | None = None


@dataclass
class Asked:
    """What came of asking."""

    statuses: list[Status] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)  # services with a replica that is there and did not finish

    def of(self, service: str) -> list[Status]:
        return [one for one in self.statuses if one.service == service]


def version() -> str:
    return importlib.metadata.version("firsthand")


def host() -> str:
    return socket.gethostname()


def disks_of(settings: Settings) -> list[DiskStatus]:
    """Measure the room of every folder that is written to; a device that holds several is named once."""
    found: dict[int, DiskStatus] = {}
    for folder in (settings.data, settings.databases, settings.media, settings.key_folder, settings.nats):
        nearest = _nearest(folder)
        device = nearest.stat().st_dev
        if device not in found:
            usage = shutil.disk_usage(nearest)
            found[device] = DiskStatus(folder=str(folder), device=device, free=usage.free, total=usage.total)
    return list(found.values())


def _nearest(folder: Path) -> Path:
    """A folder that is not there yet will be made where its nearest parent lies."""
    return next(one for one in (folder, *folder.absolute().parents) if one.is_dir())


async def answer_the_operator(bus: Bus, status: Callable[[], Awaitable[Status]]) -> None:
    """Answer whenever the operator asks, until the bus stops: at once that this replica is there, then how it is."""
    replica = f"{host()}-{os.getpid()}-{id(bus):x}"

    async def reply(question: bytes) -> None:
        try:
            asked = Answer(question=question.decode(), replica=replica)
        except (UnicodeDecodeError, ValidationError):
            return
        subject = status_answer(bus.service)
        await bus.beat(subject, asked.model_dump_json().encode())
        asked.status = await status()
        await bus.beat(subject, asked.model_dump_json().encode())

    await bus.on_beat(STATUS_QUESTION, reply)


async def ask_over(client: Client, services: Sequence[str]) -> Asked:
    """Ask every replica over one connection to NATS, of a user that may. Raises nats.errors.Error, TimeoutError."""
    there: dict[str, Answer] = {}
    service_of: dict[str, str] = {}
    changed = asyncio.Event()
    question = secrets.token_hex(8)

    async def note(message: Msg) -> None:
        with contextlib.suppress(ValidationError):
            answer = Answer.model_validate_json(message.data)
            if answer.question == question:
                service = message.subject.rpartition(".")[2]  # the server lets no other service publish on it
                if answer.status:
                    answer.status.service = service
                replica = f"{service} {answer.replica}"
                there[replica], service_of[replica] = answer, service
                changed.set()

    async def until(seconds: float, finished: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not finished() and (left := deadline - time.monotonic()) > 0:
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()

    subscription = await client.subscribe(status_answer("*"), cb=note)
    try:
        await client.publish(STATUS_QUESTION, question.encode())
        await client.flush()
        await until(_THERE_WITHIN, lambda: set(services) <= set(service_of.values()))
        await until(_NEXT_WITHIN, lambda: False)
        await until(_ANSWER_WITHIN, lambda: all(answer.status for answer in there.values()))
    finally:
        await subscription.unsubscribe()
    return Asked(
        [answer.status for _, answer in sorted(there.items()) if answer.status],
        sorted({service_of[replica] for replica, answer in there.items() if not answer.status}),
    )


__all__ = [
    "COUNTED_UP_TO",
    "Answer",
    "Asked",
    "ClockStatus",
    "DiskStatus",
    "Status",
    "answer_the_operator",
    "ask_over",
    "disks_of",
    "host",
    "version",
]
