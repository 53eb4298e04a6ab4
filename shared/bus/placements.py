"""Which placement stores which institution, as the server's durables record it: two that both store one are refused.

A placement is recorded when the topology is applied for it, by the filters of its durables, and stays recorded until it
is removed. Each placement writes only records of its own and looks at all others' afterwards, so that of two which are
applied at the same time never both pass. It runs if anyone asks for the events of its durables; the server forgets that
when the connection goes, however it went (docs/decisions/00XX-placements.md).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo

from firsthand.shared.bus.connection import BusSettings, connected
from firsthand.shared.settings import CannotStart
from firsthand.shared.topology import DEAD_LETTERS, DURABLES, PLACEMENT_KEY, Durable, Placement

EVERY_INSTITUTION: Final = "*"
_ASKED_AGAIN: Final = 1.5  # seconds between two looks at whether a placement runs: services reconnect within one


class PlacementsOverlap(CannotStart):
    """Another placement stores the same institution; the message says which, and what to do."""


class PlacementRuns(Exception):  # noqa: N818 - says what is the case
    """A placement that still runs is not removed."""


@dataclass
class Recorded:
    """A placement as the server knows it."""

    name: str
    runs: bool = False
    durables: list[tuple[str, str]] = field(default_factory=list)  # stream and name
    stores: dict[str, set[str]] = field(default_factory=dict)  # service -> institutions

    @property
    def institutions(self) -> list[str]:
        return sorted({one for institutions in self.stores.values() for one in institutions})


async def consumers(js: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    """List a stream's consumers; none of a stream that is not there."""
    found: list[ConsumerInfo] = []
    try:
        while page := await js.consumers_info(stream, offset=len(found)):
            found += page
    except nats.js.errors.NotFoundError:
        pass
    return found


async def placements_of(js: JetStreamContext, *, service: str = "") -> dict[str, Recorded]:
    """List the placements that the server records, by name; by the durables of one service, or of all."""
    durables = [durable for durable in DURABLES if service in {"", durable.service}]
    streams = {durable.stream.name for durable in durables} | (set() if service else {DEAD_LETTERS})
    found: dict[str, Recorded] = {}
    for stream in sorted(streams):
        for info in await consumers(js, stream):
            name = (info.config.metadata or {}).get(PLACEMENT_KEY)
            if name is None:
                continue
            ours = _durable_of(info, name, durables)
            if service and ours is None:
                continue
            recorded = found.setdefault(name, Recorded(name))
            recorded.durables.append((stream, info.name))
            recorded.runs = recorded.runs or bool(info.num_waiting)
            if ours:
                recorded.stores.setdefault(ours.service, set()).update(_institutions(info))
    return found


def _durable_of(info: ConsumerInfo, placement: str, durables: Iterable[Durable]) -> Durable | None:
    """A service may write anything into a consumer of its own; only a durable's name makes it a record."""
    return next((one for one in durables if Placement(placement).durable_name(one) == info.name), None)


def _institutions(info: ConsumerInfo) -> set[str]:
    filters = info.config.filter_subjects or ([info.config.filter_subject] if info.config.filter_subject else [])
    return {subject.split(".")[2] for subject in filters if subject.count(".") > 2}  # noqa: PLR2004 - fh.v1.<it>.


def shared_institutions(one: Iterable[str], another: Iterable[str]) -> list[str]:
    """Tell which institutions both store; `*` when both store every one."""
    first, second = set(one), set(another)
    if EVERY_INSTITUTION in first:
        return sorted(second)
    return sorted(first if EVERY_INSTITUTION in second else first & second)


def spelled(institutions: Iterable[str]) -> str:
    return ", ".join("all institutions" if one == EVERY_INSTITUTION else one for one in institutions)


def overlaps(placement: Placement, recorded: Mapping[str, Recorded]) -> list[str]:
    """Tell in sentences, for operators, which other placements store institutions of this one."""
    ours = placement.institutions or (EVERY_INSTITUTION,)
    found = []
    for other in recorded.values():
        both = shared_institutions(ours, other.institutions)
        if other.name == placement.name or not both:
            continue
        state = "runs" if other.runs else "does not run now"
        found.append(
            f"The placements {placement.name} and {other.name} both store {spelled(both)}; {other.name} {state}. Only "
            f"one may. If {other.name} has ended, run `firsthand topology remove {other.name}`; otherwise change "
            "FIRSTHAND_INSTITUTIONS of one of them and run `firsthand topology apply` with its settings."
        )
    return found


async def refuse_overlap(js: JetStreamContext, placement: Placement, *, service: str = "") -> None:
    """Raise PlacementsOverlap when another placement stores an institution of this one."""
    if found := overlaps(placement, await placements_of(js, service=service)):
        raise PlacementsOverlap(" ".join(found))


async def recorded(settings: BusSettings) -> list[Recorded]:
    """List all placements. Looks twice where one does not run, as its services may just be connecting again."""
    async with connected(settings) as client:
        js = client.jetstream()
        found = await placements_of(js)
        if not all(one.runs for one in found.values()):
            await asyncio.sleep(_ASKED_AGAIN)
            for name, again in (await placements_of(js)).items():
                if name in found:
                    found[name].runs = found[name].runs or again.runs
    return [one for _, one in sorted(found.items())]


async def remove(settings: BusSettings, ended: Recorded) -> list[str]:
    """Remove what a placement left on the server; returns a line for each durable. Raises PlacementRuns.

    Nothing is lost: the events stay, and a placement of that name that is applied again is given all of them.
    """
    async with connected(settings) as client:
        js = client.jetstream()
        now = (await placements_of(js)).get(ended.name)
        if now is None:
            return []
        if now.runs or ended.runs:
            raise PlacementRuns(f"The placement {ended.name} runs. Stop its services first.")
        for stream, name in now.durables:
            await js.delete_consumer(stream, name)
    return [f"removed the durable {name} of the ended placement {ended.name}" for _, name in now.durables]
