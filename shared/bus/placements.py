"""Which placement stores which institution: two that both store one are refused (docs/decisions/0029-placements.md).

The durables are the truth: their filters name the institutions, and each placement writes only its own and looks at all
others' afterwards, so that of two that are applied at once never both pass. What they say is copied into the metadata
of the stream of dead letters, where every service may read it. A placement runs if anyone asks for the events of its
durables; the server forgets that when the connection goes, however it went.
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
from firsthand.shared.topology import DEAD_LETTERS, DURABLES, PLACEMENT_KEY, STORES_KEY, Placement

EVERY_INSTITUTION: Final = "*"
_COPY_TRIES: Final = 5
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
    stores: set[str] = field(default_factory=set)  # institutions; EVERY_INSTITUTION for all

    @property
    def institutions(self) -> list[str]:
        return [EVERY_INSTITUTION] if EVERY_INSTITUTION in self.stores else sorted(self.stores)


async def consumers(js: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    """List a stream's consumers; none of a stream that is not there."""
    found: list[ConsumerInfo] = []
    try:
        while page := await js.consumers_info(stream, offset=len(found)):
            found += page
    except nats.js.errors.NotFoundError:
        pass
    return found


async def placements_of(js: JetStreamContext) -> dict[str, Recorded]:
    """List the placements by name, as the durables have them. Only the operator may."""
    found: dict[str, Recorded] = {}
    for stream in sorted({*(durable.stream.name for durable in DURABLES), DEAD_LETTERS}):
        for info in await consumers(js, stream):
            name = (info.config.metadata or {}).get(PLACEMENT_KEY)
            if name is None:
                continue
            recorded = found.setdefault(name, Recorded(name))
            recorded.durables.append((stream, info.name))
            recorded.runs = recorded.runs or bool(info.num_waiting)
            if _is_durable(info, name):
                recorded.stores |= _institutions(info)
    return found


def _is_durable(info: ConsumerInfo, placement: str) -> bool:
    """A service may write anything into a consumer of its own; only a durable's name makes it a record."""
    return any(Placement(placement).durable_name(durable) == info.name for durable in DURABLES)


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
        found.append(
            f"The placements {placement.name} and {other.name} both store {spelled(both)}. Only one may. If "
            f"{other.name} has ended, run `firsthand topology remove {other.name}`; otherwise change "
            "FIRSTHAND_INSTITUTIONS of one of them and run `firsthand topology apply` with its settings."
        )
    return found


async def refuse_overlap(js: JetStreamContext, placement: Placement) -> None:
    """Raise PlacementsOverlap when another placement's durables are given an institution of this one."""
    _refuse(placement, await placements_of(js))


async def refuse_recorded_overlap(js: JetStreamContext, placement: Placement) -> None:
    """Do the same by the copy in the metadata, as services may."""
    found = {name: Recorded(name, stores=set(text.split(","))) for name, text in (await _copied(js)).items()}
    _refuse(placement, found)


def _refuse(placement: Placement, there: Mapping[str, Recorded]) -> None:
    if found := overlaps(placement, there):
        raise PlacementsOverlap(" ".join(found))


async def _copied(js: JetStreamContext) -> dict[str, str]:
    try:
        metadata = (await js.stream_info(DEAD_LETTERS)).config.metadata or {}
    except nats.js.errors.NotFoundError:
        return {}
    return {key.removeprefix(STORES_KEY): text for key, text in metadata.items() if key.startswith(STORES_KEY)}


async def is_copied(js: JetStreamContext) -> bool:
    """Whether the metadata say what the durables say."""
    return await _copied(js) == _texts(await placements_of(js))


def _texts(there: Mapping[str, Recorded]) -> dict[str, str]:
    return {one.name: ",".join(one.institutions) for one in there.values() if one.institutions}


async def copy(js: JetStreamContext) -> bool:
    """Write into the metadata what the durables say; returns whether it had to be changed.

    Another operator may write at the same time. Whoever writes last looks once more, so that the copy is right.
    """
    for attempt in range(_COPY_TRIES):
        if await is_copied(js):
            return attempt > 0
        config = (await js.stream_info(DEAD_LETTERS)).config
        kept = {key: text for key, text in (config.metadata or {}).items() if not key.startswith(STORES_KEY)}
        texts = _texts(await placements_of(js))
        config.metadata = kept | {f"{STORES_KEY}{name}": text for name, text in texts.items()}
        await js.update_stream(config)
    return True


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
        await copy(js)
    return [f"removed the durable {name} of the ended placement {ended.name}" for _, name in now.durables]
