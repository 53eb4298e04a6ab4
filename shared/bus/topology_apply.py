"""Brings a server to the topology's table, and tells how it differs. Services never do this when they start alone.

A durable whose filter grows (an institution joins a placement) is made anew and begins at the stream's beginning: for
the institutions that it had, every event is given again and changes nothing, since effects are idempotent by sequence.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from firsthand.shared.bus.connection import BusSettings, connected
from firsthand.shared.bus.placements import PlacementsOverlap, consumers, copy, is_copied, refuse_overlap
from firsthand.shared.topology import (
    ACK_WAIT,
    CLOCK_KEY,
    DEAD_LETTERS,
    DEAD_LETTERS_MAX_AGE,
    DUPLICATE_WINDOW,
    DURABLES,
    MAX_ACK_PENDING,
    PLACEMENT_KEY,
    STORES_KEY,
    STREAMS,
    VERSION,
    VERSION_KEY,
    Placement,
    replay_durable,
    replay_subject,
)

_BATCHES = "atomic batches"
_BATCHES_SINCE = (2, 12)  # of nats-server
_INDIFFERENT = ("replicas", _BATCHES)  # to a service; without batches it publishes one by one
_CREATED = "created the durable"
_REMEDY = "Run `firsthand topology apply`."


@dataclass(frozen=True)
class WantedDurable:
    """A durable as it should be."""

    service: str
    stream: str
    name: str
    filter_subjects: tuple[str, ...]


def wanted_durables(placement: Placement) -> Iterator[WantedDurable]:
    """Go through the durables of a placement: every handler's, and one a service for its replays."""
    for durable in DURABLES:
        subjects = placement.filter_subjects(durable)
        yield WantedDurable(durable.service, durable.stream.name, placement.durable_name(durable), subjects)
    for service in sorted({durable.service for durable in DURABLES}):
        subjects = (replay_subject(placement.name, service, "*"),)
        yield WantedDurable(service, DEAD_LETTERS, replay_durable(placement.name, service), subjects)


