"""Users of a real NATS server, as `firsthand secrets make` gives them to it: what they may, and what is refused."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import nats
import nats.errors
import pytest
from nats.aio.client import Client

from firsthand.shared import topology
from firsthand.shared.bus import Bus, BusSettings, Hopeless, NotPublished, connection, listeners
from firsthand.shared.bus.connection import NoServer, NotPermitted, connected
from firsthand.shared.bus.dead_letters import DeadLetter, DeadLetters, NoSuchDeadLetter
from firsthand.shared.bus.delivery import ORIGINAL_SUBJECT
from firsthand.shared.bus.permissions import OPERATOR, USERS, inbox_prefix
from firsthand.shared.bus.placements import PlacementsOverlap
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.bus.times import confirm
from firsthand.shared.bus.topology_apply import apply, drift
from firsthand.shared.clock import SystemClock
from firsthand.shared.credentials import make_secrets
from firsthand.shared.embedded_nats import EmbeddedNats, binary
from firsthand.shared.events import AnyEvent
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.metrics import Metrics
from firsthand.shared.settings import Settings
from firsthand.shared.status import Status, answer_the_operator
from firsthand.shared.status_survey import ask
from firsthand.shared.store import OutboxEntry
from firsthand.shared.topology import (
    CONSENT_PULSE,
    STATUS_QUESTION,
    STREAMS,
    Placement,
    durables_of,
    status_answer,
)
from tests.e2e.system import apart
from tests.patience import PATIENCE

QU = InstitutionId("qu-cdm")
FORGED = b'{"sequence": 999}'


@dataclass
class Server:
    """A running nats-server, and the folder with its users' secrets."""

    secrets: Path
    address: str
    monitor: str

    def settings(self, user: str) -> BusSettings:
        """What a process is told that is given this user's folder, and nothing else."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("FIRSTHAND_SECRETS_DIR", str(self.secrets / user))
            environment.setenv("FIRSTHAND_NATS_URL", self.address)
            return bus_settings(Settings()).model_copy(update={"delays": (0.02,), "grace": 2.0})


@asynccontextmanager
async def served(folder: Path, store: Path) -> AsyncIterator[Server]:
    """Start a server as an operator does who has settings of his own: a file that includes the one that was made."""
    secrets = folder / "secrets"
    make_secrets(secrets, placement=Placement(), nats_store=str(store))
    own = secrets / "own.conf"
    own.write_text(
        f'include "./nats.conf"\nhost: 127.0.0.1\nport: -1\nhttp: "127.0.0.1:-1"\nports_file_dir: "{folder}"\n'
    )
    process = await asyncio.create_subprocess_exec(str(binary()), "-c", str(own), "-l", str(folder / "nats.log"))
    try:
        async with asyncio.timeout(PATIENCE):
            while not (ports := _ports(folder / f"nats-server_{process.pid}.ports")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield Server(secrets, ports["nats"][0], ports["monitoring"][0])
    finally:
        process.terminate()
        await process.wait()


def _ports(told: Path) -> dict[str, list[str]]:
    """What the server says of where it listens; empty while it does not."""
    try:
        read: dict[str, list[str]] = json.loads(told.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return read


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """With the topology, which the operator has applied."""
    async with served(tmp_path, tmp_path / "store") as one:
        await apply(one.settings(OPERATOR))
        yield one


@dataclass
class Stranger:
    """Somebody who has got hold of a user's credentials, and what the server told him."""

    client: Client
    refusals: list[str]
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def refused(self, act: Callable[[], Any]) -> str:
        """Do something and give what the server says against it."""
        self.told.clear()
        await act()
        await asyncio.wait_for(self.told.wait(), PATIENCE)
        return self.refusals[-1]


@asynccontextmanager
async def stranger(server: Server, user: str) -> AsyncIterator[Stranger]:
    settings, refusals = server.settings(user), list[str]()

    async def note(error: Exception) -> None:
        refusals.append(str(error))
        one.told.set()

    client = await nats.connect(
        server.address,
        user=user,
        password=settings.password.get_secret_value(),
        inbox_prefix=settings.inbox_prefix,
        error_cb=note,
    )
    one = Stranger(client, refusals)
    try:
        yield one
    finally:
        await client.close()


