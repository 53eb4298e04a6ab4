"""What the bus promises, on a real nats-server."""

import asyncio
import errno
import io
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import nats
import pytest

from firsthand.shared import topology
from firsthand.shared.bus import Bus, BusSettings, Hopeless, NotBound, Transient, topology_apply
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.dead_letters import DeadLetter, DeadLetters, NoSuchDeadLetter
from firsthand.shared.bus.placements import Recorded, remove
from firsthand.shared.bus.topology_apply import apply, drift
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events import AnyEvent, Envelope
from firsthand.shared.events.discovery import CaseChangedV1, CaseState
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.metrics import Metrics
from firsthand.shared.store import AlreadyExists, Conflict, NoRoom, OutboxEntry, StoreUnavailable
from firsthand.shared.topology import DEAD_LETTERS, STREAMS, Durable, Placement, durables_of
from firsthand.shared.tracing import within
from firsthand.shared.web.logging import JsonLines
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.real_servers import NatsServer

pytestmark = pytest.mark.usefixtures("institutions_heard")

HANDLER = "keep_institution"
DURABLE = "consent_keep_institution_all"
STREAM = STREAMS["portal"].name
INSTITUTION = InstitutionId("qu-cdm")

Call = Callable[[AnyEvent], Awaitable[None]]


async def ignore(_event: AnyEvent) -> None:
    """Take an event that this test is not about."""


async def ignore_it(_event: Envelope, _sequence: int) -> None:
    """Hear an event that this test is not about."""


@asynccontextmanager
async def running(service: str, settings: BusSettings, call: Call = ignore) -> AsyncIterator[Bus]:
    """A bus of a service; `call` is its `keep_institution`."""
    bus = Bus(service, settings, clock=SystemClock(), metrics=Metrics(service))
    for durable in durables_of(service):
        bus.handle(durable.handler, call if durable.handler == HANDLER else ignore)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


def entry(sequence: int, institution: InstitutionId = INSTITUTION) -> OutboxEntry:
    """The event of an institution's n-th save, as an outbox holds it."""
    state = InstitutionState(slug=institution, name="A School", country="QA", zone="Asia/Qatar", languages=["en"])
    event = InstitutionChangedV1.record(
        institution=institution,
        subject=institution,
        sequence=sequence,
        at=SystemClock().now(),
        actor="system",
        data=state,
    )
    return OutboxEntry("institution", institution, institution, event.id, event.nats_subject, event.wire(), event.time)


