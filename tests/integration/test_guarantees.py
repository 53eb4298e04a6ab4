"""What is promised whatever comes between: kills, stale work, lost letters, clocks."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js.api import ConsumerConfig, ConsumerInfo

from firsthand.services.__main__ import SERVICES
from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers.following import erase
from firsthand.services.archive.handlers.viewings import ViewLog
from firsthand.services.archive.model import Viewer
from firsthand.services.archive.repository import Recordings, Uploads, Viewings
from firsthand.services.consent.pulse import SUBJECT, beat
from firsthand.services.portal.model.sign_in import SignInLink
from firsthand.shared.bus.listeners import StreamListener
from firsthand.shared.clock import ManualClock
from firsthand.shared.events.consent import (
    ConsentRecordState,
    ConsentState,
    ErasureRequestedV1,
    InvitationState,
)
from firsthand.shared.identifiers import new_id
from firsthand.shared.service import Timer
from firsthand.shared.store import Unreadable
from firsthand.shared.timers import Timers
from tests.archive import CONTACT, QU, START, Archive, running
from tests.consent_house import running as consent_running
from tests.media import video
from tests.patience import PATIENCE
from tests.told import Life, alone


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def archive(tmp_path: Path, nats_url: str, clock: ManualClock) -> AsyncIterator[Archive]:
    async with running(tmp_path / "data", nats_url, clock) as one:
        yield one


@pytest.fixture(scope="module")
def film() -> bytes:
    return video(2)


@pytest.fixture(scope="module")
def another_film() -> bytes:
    return video(3)


async def test_checking_an_upload_again_after_a_crash_replaces_nothing_that_came_later(
    archive: Archive, film: bytes, another_film: bytes
) -> None:
    await archive.awaiting()
    await archive.upload(film)
    await archive.until("recording.archived")
    uploads = Uploads(archive.context, QU)
    (first,) = await uploads.of("c1")
    first.stage, first.due_at = "checking", archive.clock.now() + timedelta(minutes=2)
    await uploads.save(first)  # as a process leaves it that is killed when it has just held the recording
    await archive.upload(another_film)
    newer = (await archive.until("recording.archived", 2)).data.sha256
    archive.clock.advance(timedelta(minutes=3))
    await archive.deployment.running["archive"].timers.look()
    recording = await Recordings(archive.context, QU).get("c1")
    assert recording is not None
    assert recording.media is not None
    assert recording.media.sha256 == newer
    assert recording.original is not None
    assert {path.name for path in archive.media_files()} == {recording.media.file, recording.original.file}
    assert {upload.stage for upload in await uploads.of("c1")} == {"done"}


async def test_nobody_notes_a_viewing_of_what_is_being_erased(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    log, viewer = ViewLog(archive.context), Viewer(person_id="s1", student=True)
    await archive.withdraw()
    await archive.until("recording.withdrawn")
    erasing = asyncio.Event()
    note = Viewings.forget

    async def forget_then_somebody_notes(self: Viewings, contact_id: str) -> None:
        await note(self, contact_id)
        if not erasing.is_set():
            erasing.set()
            await log.note(QU, "c1", viewer, 5)  # a player that was cut off just now

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Viewings, "forget", forget_then_somebody_notes)
        await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
        await archive.until("archive.erased")
    assert erasing.is_set()
    assert await Viewings(archive.context, QU).count("c1") == 0


async def test_the_gate_forgets_what_the_store_knows_and_never_keeps_what_is_no_consent(archive: Archive) -> None:
    for kind in ("InvitationPreparedV1", "InvitationSentV1", "InvitationAnsweredV1", "InvitationLinkedV1"):
        await archive.consent(kind, "none")
    await archive.consent("ConsentGrantedV1")
    await archive.consent("ConsentWithdrawnV1", "withdrawn")
    await archive.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await archive.until("archive.erased")
    await archive.consent("ErasureCompletedV1", "erased", erasure_id="e1")
    gate = gate_of(archive.context)
    async with asyncio.timeout(PATIENCE):
        while not gate.sure:  # noqa: ASYNC110 - it hears by itself
            await asyncio.sleep(0.01)
    await gate._prune()
    assert not gate._overrides


async def test_the_pulse_stops_while_an_event_waits_also_when_the_clock_was_set_back(
    tmp_path: Path, nats_url: str
) -> None:
    async with consent_running(tmp_path, nats_url) as house:
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        client = await nats.connect(nats_url)
        await client.subscribe(SUBJECT, cb=hear)
        await client.flush()
        house.deployment.running["consent"].tasks[0].cancel()  # the relay: events wait from here on
        house.deployment.running["consent"].tasks[2].cancel()  # the pulse: the test beats itself
        await beat(house.context)
        await house.context.bus.client.flush()
        await client.flush()
        before = len(heard)
        assert json.loads(heard[-1])["sequence"] == 0
        await house.discover()
        house.clock.advance(-timedelta(hours=1))
        await beat(house.context)
        await house.context.bus.client.flush()
        await client.flush()
        await client.close()
        assert len(heard) == before


class AnsweredLate(StreamListener):
    """One to which the first events come before the server's answer, as they may."""

    first: asyncio.Event

    async def _make_consumer(self, config: ConsumerConfig) -> ConsumerInfo:
        made = await super()._make_consumer(config)
        await self.first.wait()
        return made


