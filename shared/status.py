"""How a replica of a service is, as it answers the operator: what readiness says, and what only it can look up.

The operator asks on one subject of core NATS, and every replica answers on its service's, which nobody else may publish
on (docs/decisions/0027-doctor-asks.md). Nothing in an answer is personal.
"""

import importlib.metadata
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from firsthand.shared.bus import Bus
from firsthand.shared.settings import Settings
from firsthand.shared.topology import STATUS_QUESTION, status_answer

COUNTED_UP_TO: Final = 256  # waiting events


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


__all__ = [
    "COUNTED_UP_TO",
    "Answer",
    "ClockStatus",
    "DiskStatus",
    "Status",
    "answer_the_operator",
    "disks_of",
    "host",
    "version",
]