class Heard:
    """A handler that notes what it is given, and may fail first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sequences: asyncio.Queue[int] = asyncio.Queue()
        self.times: list[float] = []
        self.begun = asyncio.Event()

    async def __call__(self, event: AnyEvent, _stream_sequence: int = 0) -> None:
        self.times.append(time.monotonic())
        self.begun.set()
        if self.failures:
            raise self.failures.pop(0)
        self.sequences.put_nowait(event.sequence)

    async def take(self, count: int, within: float = PATIENCE) -> list[int]:
        async with asyncio.timeout(within):
            return [await self.sequences.get() for _ in range(count)]


async def until(check: Callable[[], Awaitable[bool]], within: float = PATIENCE) -> None:
    """Wait for what the server does in its own time and tells nobody."""
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)


async def done_up_to(bus: Bus, sequence: int) -> bool:
    return await bus.acknowledged(HANDLER) >= sequence


async def well(bus: Bus) -> bool:
    return not await bus.problems()


async def connected_are(count: int, *buses: Bus) -> bool:
    return sum(bus.connected for bus in buses) == count


async def letters_of(settings: BusSettings) -> list[DeadLetter]:
    async with connected(settings) as client:
        return [letter async for letter in DeadLetters(client.jetstream()).list()]


async def dead_letter(settings: BusSettings) -> DeadLetter:
    """Wait for the first dead letter."""
    async with asyncio.timeout(PATIENCE), connected(settings) as client:
        consumer = await client.jetstream().subscribe("fh.dead.>", stream=DEAD_LETTERS, ordered_consumer=True)
        await consumer.next_msg(timeout=5)
    return (await letters_of(settings))[0]


@pytest.fixture
async def portal(bus_settings: BusSettings) -> AsyncIterator[Bus]:
    async with running("portal", bus_settings) as bus:
        yield bus


async def test_a_published_event_reaches_its_handler(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard()
    async with running("consent", bus_settings, heard) as bus:
        assert await portal.publish(entry(7)) == 1
        assert await heard.take(1) == [7]
        assert await bus.problems() == []


async def test_the_server_that_is_deployed_takes_the_topology_and_brings_an_event_to_its_handler(
    real_nats: NatsServer,
) -> None:
    settings, heard = BusSettings(url=real_nats.url), Heard()
    await apply(settings)
    assert await drift(settings) == []
    async with running("portal", settings) as portal, running("consent", settings, heard) as bus:
        await portal.publish(entry(1))
        assert await heard.take(1) == [1]
        await until(partial(done_up_to, bus, 1))


async def test_an_event_published_again_is_kept_once(portal: Bus) -> None:
    same = entry(1)
    assert await portal.publish(same) == await portal.publish(same)
    assert await portal.publish_all([same, same, entry(2)])
    assert await portal.last_sequence(STREAM) == 2


async def test_events_keep_the_order_in_which_they_were_sent(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard()
    listener = await portal.listen("hear_institutions", heard, unreadable=heard, since="all")
    await portal.publish_all([entry(n) for n in range(1, 301)])
    assert await heard.take(300) == list(range(1, 301))
    assert listener.seen(STREAM) == 300


@pytest.mark.parametrize("failure", [Transient("away"), StoreUnavailable("full"), RuntimeError("a bug")])
async def test_what_may_heal_comes_again_later_each_time(
    bus_settings: BusSettings, portal: Bus, failure: Exception
) -> None:
    heard = Heard(failure, failure, failure)
    async with running("consent", bus_settings, heard):
        await portal.publish(entry(1))
        assert await heard.take(1) == [1]
    waits = [later - earlier for earlier, later in zip(heard.times, heard.times[1:], strict=False)]
    assert len(waits) == len(bus_settings.delays)
    assert all(wait >= delay * 0.95 for wait, delay in zip(waits, bus_settings.delays, strict=True))
    assert await letters_of(bus_settings) == []


@pytest.mark.parametrize("failure", [NoRoom("full"), OSError(errno.ENOSPC, "full")], ids=["store", "file"])
async def test_what_a_full_disk_does_not_take_never_becomes_a_dead_letter(
    bus_settings: BusSettings, portal: Bus, failure: Exception
) -> None:
    heard = Heard(*[failure] * (bus_settings.deliveries + 2))
    async with running("consent", bus_settings, heard):
        await portal.publish(entry(1))
        assert await heard.take(1) == [1]
    assert await letters_of(bus_settings) == []


@pytest.mark.parametrize("failure", [Conflict("somebody else saved"), AlreadyExists("it is there")])
async def test_a_conflict_is_tried_again_at_once(bus_settings: BusSettings, portal: Bus, failure: Exception) -> None:
    heard = Heard(*[failure] * 9)
    patient = bus_settings.model_copy(update={"delays": (60.0,)})
    async with running("consent", patient, heard):
        await portal.publish(entry(1))
        assert await heard.take(1) == [1]


async def test_what_cannot_heal_is_a_dead_letter_at_once(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard(Hopeless("there is no such case"))
    async with running("consent", bus_settings, heard) as bus:
        await portal.publish(entry(3))
        letter = await dead_letter(bus_settings)
        await until(lambda: done_up_to(bus, 1))
    assert (letter.service, letter.handler, letter.deliveries) == ("consent", HANDLER, 1)
    assert letter.reason == "Hopeless: there is no such case"
    assert (letter.stream, letter.sequence) == (STREAM, 1)
    assert json.loads(letter.body)["sequence"] == "0000000003"


async def test_what_is_logged_of_an_event_that_failed_names_its_trace(bus_settings: BusSettings, portal: Bus) -> None:
    written, log = io.StringIO(), logging.getLogger("firsthand.consent")
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines("consent"))
    log.addHandler(handler)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    heard = Heard(Transient("not yet"), Hopeless("never"))
    with within(f"00-{trace}-00f067aa0ba902b7-01"):
        told = entry(3)
    async with running("consent", bus_settings, heard):
        await portal.publish(told)
        await dead_letter(bus_settings)
    log.removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["message"], line["trace"]) for line in lines if line["message"].startswith("event")] == [
        ("event comes again", trace),
        ("event is a dead letter", trace),
    ]


async def test_an_unforeseen_error_makes_a_dead_letter_after_five_deliveries_and_never_tells_content(
    bus_settings: BusSettings, portal: Bus
) -> None:
    heard = Heard(*[ValueError("Maryam said no")] * 5)
    async with running("consent", bus_settings, heard):
        await portal.publish(entry(1))
        letter = await dead_letter(bus_settings)
    assert letter.deliveries == len(heard.times) == 5
    assert "ValueError" in letter.reason
    assert "Maryam" not in letter.reason


async def test_a_poisoned_message_holds_no_other(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard()
    async with running("consent", bus_settings, heard):
        async with connected(bus_settings) as client:
            await client.jetstream().publish(entry(1).nats_subject, b"no event at all")
        await portal.publish(entry(2))
        assert await heard.take(1) == [2]
        letter = await dead_letter(bus_settings)
    assert letter.reason == "UnknownEvent: the body is not an event"
    assert letter.body == b"no event at all"


async def test_an_event_of_one_institution_on_anothers_subject_is_a_dead_letter(
    bus_settings: BusSettings, portal: Bus
) -> None:
    heard = Heard()
    async with running("consent", bus_settings, heard):
        async with connected(bus_settings) as client:
            await client.jetstream().publish(InstitutionChangedV1.filter_subject("other"), entry(1).body)
        letter = await dead_letter(bus_settings)
    assert letter.reason == "UnknownEvent: the subject that it was published on is not the event's"
    assert heard.times == []


async def test_a_dead_letter_is_replayed_to_its_handler_only(bus_settings: BusSettings, portal: Bus) -> None:
    heard, neighbour = Heard(Hopeless("not yet")), Heard()
    async with running("consent", bus_settings, heard), running("archive", bus_settings, neighbour):
        await portal.publish(entry(1))
        letter = await dead_letter(bus_settings)
        assert await neighbour.take(1) == [1]
        async with connected(bus_settings) as client:
            letters = DeadLetters(client.jetstream())
            assert await letters.show(letter.number) == letter
            await letters.replay(letter.number)
            assert await heard.take(1) == [1]
            for none in (letter.number, 0, -1):
                with pytest.raises(NoSuchDeadLetter):
                    await letters.show(none)
    assert await letters_of(bus_settings) == []
    assert len(neighbour.times) == 1


def case_entry(sequence: int) -> OutboxEntry:
    state = CaseState(
        case_id="case1", prefix="CLP", title="A case", condition={"en": "a condition"}, languages=["en"], cohorts=[],
        tutors=[], approvals=[], state="open",
    )  # fmt: skip
    at = SystemClock().now()
    event = CaseChangedV1.record(
        institution=INSTITUTION, subject="case1", sequence=sequence, at=at, actor="system", data=state
    )
    return OutboxEntry("case", INSTITUTION, "case1", event.id, event.nats_subject, event.wire(), event.time)


async def test_one_handler_hears_several_producers(
    bus_settings: BusSettings, portal: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [durable for durable in topology.DURABLES if (durable.service, durable.handler) != ("consent", HANDLER)]
    several = Durable.of_each("consent", HANDLER, (InstitutionChangedV1, CaseChangedV1))
    for module in (topology, topology_apply):
        monkeypatch.setattr(module, "DURABLES", (*others, *several))
    await apply(bus_settings)
    heard = Heard(Hopeless("not yet"))
    async with running("discovery", bus_settings) as discovery, running("consent", bus_settings, heard) as bus:
        await discovery.publish(case_entry(5))
        letter = await dead_letter(bus_settings)
        await portal.publish(entry(1))
        assert await heard.take(1) == [1]
        await discovery.publish(case_entry(6))
        assert await heard.take(1) == [6]
        async with connected(bus_settings) as client:
            await DeadLetters(client.jetstream()).replay(letter.number)
        assert await heard.take(1) == [5]
        assert await bus.problems() == []


async def test_no_header_lets_an_event_pass_for_one_of_another_subject_nor_does_a_replay(
    bus_settings: BusSettings, portal: Bus
) -> None:
    heard, forged = Heard(), entry(7)
    elsewhere = "fh.v1.another-school.institution.changed"
    async with running("consent", bus_settings, heard), connected(bus_settings) as client:
        await client.jetstream().publish(elsewhere, forged.body, headers={"Firsthand-Subject": forged.nats_subject})
        letter = await dead_letter(bus_settings)
        assert letter.subject == elsewhere
        await DeadLetters(client.jetstream()).replay(letter.number)
        await dead_letter(bus_settings)
        await portal.publish(entry(8))
        assert await heard.take(1) == [8]
    assert [one.subject for one in await letters_of(bus_settings)] == [elsewhere]


async def test_a_replay_that_fails_is_a_dead_letter_again(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard(Hopeless("not yet"), Hopeless("still not"))
    async with running("consent", bus_settings, heard):
        await portal.publish(entry(1))
        first = await dead_letter(bus_settings)
        async with connected(bus_settings) as client:
            await DeadLetters(client.jetstream()).replay(first.number)
        second = await dead_letter(bus_settings)
    assert second.reason == "Hopeless: still not"
    assert second.subject == first.subject


async def test_a_discarded_dead_letter_is_gone(bus_settings: BusSettings, portal: Bus) -> None:
    async with running("consent", bus_settings, Heard(Hopeless("never"))):
        await portal.publish(entry(1))
        letter = await dead_letter(bus_settings)
        async with connected(bus_settings) as client:
            letters = DeadLetters(client.jetstream())
            await letters.discard(letter.number)
            with pytest.raises(NoSuchDeadLetter):
                await letters.replay(letter.number)


async def test_stopping_finishes_what_is_in_hand_and_gives_the_rest_back_at_once(
    bus_settings: BusSettings, portal: Bus
) -> None:
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()
    first, second = Heard(), Heard()

    async def slow(event: AnyEvent) -> None:
        begun.release()
        await go_on.wait()
        await first(event)

    count = 1000
    await portal.publish_all([entry(n) for n in range(1, count + 1)])
    async with running("consent", bus_settings, slow) as bus:
        async with asyncio.timeout(PATIENCE):
            for _ in range(100):
                await begun.acquire()
        stopping = asyncio.create_task(bus.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
    done = first.sequences.qsize()
    async with running("consent", bus_settings, second) as bus:
        rest = await second.take(count - done, within=8)  # ACK_WAIT is ten seconds
        await until(lambda: done_up_to(bus, count))
    assert sorted(await first.take(done) + rest) == list(range(1, count + 1))


async def test_a_handler_that_does_not_finish_is_cancelled_and_its_event_is_given_to_another_at_once(
    bus_settings: BusSettings, portal: Bus
) -> None:
    begun = asyncio.Event()

    async def never(_event: AnyEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running("consent", bus_settings.model_copy(update={"grace": 0.05}), never):
        await portal.publish(entry(1))
        await begun.wait()
    heard = Heard()
    async with running("consent", bus_settings, heard):
        assert await heard.take(1, within=8) == [1]


async def test_a_slow_handler_holds_no_other_and_keeps_its_event(bus_settings: BusSettings, portal: Bus) -> None:
    both, done = Heard(), asyncio.Event()

    async def slow_first(event: AnyEvent) -> None:
        await both(event)
        if event.sequence == 1:
            await asyncio.wait_for(done.wait(), PATIENCE)

    async with connected(bus_settings) as client:
        js = client.jetstream()
        config = (await js.consumer_info(STREAM, DURABLE)).config
        config.ack_wait = 0.5
        await js.add_consumer(STREAM, config)
    busy = bus_settings.model_copy(update={"working_every": 0.1})
    async with running("consent", busy, slow_first), running("consent", busy, both):
        await portal.publish_all([entry(n) for n in range(1, 101)])
        assert sorted(await both.take(100)) == list(range(1, 101))
        await asyncio.sleep(1.2)  # twice the server's patience
        assert both.sequences.empty()
        done.set()


async def test_replicas_share_a_durable(bus_settings: BusSettings, portal: Bus) -> None:
    all_, shares = Heard(), {"one": 0, "two": 0}

    async def unhurried(event: AnyEvent, replica: str) -> None:
        await asyncio.sleep(0.002)
        shares[replica] += 1
        await all_(event)

    async with (
        running("consent", bus_settings, lambda event: unhurried(event, "one")),
        running("consent", bus_settings, lambda event: unhurried(event, "two")),
    ):
        for start in range(1, 1001, 50):
            await portal.publish_all([entry(n) for n in range(start, start + 50)])
        assert sorted(await all_.take(1000)) == list(range(1, 1001))
    assert min(shares.values()) > 100


async def test_the_server_is_killed_and_consuming_and_publishing_go_on(
    nats_server: EmbeddedNats, bus_settings: BusSettings, portal: Bus
) -> None:
    supervisor = asyncio.create_task(nats_server.supervise())
    heard, live = Heard(), Heard()
    async with running("consent", bus_settings, heard) as bus:
        listener = await bus.listen("hear_institutions", live, unreadable=live, since="new")
        await portal.publish_all([entry(n) for n in range(1, 101)])
        await heard.take(100)
        assert nats_server.pid
        os.kill(nats_server.pid, signal.SIGKILL)
        left = [entry(n) for n in range(101, 201)]

        async def published() -> bool:
            acknowledged = await portal.publish_all(left)
            left[:] = [each for each in left if each not in acknowledged]
            return not left

        await until(published)
        again: set[int] = set()  # acknowledgements that the server had not yet written are asked for again
        while not again >= set(range(101, 201)):
            again.update(await heard.take(1))
        assert await live.take(200) == list(range(1, 201))
        assert listener.seen(STREAM) == 200
        await until(lambda: well(bus))
    await nats_server.stop()
    await supervisor


async def test_a_deleted_durable_is_told_not_asked_in_a_frenzy_and_consumed_again_when_it_is_back(
    bus_settings: BusSettings, portal: Bus
) -> None:
    heard = Heard()
    async with running("consent", bus_settings, heard) as bus, connected(bus_settings) as client:
        await client.jetstream().delete_consumer(STREAM, DURABLE)
        before = bus.client.stats["out_msgs"]
        await asyncio.sleep(0.5)
        assert bus.client.stats["out_msgs"] - before < 10
        assert await bus.problems() == [f"The durable {DURABLE} is missing. Run `firsthand topology apply`."]
        await portal.publish(entry(1))
        assert await apply(bus_settings) == [f"created the durable {DURABLE}"]
        assert await heard.take(1) == [1]
        assert await bus.problems() == []


async def test_a_service_started_before_the_topology_waits_for_it_and_says_so(nats_server: EmbeddedNats) -> None:
    settings = BusSettings(url=nats_server.url)
    heard = Heard()
    async with running("consent", settings, heard) as bus:
        assert "The stream FH_CONSENT is missing. Run `firsthand topology apply`." in await bus.problems()
        await apply(settings)
        async with running("portal", settings) as portal:
            await portal.publish(entry(1))
            assert await heard.take(1) == [1]
        assert await bus.problems() == []


async def test_a_service_whose_handlers_are_not_the_topologys_does_not_start(bus_settings: BusSettings) -> None:
    bus = Bus("consent", bus_settings, clock=SystemClock(), metrics=Metrics("consent"))
    bus.handle(HANDLER, ignore)
    with pytest.raises(NotBound, match="prepare_invitation"):
        await bus.start()


async def test_a_bus_waits_for_the_server_at_the_start(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path, free_port())
    url = await server.start()
    await apply(BusSettings(url=url))
    await server.stop()
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(running("consent", BusSettings(url=url))))
        await asyncio.sleep(0.3)
        assert not starting.done()
        await server.start()
        bus = await asyncio.wait_for(starting, PATIENCE)
        assert await bus.problems() == []
        await stack.aclose()
    await server.stop()


async def test_applying_the_topology_twice_changes_nothing(bus_settings: BusSettings) -> None:
    assert await apply(bus_settings) == []
    assert await drift(bus_settings) == []


async def test_drift_is_told_and_mended(bus_settings: BusSettings, portal: Bus) -> None:
    async with connected(bus_settings) as client:
        js = client.jetstream()
        await js.update_stream((await js.stream_info(STREAM)).config, max_age=3600)
        await js.add_consumer(STREAM, (await js.consumer_info(STREAM, DURABLE)).config, max_ack_pending=1)
        await js.delete_consumer(STREAM, "archive_keep_institution_all")
    told = await drift(bus_settings)
    assert told == [
        "The stream FH_PORTAL has age 3600.0 instead of 315619200.0. Run `firsthand topology apply`.",
        f"The durable {DURABLE} has events in work 1 instead of 1000. Run `firsthand topology apply`.",
        "The durable archive_keep_institution_all is missing. Run `firsthand topology apply`.",
    ]
    assert await portal.problems() == told[:1]
    assert len(await apply(bus_settings)) == 3
    assert await drift(bus_settings) == []


async def test_a_durable_that_no_handler_uses_any_more_is_told_and_removed(bus_settings: BusSettings) -> None:
    async with connected(bus_settings) as client:
        js = client.jetstream()
        config = (await js.consumer_info(STREAM, DURABLE)).config
        config.name = config.durable_name = "consent_once_all"
        await js.add_consumer(STREAM, config)
    assert await drift(bus_settings) == [
        "The durable consent_once_all is used by no handler any more. Run `firsthand topology apply`."
    ]
    assert await apply(bus_settings) == ["removed the durable consent_once_all, which no handler uses any more"]


async def test_an_institution_that_joins_a_placement_is_told_from_the_beginning(bus_settings: BusSettings) -> None:
    ours, other = InstitutionId("qu-cdm"), InstitutionId("other")
    settings = bus_settings.model_copy(update={"placement": Placement("doha", (ours,))})
    await remove(settings, Recorded("all"))
    await apply(settings)
    heard = Heard()
    async with running("portal", settings) as portal:
        await portal.publish_all([entry(1, other), entry(2, ours), entry(3, other)])
    async with running("consent", settings, heard):
        assert await heard.take(1) == [2]
    wider = settings.model_copy(update={"placement": Placement("doha", (ours, other))})
    assert any("anew from the beginning" in change for change in await apply(wider))
    async with running("consent", wider, heard):
        assert sorted(await heard.take(3)) == [1, 2, 3]


async def test_a_listener_hears_from_an_instant_on(bus_settings: BusSettings, portal: Bus) -> None:
    await portal.publish(entry(1))
    instant = SystemClock().now()
    await portal.publish(entry(2))
    heard = Heard()
    listener = await portal.listen("hear_institutions", heard, unreadable=heard, since=instant)
    assert await heard.take(1) == [2]
    await listener.stop()
    await portal.publish(entry(3))
    assert heard.sequences.empty()


async def test_a_listener_that_cannot_take_an_event_is_given_it_again_and_none_after_it_meanwhile(
    bus_settings: BusSettings, portal: Bus
) -> None:
    heard = Heard(RuntimeError("not now"), RuntimeError("not now"))
    listener = await portal.listen("hear_institutions", heard, unreadable=heard, since="all")
    await portal.publish_all([entry(1), entry(2)])
    await asyncio.wait_for(heard.begun.wait(), PATIENCE)
    assert listener.seen(STREAM) == 0
    assert await heard.take(2) == [1, 2]
    await until(lambda: well(portal))


async def nobody_listens(settings: BusSettings, bus: Bus) -> bool:
    """Neither the server nor the bus knows of anybody who shows live pages, which takes a consumer of each stream."""
    (shown,) = (one for one in topology.listenings_of("portal") if one.name == "show_live")
    async with connected(settings) as client:
        js = client.jetstream()
        names = [info.name for stream in shown.streams for info in await js.consumers_info(stream.name)]
    return not bus._listeners and not any("show_live" in name for name in names)


async def test_who_is_cancelled_while_it_begins_to_listen_leaves_nothing_behind(
    bus_settings: BusSettings, portal: Bus
) -> None:
    for turns in range(2 * topology.LISTENING_REPLICAS):  # more than there are names
        beginning = asyncio.create_task(portal.listen("show_live", ignore_it, unreadable=ignore_it, since="new"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(turns % 8 / 1000)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        if not beginning.cancelled():
            await beginning.result().stop()
    await until(partial(nobody_listens, bus_settings, portal), within=3)  # the server itself forgets after ten seconds
    assert await portal.problems() == []


async def test_stopping_goes_on_when_who_stops_is_cancelled_meanwhile(bus_settings: BusSettings, portal: Bus) -> None:
    for _ in range(topology.LISTENING_REPLICAS + 1):
        listener = await portal.listen("show_live", ignore_it, unreadable=ignore_it, since="new")
        assert await portal.problems() == []
        with anyio.CancelScope() as gone:  # as of a request whose browser has gone: each wait is cancelled once more
            gone.cancel()
            await listener.stop()
        await until(partial(nobody_listens, bus_settings, portal), within=3)


@pytest.mark.parametrize("poison", [b"no event at all", b"[" * 100_000, entry(1).body.replace(b"qu-cdm", b"other")])
async def test_a_listener_passes_over_what_is_no_event(bus_settings: BusSettings, portal: Bus, poison: bytes) -> None:
    heard = Heard()
    listener = await portal.listen("hear_institutions", heard, unreadable=heard, since="all")
    async with connected(bus_settings) as client:
        await client.jetstream().publish(entry(1).nats_subject, poison)
    await portal.publish(entry(2))
    assert await heard.take(1) == [2]
    assert listener.seen(STREAM) == 2
    assert listener.problems() == []


async def test_a_beat_is_heard_by_every_replica_and_never_late(
    nats_server: EmbeddedNats, bus_settings: BusSettings, portal: Bus
) -> None:
    beats: asyncio.Queue[bytes] = asyncio.Queue()
    async with running("archive", bus_settings) as one, running("archive", bus_settings) as two:
        for replica in (one, two):
            await replica.on_beat("fh.pulse.portal", beats.put)
            await replica.client.flush()
        await portal.beat("fh.pulse.portal", b"1")
        async with asyncio.timeout(PATIENCE):
            assert [await beats.get(), await beats.get()] == [b"1", b"1"]
            await nats_server.stop()
            await until(lambda: connected_are(0, portal))
            await portal.beat("fh.pulse.portal", b"2")
            await nats_server.start()
            await until(lambda: connected_are(3, portal, one, two))
            for replica in (one, two):  # the server knows again what they listen to
                await replica.client.flush()
            await portal.beat("fh.pulse.portal", b"3")
            assert [await beats.get(), await beats.get()] == [b"3", b"3"]


async def test_what_a_handler_has_done_is_known_by_stream_sequence(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard()
    async with running("consent", bus_settings, heard) as bus:
        assert await bus.acknowledged(HANDLER) == 0
        await portal.publish_all([entry(1), entry(2)])
        await heard.take(2)
        await until(lambda: done_up_to(bus, 2))


async def test_a_stranger_without_the_password_is_refused(nats_server: EmbeddedNats) -> None:
    port = nats_server.url.rpartition(":")[2]
    with pytest.raises(nats.errors.Error):
        await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, error_cb=_quiet)


async def _quiet(_error: Exception) -> None:
    pass


async def test_a_bus_that_fetches_no_more_still_publishes_and_listens(bus_settings: BusSettings, portal: Bus) -> None:
    heard = Heard()
    await portal.listen("hear_institutions", heard, unreadable=heard, since="new")
    await portal.stop_fetching()
    assert await portal.publish(entry(1)) == 1
    assert await heard.take(1) == [1]