async def _quiet(_error: Exception) -> None:
    """What is wrong is raised as well."""


@asynccontextmanager
async def running(server: Server, service: str, call: Any = None) -> AsyncIterator[Bus]:
    async def ignore(_event: AnyEvent) -> None: ...

    bus = Bus(service, server.settings(service), clock=SystemClock(), metrics=Metrics(service))
    for durable in durables_of(service):
        bus.handle(durable.handler, call or ignore)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


def entry(subject: str = "") -> OutboxEntry:
    """An institution's event, or something else on another subject."""
    state = InstitutionState(slug=QU, name="A School", country="QA", zone="Asia/Qatar", languages=["en"])
    event = InstitutionChangedV1.record(
        institution=QU, subject=QU, sequence=1, at=SystemClock().now(), actor="system", data=state
    )
    return OutboxEntry("institution", QU, QU, event.id, subject or event.nats_subject, event.wire(), event.time)


async def kept_on(server: Server, stream: str, subject: str) -> int:
    """So many messages of a stream were published on a subject."""
    async with connected(server.settings(OPERATOR)) as client:
        info = await client.jetstream().stream_info(stream, subjects_filter=subject)
    return sum((info.state.subjects or {}).values())


async def test_the_whole_chain_runs_with_a_user_for_each_service_and_nothing_is_refused(tmp_path: Path) -> None:
    async with apart(tmp_path) as system:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "firsthand.services", "demo", "--json", "--url", system.url,
            env=system.programs["portal"].environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert json.loads(out)["plays"] is False
    for service in STREAMS:
        log = (tmp_path / f"{service}.log").read_text(encoding="utf-8")
        assert "NATS is away" not in log
        assert "NATS refuses" not in log


async def test_the_server_tells_its_own_host_that_it_is_well(server: Server) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{server.monitor}/healthz")).json() == {"status": "ok"}


_REFUSED: dict[str, list[str]] = {
    "consent": [
        "fh.v1.qu-cdm.meeting.scheduled",
        "fh.v1.qu-cdm.consent.invented",
    ],
    "archive": [
        "fh.dead.consent.keep_case",
        "fh.replay.all.archive.follow_consent",
    ],
    "portal": [
        CONSENT_PULSE,
    ],
    "scheduling": [
        "$JS.API.STREAM.DELETE.FH_SCHEDULING",
        "$JS.API.STREAM.PURGE.FH_CONSENT",
        "$JS.API.STREAM.UPDATE.FH_SCHEDULING",
        "$JS.API.STREAM.CREATE.OTHER",
        "$JS.API.STREAM.MSG.DELETE.FH_SCHEDULING",
        "$JS.API.STREAM.MSG.GET.FH_PORTAL",
        "$JS.API.DIRECT.GET.FH_SCHEDULING",
        "$JS.API.CONSUMER.CREATE.FH_CONSENT",
        "$JS.API.CONSUMER.CREATE.FH_CONSENT.archive_follow_consent_all",
        "$JS.API.CONSUMER.CREATE.FH_CONSENT.scheduling_follow_consent_all",
        "$JS.API.CONSUMER.CREATE.FH_CONSENT.archive_watch_consent_all_1",
        "$JS.API.CONSUMER.CREATE.FH_CONSENT.scheduling_note_new_link_all_1.fh.v1.*.consent.granted",
        "$JS.API.CONSUMER.DURABLE.CREATE.FH_CONSENT.archive_follow_consent_all",
        "$JS.API.CONSUMER.DELETE.FH_CONSENT.archive_follow_consent_all",
        "$JS.API.CONSUMER.MSG.NEXT.FH_CONSENT.archive_follow_consent_all",
        "$JS.ACK.FH_CONSENT.archive_follow_consent_all.1.1.1.1.0",
        "$JS.API.CONSUMER.LIST.FH_CONSENT",
    ],
    OPERATOR: [
        "fh.v1.qu-cdm.consent.withdrawn",
        "$JS.API.STREAM.DELETE.FH_CONSENT",
        "$JS.API.STREAM.PURGE.FH_CONSENT",
    ],
}


