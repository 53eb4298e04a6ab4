"""Events that are published as one atomic batch: all or none, once, in order, whatever happens around the commit."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from firsthand.shared.bus import BusSettings, batches
from firsthand.shared.bus.batches import BATCH_FROM, Publisher
from firsthand.shared.bus.topology_apply import apply, drift
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import parse_event
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.store import OutboxEntry
from firsthand.shared.topology import STREAMS
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.real_servers import old_nats_servers

STREAM = STREAMS["portal"].name
SLUG = InstitutionId("qu-cdm")
LOG = logging.getLogger("firsthand.portal")
MANY = 4 * BATCH_FROM


def entry(number: int) -> OutboxEntry:
    event = InstitutionChangedV1.record(
        institution=SLUG,
        subject=SLUG,
        sequence=number,
        at=SystemClock().now(),
        actor="system",
        data=InstitutionState(slug=SLUG, name="A School", country="QA", zone="Asia/Qatar", languages=["en"]),
    )
    return OutboxEntry("institution", SLUG, SLUG, event.id, event.nats_subject, event.wire(), event.time)


def entries(count: int = MANY, first: int = 1) -> list[OutboxEntry]:
    return [entry(number) for number in range(first, first + count)]


@contextlib.asynccontextmanager
async def connected(url: str, **options: int) -> AsyncIterator[tuple[Client, Publisher]]:
    """A connection as the bus has it, with its publisher."""
    publishers: list[Publisher] = []

    async def lost() -> None:
        for publisher in publishers:
            publisher.disconnected()

    async def ignore(_error: Exception) -> None:
        """The server is away: the test knows."""

    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.02, disconnected_cb=lost, error_cb=ignore
    )
    publishers.append(Publisher(client, STREAM, LOG, **options))
    yield client, publishers[0]
    await client.close()


@pytest.fixture
async def client_and_publisher(bus_settings: BusSettings) -> AsyncIterator[tuple[Client, Publisher]]:
    async with connected(bus_settings.url) as both:
        yield both


async def stored(client: Client) -> list[int]:
    """The sequences of the events in the stream, in its order."""
    js = client.jetstream()
    state = (await js.stream_info(STREAM)).state
    found = [await js.get_msg(STREAM, seq=number) for number in range(1, state.last_seq + 1)]
    return [parse_event(message.data or b"").sequence for message in found]


async def in_a_batch(client: Client, number: int) -> bool:
    headers = (await client.jetstream().get_msg(STREAM, seq=number)).headers or {}
    return "Nats-Batch-Id" in headers


async def until_published(publisher: Publisher, left: list[OutboxEntry]) -> None:
    """As the relay does: again what was not acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while left:
            sequences = await publisher.publish(left)
            left = [one for one, sequence in zip(left, sequences, strict=True) if sequence is None]
            await asyncio.sleep(0.01)


async def test_many_go_as_one_batch_in_their_order_and_each_with_its_place(
    client_and_publisher: tuple[Client, Publisher],
) -> None:
    client, publisher = client_and_publisher
    assert await publisher.publish(entries(BATCH_FROM)) == list(range(1, BATCH_FROM + 1))
    assert await publisher.publish(entries(MANY, first=BATCH_FROM + 1)) == list(
        range(BATCH_FROM + 1, BATCH_FROM + MANY + 1)
    )
    assert await stored(client) == list(range(1, BATCH_FROM + MANY + 1))
    assert await in_a_batch(client, 1)


async def test_few_go_singly_because_a_batch_has_its_price(client_and_publisher: tuple[Client, Publisher]) -> None:
    client, publisher = client_and_publisher
    assert await publisher.publish(entries(BATCH_FROM - 1)) == list(range(1, BATCH_FROM))
    assert not await in_a_batch(client, 1)


async def test_a_batch_with_a_known_event_goes_singly_and_nothing_is_stored_twice(
    client_and_publisher: tuple[Client, Publisher],
) -> None:
    client, publisher = client_and_publisher
    all_of_them = entries()
    assert await publisher.publish(all_of_them[5:6]) == [1]
    sequences = await publisher.publish(all_of_them)
    assert sequences == [2, 3, 4, 5, 6, 1, *range(7, MANY + 1)]
    assert await stored(client) == [6, *range(1, 6), *range(7, MANY + 1)]