def _stream_configs(replicas: int) -> Iterator[StreamConfig]:
    tables = [(s.name, s.subjects, s.max_age, s.duplicate_window) for s in STREAMS.values()]
    tables.append((DEAD_LETTERS, ("fh.dead.>", "fh.replay.>"), DEAD_LETTERS_MAX_AGE, DUPLICATE_WINDOW))
    for name, subjects, max_age, duplicate_window in tables:
        yield StreamConfig(
            name=name,
            subjects=sorted(subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=max_age.total_seconds(),
            duplicate_window=duplicate_window.total_seconds(),
            num_replicas=replicas,
            allow_direct=True,
            allow_atomic=True,
            deny_delete=False,
            metadata={VERSION_KEY: str(VERSION)},
        )


def _consumer_config(wanted: WantedDurable, placement: Placement) -> ConsumerConfig:
    return ConsumerConfig(
        name=wanted.name,
        durable_name=wanted.name,
        filter_subjects=list(wanted.filter_subjects),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT.total_seconds(),
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
        metadata={VERSION_KEY: str(VERSION), PLACEMENT_KEY: placement.name},
    )


async def apply(settings: BusSettings) -> list[str]:
    """Create and change what is needed; returns a line for each change, none when all is as it should be.

    Raises PlacementsOverlap, without a change, when another placement stores the same institutions.
    """
    changes: list[str] = []
    async with connected(settings) as client:
        js = client.jetstream()
        await refuse_overlap(js, settings.placement)
        for config in _stream_configs(settings.replicas):
            changes += await _apply_stream(js, config)
        created: list[WantedDurable] = []
        for wanted in wanted_durables(settings.placement):
            done = await _apply_durable(js, wanted, settings.placement)
            created += [wanted] if done[:1] == [f"{_CREATED} {wanted.name}"] else []
            changes += done
        if created:
            await _refuse_overlap_again(js, settings.placement, created)
        async for stream, name in _unwanted(js, settings.placement):
            await js.delete_consumer(stream, name)
            changes.append(f"removed the durable {name}, which no handler uses any more")
        if await copy(js):
            changes.append("recorded which placement stores which institutions")
    return changes


async def _refuse_overlap_again(js: JetStreamContext, placement: Placement, created: list[WantedDurable]) -> None:
    """Look once more now that this placement is recorded: of two that are applied at once, each sees the other."""
    try:
        await refuse_overlap(js, placement)
    except PlacementsOverlap:
        for wanted in created:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await js.delete_consumer(wanted.stream, wanted.name)
        raise


async def drift(settings: BusSettings) -> list[str]:
    """Tell in plain sentences how the server differs from the table; empty when it agrees."""
    async with connected(settings) as client:
        js = client.jetstream()
        found = await differences(js, settings.placement, replicas=settings.replicas)
        async for _, name in _unwanted(js, settings.placement):
            found.append(f"The durable {name} is used by no handler any more. {_REMEDY}")
        if not found and not await is_copied(js):
            found.append(f"It is not recorded which placement stores which institutions. {_REMEDY}")
    return found


async def differences(
    js: JetStreamContext, placement: Placement, *, service: str | None = None, replicas: int | None = None
) -> list[str]:
    """Tell how the server differs in what one service needs, or in all of it. `replicas` None: any number will do, and
    so will a stream that takes no batches.
    """
    durables = [wanted for wanted in wanted_durables(placement) if service in {None, wanted.service}]
    needed = {wanted.stream for wanted in durables} | {s.name for s in STREAMS.values() if service in {None, s.service}}
    found: list[str] = []
    absent: set[str] = set()
    for config in _stream_configs(replicas or 1):
        if config.name not in needed:
            continue
        try:
            there = (await js.stream_info(str(config.name))).config
        except nats.js.errors.NotFoundError:
            found.append(f"The stream {config.name} is missing. {_REMEDY}")
            absent.add(str(config.name))
            continue
        odd = _stream_differences(config, there, batches=_knows_batches(js))
        if service and _is_newer(there.metadata):
            continue
        for indifferent in _INDIFFERENT if replicas is None else ():
            odd.pop(indifferent, None)
        found += [f"The stream {config.name} has {what}. {_REMEDY}" for what in odd.values()]
    for wanted in durables:
        if wanted.stream in absent:
            continue
        try:
            info = await js.consumer_info(wanted.stream, wanted.name)
        except nats.js.errors.NotFoundError:
            found.append(f"The durable {wanted.name} is missing. {_REMEDY}")
            continue
        if service and _is_newer(info.config.metadata):
            continue
        odd = _durable_differences(_consumer_config(wanted, placement), info.config)
        found += [f"The durable {wanted.name} has {what}. {_REMEDY}" for what in odd.values()]
    return found


def _is_newer(metadata: Mapping[str, str] | None) -> bool:
    """Whether a newer release brought it to its own table: a service of this one goes on with what it finds."""
    version = (metadata or {}).get(VERSION_KEY, "")
    return version.isdecimal() and int(version) > VERSION


def _knows_batches(js: JetStreamContext) -> bool:
    """Whether the server has atomic batches; an older one ignores that a stream should take them, and never says so."""
    version = js._nc.connected_server_version  # noqa: SLF001 - a context gives its connection in no other way
    return (version.major, version.minor) >= _BATCHES_SINCE


def _stream_differences(config: StreamConfig, there: StreamConfig, *, batches: bool) -> dict[str, str]:
    """Name what differs, each with a phrase of the form `subjects a, b instead of c`.

    `batches`: the server has them.
    """
    return _differences(
        {
            "subjects": (", ".join(sorted(config.subjects or [])), ", ".join(sorted(there.subjects or []))),
            "age": (config.max_age, there.max_age),
            "duplicate window": (config.duplicate_window, there.duplicate_window),
            "retention": (_text(config.retention), _text(there.retention)),
            "storage": (_text(config.storage), _text(there.storage)),
            "replicas": (config.num_replicas, there.num_replicas),
            "direct reading": (config.allow_direct, there.allow_direct),
            _BATCHES: (config.allow_atomic and batches, bool(there.allow_atomic)),
            "topology version": (str(VERSION), (there.metadata or {}).get(VERSION_KEY, "none")),
        }
    )


def _durable_differences(config: ConsumerConfig, there: ConsumerConfig) -> dict[str, str]:
    return _differences(
        {
            "subjects": (", ".join(sorted(config.filter_subjects or [])), ", ".join(sorted(_filters(there)))),
            "start": (_text(config.deliver_policy), _text(there.deliver_policy)),
            "acknowledging": (_text(config.ack_policy), _text(there.ack_policy)),
            "patience": (config.ack_wait, there.ack_wait),
            "deliveries": (config.max_deliver, there.max_deliver),
            "events in work": (config.max_ack_pending, there.max_ack_pending),
            "topology version": (str(VERSION), (there.metadata or {}).get(VERSION_KEY, "none")),
        }
    )


def _differences(fields: dict[str, tuple[object, object]]) -> dict[str, str]:
    return {name: f"{name} {there} instead of {wanted}" for name, (wanted, there) in fields.items() if wanted != there}


def _text(value: object) -> str:
    return str(getattr(value, "value", value))


def _filters(config: ConsumerConfig) -> list[str]:
    return list(config.filter_subjects or ([config.filter_subject] if config.filter_subject else []))


async def _apply_stream(js: JetStreamContext, config: StreamConfig) -> list[str]:
    try:
        there = (await js.stream_info(str(config.name))).config
    except nats.js.errors.NotFoundError:
        await js.add_stream(config)
        return [f"created the stream {config.name}"]
    odd = _stream_differences(config, there, batches=_knows_batches(js))
    if odd:
        kept = {
            key: value
            for key, value in (there.metadata or {}).items()
            if key == CLOCK_KEY or key.startswith(STORES_KEY)
        }
        config.metadata = kept | (config.metadata or {})
        await js.update_stream(config)
    return [f"changed the stream {config.name}: {what}" for what in odd.values()]


async def _apply_durable(js: JetStreamContext, wanted: WantedDurable, placement: Placement) -> list[str]:
    config = _consumer_config(wanted, placement)
    try:
        there = (await js.consumer_info(wanted.stream, wanted.name)).config
    except nats.js.errors.NotFoundError:
        await js.add_consumer(wanted.stream, config)
        return [f"{_CREATED} {wanted.name}"]
    odd = _durable_differences(config, there)
    if not odd:
        return []
    if set(wanted.filter_subjects) - set(_filters(there)) or odd.keys() & {"start", "acknowledging"}:
        await js.delete_consumer(wanted.stream, wanted.name)
        await js.add_consumer(wanted.stream, config)
        return [f"made the durable {wanted.name} anew from the beginning: {'; '.join(odd.values())}"]
    await js.add_consumer(wanted.stream, config)
    return [f"changed the durable {wanted.name}: {what}" for what in odd.values()]


async def _unwanted(js: JetStreamContext, placement: Placement) -> AsyncIterator[tuple[str, str]]:
    """Go through (stream, name) of durables that this placement once had and that no handler uses now."""
    wanted = {(durable.stream, durable.name) for durable in wanted_durables(placement)}
    for stream in sorted({*(s.name for s in STREAMS.values()), DEAD_LETTERS}):
        for info in await consumers(js, stream):
            ours = (info.config.metadata or {}).get(PLACEMENT_KEY) == placement.name
            if ours and (stream, info.name) not in wanted:
                yield stream, info.name