async def test_what_is_not_its_own_is_refused_and_nothing_is_changed(server: Server) -> None:
    for user, subjects in _REFUSED.items():
        async with stranger(server, user) as one:
            for subject in subjects:
                told = await one.refused(partial(one.client.publish, subject, b"{}"))
                assert f"permissions violation for publish to {subject}".lower() in told.lower().replace('"', "")
    assert await drift(server.settings(OPERATOR)) == []
    assert [await kept_on(server, stream.name, ">") for stream in STREAMS.values()] == [0] * len(STREAMS)


async def test_every_service_learns_what_the_operator_confirms_of_the_clock_and_only_it_can(server: Server) -> None:
    noon = datetime(2026, 11, 27, 12, tzinfo=UTC)
    await confirm(server.settings(OPERATOR), noon)
    for service in STREAMS:
        async with running(server, service) as bus:
            times = await bus.times(newest_message=True)
            assert await bus.problems() == []
        assert times.confirmed == noon
        assert times.server is not None
    with pytest.raises(NotPermitted):
        await confirm(server.settings("archive"), noon + timedelta(days=1))
    assert await drift(server.settings(OPERATOR)) == []


async def test_the_operator_asks_every_service_and_none_answers_for_another(server: Server, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIRSTHAND_SECRETS_DIR", str(server.secrets / OPERATOR))
        settings = Settings(data=tmp_path / "data", nats_url=server.address, public_url="http://127.0.0.1:9")

    async def status_of(service: str) -> Status:
        return Status(service=service, impaired=["as it says itself"])

    async with running(server, "portal") as portal, running(server, "consent") as consent:
        for bus in (portal, consent):
            await answer_the_operator(bus, partial(status_of, bus.service))
        asked = await ask(settings, ["portal", "consent"])
        assert [(one.service, one.impaired) for one in asked.statuses] == [
            ("consent", ["as it says itself"]),
            ("portal", ["as it says itself"]),
        ]
        assert await portal.problems() == await consent.problems() == []
    async with stranger(server, "archive") as one:
        assert "publish" in await one.refused(lambda: one.client.publish(status_answer("consent"), b"{}"))
        assert "publish" in await one.refused(lambda: one.client.publish(STATUS_QUESTION, b"why"))
        assert "subscription" in await one.refused(partial(one.client.subscribe, status_answer("*")))


async def test_a_service_sees_other_placements_and_changes_none(server: Server) -> None:
    async with running(server, "consent") as consent:
        await consent.refuse_overlap()
        assert await consent.problems() == []
    elsewhere = server.settings("consent").model_copy(update={"placement": Placement("gulf", (QU,))})
    bus = Bus("consent", elsewhere, clock=SystemClock(), metrics=Metrics("consent"))
    await bus.connect()
    with pytest.raises(PlacementsOverlap, match="gulf and all both store qu-cdm"):
        await bus.refuse_overlap()
    await bus.stop()


async def test_nobody_hears_what_others_are_answered_or_tell(server: Server) -> None:
    for user in USERS:
        other = "consent" if user != "consent" else "archive"
        async with stranger(server, user) as one:
            for subject in (f"_INBOX_{other}.>", "_INBOX.>", "fh.v1.>", "fh.dead.>", "$JS.API.>", ">"):
                told = await one.refused(partial(one.client.subscribe, subject))
                assert "permissions violation for subscription" in told.lower()


async def test_every_user_has_a_password_of_its_own(server: Server) -> None:
    passwords = {user: server.settings(user).password.get_secret_value() for user in USERS}
    assert len(set(passwords.values())) == len(USERS)
    wrong = [(user, password) for user in USERS for other, password in passwords.items() if other != user]
    for user, password in [*wrong, ("", ""), ("firsthand", "guessed")]:
        with pytest.raises(nats.errors.Error):
            await nats.connect(server.address, user=user, password=password, allow_reconnect=False, error_cb=_quiet)
    assert {server.settings(user).inbox_prefix for user in USERS} == {inbox_prefix(user) for user in USERS}


async def test_a_refusal_is_in_the_log_and_keeps_the_service_from_being_ready(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "_PUBLISH_WITHIN", 0.2)
    async with running(server, "consent") as bus:
        assert await bus.problems() == []
        with pytest.raises(NotPublished):
            await bus.publish(entry("fh.v1.qu-cdm.meeting.scheduled"))
        (told,) = await bus.problems()
        assert "does not permit" in told
        assert "fh.v1.qu-cdm.meeting.scheduled" in told
    assert "NATS refuses something" in caplog.messages
    assert await kept_on(server, "FH_SCHEDULING", ">") == 0


async def _make_consumer(one: Stranger, stream: str, name: str, filter_subject: str, deliver_to: str) -> None:
    config = {"deliver_subject": deliver_to, "ack_policy": "none", "filter_subject": filter_subject}
    answer = await one.client.request(
        f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{filter_subject}",
        json.dumps({"stream_name": stream, "config": config}).encode(),
    )
    assert "error" not in json.loads(answer.data)


async def test_what_the_server_is_made_to_bring_elsewhere_is_no_event_there(server: Server) -> None:
    own, forged = "fh.v1.qu-cdm.invitation.linked", "fh.v1.qu-cdm.meeting.finished"
    async with stranger(server, "consent") as one:  # a consumer that gives its events to another subject
        await one.client.jetstream().publish(own, b'{"type": "firsthand.meeting.finished.v1"}')
        await _make_consumer(one, "FH_CONSENT", "consent_note_new_link_all_16", "fh.v1.*.invitation.linked", forged)
    own_too, forged_too = "fh.v1.qu-cdm.calendar.changed", "fh.v1.qu-cdm.consent.granted"
    async with stranger(server, "scheduling") as two:  # a request whose answer goes to another subject
        await two.client.jetstream().publish(own_too, b'{"type": "firsthand.consent.granted.v1"}')
        request = "$JS.API.CONSUMER.MSG.NEXT.FH_SCHEDULING.scheduling_make_meeting_all"
        await two.client.publish(request, b'{"batch": 1}', reply=forged_too)
        async with asyncio.timeout(PATIENCE):
            while not await kept_on(server, "FH_CONSENT", own_too):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
    # It is stored there under the subject that it was published on, which no durable and no listener there is given.
    assert await kept_on(server, "FH_CONSENT", forged_too) == 0
    assert await kept_on(server, "FH_SCHEDULING", forged) == 0


async def test_what_the_server_is_made_to_bring_elsewhere_is_no_pulse(server: Server) -> None:
    beats: asyncio.Queue[bytes] = asyncio.Queue()
    async with (
        stranger(server, "portal") as one,
        running(server, "archive") as archive,
        running(server, "consent") as consent,
    ):
        await archive.on_beat(CONSENT_PULSE, beats.put)
        raw: asyncio.Queue[bytes] = asyncio.Queue()

        async def came(message: Any) -> None:
            raw.put_nowait(message.data)

        await archive.client.subscribe(CONSENT_PULSE, cb=came)
        await archive.client.flush()
        await one.client.jetstream().publish("fh.v1.qu-cdm.person.changed", FORGED)
        await _make_consumer(one, "FH_PORTAL", "portal_note_sign_out_all_16", "fh.v1.*.person.changed", CONSENT_PULSE)
        assert await asyncio.wait_for(raw.get(), PATIENCE) == FORGED  # the server does bring it
        await consent.beat(CONSENT_PULSE, b"true")
        assert await asyncio.wait_for(beats.get(), PATIENCE) == b"true"


async def test_the_operator_applies_the_topology_and_looks_after_dead_letters(server: Server) -> None:
    settings = server.settings(OPERATOR)
    assert await apply(settings) == []
    failures = [Hopeless("it will never do"), Hopeless("nor now")]
    done: asyncio.Queue[AnyEvent] = asyncio.Queue()

    async def call(event: AnyEvent) -> None:
        if failures:
            raise failures.pop()
        done.put_nowait(event)

    async def letters(count: int) -> list[DeadLetter]:
        async with asyncio.timeout(PATIENCE):
            while len(found := [letter async for letter in of_operator.list()]) != count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found

    async with connected(settings) as client, running(server, "portal") as portal, running(server, "archive", call):
        of_operator = DeadLetters(client.jetstream())
        await portal.publish(entry())
        (first,) = await letters(1)
        assert first.service == "archive"
        await of_operator.replay(first.number)
        (second,) = await letters(1)
        assert second.number > first.number
        assert (await of_operator.show(second.number)).reason.startswith("Hopeless")
        await of_operator.replay(second.number)
        assert (await asyncio.wait_for(done.get(), PATIENCE)).subject == QU
        failures.append(Hopeless("once more"))
        await portal.publish(entry())
        (third,) = await letters(1)
        await of_operator.discard(third.number)
        assert await letters(0) == []


async def test_a_command_without_the_operators_user_says_whose_it_needs(server: Server) -> None:
    with pytest.raises(NoServer, match=r"consumer\.info.*need the NATS user `operator`"):
        await drift(server.settings("consent"))


async def test_rubbish_among_the_dead_letters_hides_none_and_can_be_discarded(server: Server) -> None:
    async with stranger(server, "archive") as one, connected(server.settings(OPERATOR)) as client:
        for headers in ({}, {ORIGINAL_SUBJECT: "fh.v1.qu-cdm.case.changed", "Firsthand-Sequence": "many"}):
            await one.client.jetstream().publish("fh.dead.archive.keep_case", b"nothing", headers=headers)
        letters = DeadLetters(client.jetstream())
        (first, second) = [letter async for letter in letters.list()]
        assert (first.service, first.handler, first.body) == ("archive", "keep_case", b"nothing")
        with pytest.raises(NoSuchDeadLetter, match="can only be discarded"):
            await letters.replay(first.number)
        await letters.discard(first.number)
        assert [letter async for letter in letters.list()] == [second]


async def test_the_operator_mends_what_differs(server: Server) -> None:
    settings = server.settings(OPERATOR)
    async with connected(settings) as client:
        js = client.jetstream()
        config = (await js.consumer_info("FH_PORTAL", "archive_keep_institution_all")).config
        await js.delete_consumer("FH_PORTAL", "archive_keep_institution_all")
        config.name = config.durable_name = "archive_once_all"
        await js.add_consumer("FH_PORTAL", config)
        await js.update_stream((await js.stream_info("FH_PORTAL")).config, max_age=3600)
    assert len(await drift(settings)) == len(await apply(settings)) == 3
    assert await drift(settings) == []


async def test_the_store_of_an_embedded_server_is_taken_over(tmp_path: Path) -> None:
    embedded = EmbeddedNats(tmp_path / "nats")
    settings = BusSettings(url=await embedded.start())
    await apply(settings)
    async with connected(settings) as client:
        await client.jetstream().publish(entry().nats_subject, entry().body)
    await embedded.stop()
    async with served(tmp_path, tmp_path / "nats" / "streams") as server:
        assert await drift(server.settings(OPERATOR)) == []
        heard: asyncio.Queue[AnyEvent] = asyncio.Queue()
        async with running(server, "archive", heard.put):
            assert (await asyncio.wait_for(heard.get(), PATIENCE)).subject == QU


async def test_a_replica_too_many_finds_no_place_to_listen_and_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "LISTENING_REPLICAS", 2)
    monkeypatch.setattr(listeners, "_AGAIN_AFTER", (0.05,))

    async def hear(_event: AnyEvent, _sequence: int) -> None: ...

    async with (
        running(server, "archive") as one,
        running(server, "archive") as two,
        running(server, "archive") as three,
    ):
        kept = [await bus.listen("watch_consent", hear, unreadable=hear, since="new") for bus in (one, two, three)]
        assert [await bus.problems() for bus in (one, two)] == [[], []]
        assert await three.problems() == ["Cannot listen to FH_CONSENT (NoPlace)."]
        await kept[0].stop()
        async with asyncio.timeout(PATIENCE):
            while await three.problems():  # noqa: ASYNC110 - it is what an operator asks
                await asyncio.sleep(0.02)


async def test_who_listens_to_what_the_topology_does_not_give_does_not_start(server: Server) -> None:
    async def hear(_event: AnyEvent, _sequence: int) -> None: ...

    async with running(server, "archive") as bus:
        with pytest.raises(connection.NotBound, match="show_live"):
            await bus.listen("show_live", hear, unreadable=hear, since="new")


async def test_archive_reads_its_own_dead_letters_and_replays_and_sees_how_far_it_has_heard(server: Server) -> None:
    async def hear(_event: object, _sequence: int) -> None: ...

    async with running(server, "archive") as bus:
        assert await bus.letters("read_dead_letters") == await bus.letters("read_replays", since=0) == []
        listener = await bus.listen("watch_consent", hear, unreadable=hear, since="new")
        assert await listener.heard("FH_CONSENT") == 0