async def test_after_a_refusal_others_go_singly_for_a_while(
    client_and_publisher: tuple[Client, Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, publisher = client_and_publisher
    known = entries()
    await publisher.publish(known)
    await publisher.publish(known)
    await publisher.publish(entries(first=MANY + 1))
    assert not await in_a_batch(client, MANY + 1)
    monkeypatch.setattr(publisher, "_apart_until", time.monotonic())
    await publisher.publish(entries(first=2 * MANY + 1))
    assert await in_a_batch(client, 2 * MANY + 1)


async def test_what_is_refused_one_by_one_is_known_at_once(
    client_and_publisher: tuple[Client, Publisher], caplog: pytest.LogCaptureFixture
) -> None:
    client, publisher = client_and_publisher
    await client.jetstream().update_stream(
        StreamConfig(name=STREAM, subjects=list(STREAMS["portal"].subjects), max_msg_size=10)
    )
    async with asyncio.timeout(1):
        assert await publisher.publish(entries(2)) == [None, None]
    assert "the server refuses events" in caplog.text


async def test_a_stream_that_takes_no_batches_gets_singles_until_the_topology_is_applied(
    bus_settings: BusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(bus_settings.url) as (client, publisher):
        js = client.jetstream()
        config = (await js.stream_info(STREAM)).config
        config.allow_atomic = False
        await js.update_stream(config)
        assert f"The stream {STREAM} has atomic batches False instead of True" in "".join(await drift(bus_settings))
        assert await publisher.publish(entries()) == list(range(1, MANY + 1))
        assert not await in_a_batch(client, 1)
        assert f"changed the stream {STREAM}: atomic batches False instead of True" in await apply(bus_settings)
        monkeypatch.setattr(batches, "_LOOK_AGAIN", 0.0)
        assert await publisher.publish(entries(first=MANY + 1)) == list(range(MANY + 1, 2 * MANY + 1))
        assert await in_a_batch(client, MANY + 1)
        assert await drift(bus_settings) == []


async def test_no_answer_means_unknown_and_what_went_then_is_stored_once(
    nats_server: EmbeddedNats, client_and_publisher: tuple[Client, Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, publisher = client_and_publisher
    await publisher.publish(entries())  # it knows now that the stream takes batches
    assert nats_server.pid
    monkeypatch.setattr(batches, "_WITHIN", 0.2)
    late = entries(first=MANY + 1)
    os.kill(nats_server.pid, signal.SIGSTOP)
    try:
        assert await publisher.publish(late) == [None] * MANY
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)
    monkeypatch.setattr(batches, "_WITHIN", PATIENCE)
    assert await publisher.publish(late) == list(range(MANY + 1, 2 * MANY + 1))
    assert await stored(client) == list(range(1, 2 * MANY + 1))


async def test_an_answer_that_cannot_come_any_more_is_not_waited_for(
    nats_server: EmbeddedNats, client_and_publisher: tuple[Client, Publisher]
) -> None:
    _, publisher = client_and_publisher
    await publisher.publish(entries())
    assert nats_server.pid
    os.kill(nats_server.pid, signal.SIGSTOP)
    publishing = asyncio.create_task(publisher.publish(entries(first=MANY + 1)))
    while not publisher._waiting:  # noqa: ASYNC110 - until the commit is sent
        await asyncio.sleep(0)
    await nats_server.kill()
    async with asyncio.timeout(batches._WITHIN / 2):
        assert await publishing == [None] * MANY


@pytest.mark.parametrize("after", range(12))
async def test_a_batch_is_stored_whole_or_not_at_all_whenever_the_server_is_killed(
    nats_server: EmbeddedNats, client_and_publisher: tuple[Client, Publisher], after: int
) -> None:
    _, publisher = client_and_publisher
    await publisher.publish(entries())
    assert nats_server.pid
    late = entries(256, first=MANY + 1)
    publishing = asyncio.create_task(publisher.publish(late))
    await asyncio.sleep(after * 0.001)  # a batch of so many takes about 8 ms
    await nats_server.kill()
    acknowledged = await publishing
    await nats_server.start()
    async with connected(nats_server.url) as (looking, _):
        before = await stored(looking)
        assert before in (list(range(1, MANY + 1)), list(range(1, MANY + 256 + 1)))
        assert acknowledged == [None] * 256 or len(before) == MANY + 256
        await until_published(publisher, late)
        assert await stored(looking) == list(range(1, MANY + 256 + 1))


async def test_two_that_publish_the_same_at_once_store_it_once_and_in_order(bus_settings: BusSettings) -> None:
    async with connected(bus_settings.url) as (client, one), connected(bus_settings.url) as (_, other):
        same = entries(256)
        first, second = await asyncio.gather(one.publish(same), other.publish(same))
        assert first == second == list(range(1, 257))
        assert await stored(client) == list(range(1, 257))


@pytest.mark.parametrize("program", old_nats_servers(), ids=lambda program: program.parent.name)
async def test_servers_that_have_no_batches_get_singles_and_their_topology_agrees(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firsthand.shared.embedded_nats.binary", lambda: program)
    server = EmbeddedNats(tmp_path / "nats", free_port())
    await server.start()
    try:
        settings = BusSettings(url=server.url)
        assert await apply(settings)
        assert await drift(settings) == []
        assert await apply(settings) == []
        async with connected(server.url) as (client, publisher):
            assert await publisher.publish(entries()) == list(range(1, MANY + 1))
            assert await stored(client) == list(range(1, MANY + 1))
            assert not await in_a_batch(client, 1)
    finally:
        await server.kill()