@pytest.mark.parametrize("kind", [StreamListener, AnsweredLate])
async def test_who_listens_from_the_beginning_has_heard_everything_when_it_begins(
    kind: type[StreamListener], tmp_path: Path, nats_url: str, clock: ManualClock
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as archive:
        for sequence in range(1, 301):
            archive.sequence = sequence
            await archive.consent("InvitationSentV1", "none")
        heard: list[int] = []
        first = asyncio.Event()

        async def hear(event: Any, _stream_sequence: int) -> None:
            await asyncio.sleep(0.001)
            heard.append(event.sequence)
            first.set()

        listener = kind(
            archive.context.bus.client, "FH_CONSENT", ["fh.v1.*.invitation.sent"], names=["a", "b"],
            call=hear, unreadable=hear,
            since="all", log=archive.context.log,
        )  # fmt: skip
        if isinstance(listener, AnsweredLate):
            listener.first = first
        await listener.start(2)
        assert len(heard) == 300
        assert not listener.problem
        await listener.stop()


async def test_a_listener_that_was_stopped_is_forgotten_with_its_problems(archive: Archive) -> None:
    bus = archive.context.bus

    async def cannot(_event: Any, _stream_sequence: int) -> None:
        raise RuntimeError("a page that was closed")

    listener = await bus.listen("watch_consent", cannot, unreadable=cannot, since="new")
    await archive.consent("InvitationSentV1", "none")
    async with asyncio.timeout(PATIENCE):
        while not any("could not be taken" in problem for problem in await bus.problems()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await listener.stop()
    assert listener not in bus._listeners
    assert not await bus.problems()


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_a_start_does_no_work_for_what_is_erased_already(name: str, tmp_path: Path, clock: ManualClock) -> None:
    async with alone(name, tmp_path, clock) as service:
        for _ in range(3):
            await service.context.vault.erase(QU, new_id())
    life = Life()
    async with alone(name, tmp_path, clock, life):
        assert life.lived == 0


async def test_an_erasure_that_comes_before_everything_is_answered_once(tmp_path: Path, clock: ManualClock) -> None:
    async with alone("archive", tmp_path, clock) as service:
        asked = ErasureRequestedV1.record(
            institution=QU,
            subject="c1",
            sequence=9,
            at=START,
            actor="system",
            data=ConsentState(
                contact=CONTACT,
                invitation=InvitationState(state="closed"),
                consent=ConsentRecordState(state="withdrawn", erasure_id="e1"),
            ),
        )
        await erase(service.context, asked)
        await erase(service.context, asked)
        assert await service.told() == ["firsthand.archive.erased.v1"]


async def test_a_timer_that_is_slow_keeps_no_other_document_waiting(tmp_path: Path, clock: ManualClock) -> None:
    async with alone("portal", tmp_path, clock) as service:
        links, fired = service.context.store.collection(SignInLink, QU), asyncio.Event()
        for name in ("slow", "other"):
            await links.insert(SignInLink(id=name, institution=QU, person_id="p", expires_at=START, due_at=START))

        async def on_due(_context: Any, link: SignInLink) -> None:
            if link.id == "other":
                fired.set()
            await asyncio.wait_for(fired.wait(), PATIENCE)  # e.g. for a mail server that does not answer
            await links.save(link.model_copy(update={"due_at": None}))

        assert await Timers(service.context, {SignInLink: Timer(on_due)}).look() == 2
        assert fired.is_set()
        assert not await service.context.store.due(SignInLink, clock.now())


async def test_a_timer_that_needs_what_a_newer_release_wrote_waits_and_keeps_no_other_waiting(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with alone("portal", tmp_path, clock) as service:
        links = service.context.store.collection(SignInLink, QU)
        for name in ("newer", "other"):
            await links.insert(SignInLink(id=name, institution=QU, person_id="p", expires_at=START, due_at=START))
        fired: list[str] = []

        async def on_due(_context: Any, link: SignInLink) -> None:
            fired.append(link.id)
            if link.id == "newer":
                raise Unreadable("its person has a role of the next release", kind="person")
            await links.save(link.model_copy(update={"due_at": None}))

        timers = Timers(service.context, {SignInLink: Timer(on_due)})
        assert await timers.look() == 2
        assert await timers.look() == 0
        clock.advance(timedelta(seconds=5))
        assert await timers.look() == 1
        assert sorted(fired) == ["newer", "newer", "other"]
