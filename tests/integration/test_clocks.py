"""What destroys by time while a clock is wrong, set right, or confirmed: nothing too early, and nothing too late."""

# ruff: noqa: ASYNC110 - what is waited for is told by a background task

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import pytest

from firsthand.services.archive.repository import Recordings
from firsthand.services.consent.handlers import decisions
from firsthand.services.discovery.app import SERVICE as DISCOVERY
from firsthand.services.scheduling.model import Meeting
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.times import Times, confirm
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.clock_watch import judge_at_start
from firsthand.shared.service import Timer
from firsthand.shared.store import Conflict, StoreUnavailable, Unreadable
from firsthand.shared.timers import Timers
from tests import archive as archives
from tests import consent_house
from tests.archive import CONTACT, FULL, QU, START, Archive
from tests.consent_house import House
from tests.media import video
from tests.patience import PATIENCE
from tests.replicas import shared_stores
from tests.told import alone

AHEAD, SECOND, HOUR, DAY = timedelta(days=1100), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def house(tmp_path: Path, nats_url: str) -> AsyncIterator[House]:
    async with consent_house.running(tmp_path, nats_url) as one:
        await consent_house.begin(one)
        yield one


async def look(house: House) -> None:
    await house.deployment.running["consent"].timers.look()


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not so():
            await asyncio.sleep(0.01)


# -- timers


async def test_only_a_timer_that_says_that_it_destroys_nothing_goes_by_a_clock_that_is_not_believed(
    tmp_path: Path,
) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, fired = service.context.store.collection(Meeting, QU), list[str]()
        await meetings.insert(_meeting("c1", due_at=START + DAY))

        def timer(name: str, **declared: bool) -> Timers:
            async def note(_context: Any, _meeting: Meeting) -> None:
                fired.append(name)

            return Timers(service.context, {Meeting: Timer(note, **declared)})

        timers = [timer("destroys", destroys=True), timer("says nothing"), timer("reminds", destroys=False)]
        clock.jump(AHEAD)
        for one in timers:
            await one.look()
        assert fired == ["reminds"]
        clock.advance(DAY)  # a day passes: the clock is wrong still, but this time has surely come
        for one in timers:
            await one.look()
        assert fired == ["reminds", "destroys", "says nothing", "reminds"]


async def test_a_clock_that_jumps_between_the_look_and_its_end_destroys_nothing(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        await service.context.store.collection(Meeting, QU).insert(_meeting("c1", due_at=START + DAY))
        fired, due = list[str](), service.context.store.due

        async def late(kind: Any, now: Any, limit: int) -> Any:
            return await due(kind, now + 2 * DAY, limit)  # as if the clock had been ahead at that instant only

        async def note(_context: Any, meeting: Meeting) -> None:
            fired.append(meeting.id)

        service.context.store.due = late  # type: ignore[method-assign]
        await Timers(service.context, {Meeting: Timer(note)}).look()
        assert fired == []


async def test_what_was_to_be_done_soon_by_a_clock_far_ahead_is_done_once_it_is_set_right(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, fired = service.context.store.collection(Meeting, QU), list[str]()
        clock.jump(AHEAD)
        service.context.trusted.read()
        await meetings.insert(_meeting("soon", due_at=clock.now() + 5 * SECOND))
        await meetings.insert(_meeting("later", due_at=clock.now() + 365 * DAY))
        clock.jump(-AHEAD)

        async def note(_context: Any, meeting: Meeting) -> None:
            fired.append(meeting.id)

        timers = Timers(service.context, {Meeting: Timer(note, destroys=False)})
        service.context.trusted.read()
        await timers.look()
        await timers.look()
        assert fired == ["soon"]


async def test_what_a_clock_far_ahead_let_live_too_long_ends_in_time_once_it_is_set_right(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, fired = service.context.store.collection(Meeting, QU), list[str]()
        clock.jump(AHEAD)
        service.context.trusted.read()
        await meetings.insert(_meeting("c1", due_at=clock.now() + 30 * DAY))
        clock.jump(-AHEAD)

        async def note(_context: Any, meeting: Meeting) -> None:
            fired.append(meeting.id)

        timers = Timers(service.context, {Meeting: Timer(note, longest=30 * DAY)})
        service.context.trusted.read()
        await timers.look()
        clock.advance(29 * DAY)
        await timers.look()
        assert fired == []
        clock.advance(DAY)
        await timers.look()
        assert fired == ["c1"]


async def test_what_a_wrong_clock_put_off_is_looked_at_also_if_the_store_is_away_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, fired = service.context.store.collection(Meeting, QU), list[str]()
        clock.jump(AHEAD)
        service.context.trusted.read()
        await meetings.insert(_meeting("soon", due_at=clock.now() + 5 * SECOND))
        clock.jump(-AHEAD)

        async def note(_context: Any, meeting: Meeting) -> None:
            fired.append(meeting.id)

        async def away(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("away")

        timers = Timers(service.context, {Meeting: Timer(note, destroys=False)})
        service.context.trusted.read()
        for asked, of in (("institutions", service.context.store), ("find", type(meetings))):
            with monkeypatch.context() as patch:
                patch.setattr(of, asked, away)
                with pytest.raises(StoreUnavailable):
                    await timers.look()
        await timers.look()
        await timers.look()
        assert fired == ["soon"]


async def test_one_document_that_cannot_be_read_keeps_no_other_kind_from_being_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(START)
    async with alone("scheduling", tmp_path, clock) as service:
        meetings, fired = service.context.store.collection(Meeting, QU), list[str]()
        clock.jump(AHEAD)
        service.context.trusted.read()
        await meetings.insert(_meeting("soon", due_at=clock.now() + 5 * SECOND))
        await meetings.insert(_meeting("now", due_at=START))
        clock.jump(-AHEAD)

        async def note(_context: Any, meeting: Meeting) -> None:
            fired.append(meeting.id)

        async def unreadable(*_: Any, **__: Any) -> Any:
            raise Unreadable("of a newer release", kind="meeting")

        timers = Timers(service.context, {Meeting: Timer(note, destroys=False)})
        service.context.trusted.read()
        with monkeypatch.context() as patch:
            patch.setattr(type(meetings), "find", unreadable)
            await timers.look()
            assert fired == ["now"]
        clock.advance(10 * 60 * SECOND)
        await timers.look()
        assert fired == ["now", "soon", "now"]


def test_what_destroys_is_declared_and_only_what_carries_on_or_reminds_is_not() -> None:
    from firsthand.services.__main__ import SERVICES  # all of them

    harmless = {
        f"{name} {kind.kind}"
        for name, service in SERVICES.items()
        for kind, timer in service.timers.items()
        if not timer.destroys
    }
    assert harmless == {
        "archive version",
        "discovery case",
        "discovery person",
        "scheduling meeting",
        "webhooks endpoint",
        "webhooks lane",
        "webhooks recipients",
        "webhooks replay",
    }
    assert DISCOVERY.timers  # the mapping is read, not empty


def _meeting(id_: str, **fields: Any) -> Meeting:
    contact = CONTACT.model_copy(update={"contact_id": id_})
    return Meeting(id=id_, institution=QU, contact=contact, tutor_id="tutor1", language="en", **fields)


# -- consent


async def test_no_consent_expires_and_nothing_is_erased_while_the_clock_is_ahead(house: House) -> None:
    await house.granted()
    await house.linked("c2")
    _, family = await house.granted("c3")
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    house.clock.jump(AHEAD)
    await look(house)
    assert [(await house.journey(one)).current_stage() for one in ("c1", "c2", "c3")] == [
        "granted", "linked", "withdrawn"
    ]  # fmt: skip
    condition = await house.deployment.running["consent"].examine()
    assert condition.problems == []
    (sentence,) = condition.impaired
    assert sentence.startswith("This machine's clock is 1100 days ahead")
    house.clock.jump(-AHEAD)
    await look(house)
    assert (await house.deployment.running["consent"].examine()).impaired == []
    assert (await house.journey("c3")).current_stage() == "withdrawn"


async def test_time_passes_for_a_promised_deletion_also_while_the_clock_is_ahead(house: House) -> None:
    _, family = await house.granted()
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    house.clock.jump(AHEAD)
    await house.time_passes(days=6)
    assert (await house.journey()).current_stage() == "withdrawn"
    await house.time_passes(days=1)
    assert (await house.journey()).current_stage() == "erasing"


@pytest.mark.parametrize("set_right_after", [0, 3, 8], ids=lambda days: f"set right after {days} days")
async def test_a_withdrawal_while_the_clock_is_ahead_withdraws_and_deletes_in_seven_days(
    house: House, set_right_after: int
) -> None:
    token, _ = await house.granted()
    house.clock.jump(AHEAD)
    family = await house.family(token)
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    assert (await house.journey()).current_stage() == "withdrawn"
    for day in range(7):
        if day == set_right_after:
            house.clock.jump(-AHEAD)
        await look(house)
        assert (await house.journey()).current_stage() == "withdrawn", day
        await house.time_passes(days=1)
    assert (await house.journey()).current_stage() == "erasing"


async def test_a_withdrawal_while_the_clock_is_ahead_may_be_taken_back_for_seven_days(house: House) -> None:
    token, family = await house.granted()
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
    house.clock.jump(AHEAD)
    await house.time_passes(days=6)
    await house.api("POST", "/family/undo", who=await house.family(token))
    assert (await house.journey()).current_stage() == "granted"
    await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=await house.family(token))
    house.clock.jump(-AHEAD)
    await house.time_passes(days=6)
    await house.api("POST", "/family/undo", who=await house.family(token))
    assert (await house.journey()).consent.erase_by is None


async def test_a_deletion_that_a_family_asks_for_now_is_never_held_not_even_after_a_crash(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = await house.granted()
    house.clock.jump(AHEAD)
    family = await house.family(token)

    async def dies(*_: Any, **__: Any) -> Any:
        raise Conflict

    with monkeypatch.context() as crash:
        crash.setattr(decisions, "begin_if_due", dies)  # between the withdrawal and the deletion
        crash.setattr("firsthand.shared.service._TRIES", 1)
        await house.api("POST", "/family/withdraw", {"erase": "now"}, who=family, ok=False)
    assert (await house.journey()).current_stage() == "withdrawn"
    await look(house)
    assert (await house.journey()).current_stage() == "erasing"


async def test_a_consent_given_while_the_clock_is_ahead_ends_no_later_than_others(house: House) -> None:
    house.clock.jump(DAY)  # a wrong day; the case's approvals are still good
    await house.granted()
    expires_at = (await house.journey()).consent.expires_at
    assert expires_at is not None
    assert expires_at <= consent_house.START + 730 * DAY


async def test_a_no_while_the_clock_is_ahead_is_deleted_after_seven_days(house: House) -> None:
    token, _ = await house.linked()
    house.clock.jump(AHEAD)
    await house.api("POST", "/family/decline", who=await house.family(token))
    house.clock.jump(-AHEAD)
    await house.time_passes(days=6)
    assert (await house.journey()).current_stage() == "declined"
    await house.time_passes(days=1)
    assert (await house.journey()).current_stage() == "erasing"


@pytest.mark.parametrize("set_right_after", [0, 3, 8], ids=lambda days: f"set right after {days} days")
@pytest.mark.parametrize("no", ["withdraw", "decline"])
async def test_days_that_are_promised_while_the_clock_is_behind_are_not_over_when_it_is_set_right(
    house: House, no: str, set_right_after: int
) -> None:
    token = (await house.granted() if no == "withdraw" else await house.linked())[0]
    await house.time_passes(days=20)
    house.clock.jump(-15 * DAY)
    body = {"erase": "in-7-days"} if no == "withdraw" else None
    await house.api("POST", f"/family/{no}", body, who=await house.family(token))
    stage = (await house.journey()).current_stage()
    assert stage in {"withdrawn", "declined"}
    for day in range(7):
        if day == set_right_after:
            house.clock.jump(15 * DAY)
        await look(house)
        assert (await house.journey()).current_stage() == stage, day
        await house.time_passes(days=1)
    assert (await house.journey()).current_stage() == "erasing"


# -- starting, and an operator's word


async def test_a_service_that_was_off_for_two_months_serves_and_destroys_once_its_clock_is_confirmed(
    tmp_path: Path, nats_url: str
) -> None:
    async with consent_house.running(tmp_path, nats_url) as before:
        await consent_house.begin(before)
        _, family = await before.granted()
        await before.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=family)
        other_token, _ = await before.granted("c2")
    clock = ManualClock(consent_house.START + 60 * DAY)
    async with consent_house.running(tmp_path, nats_url, clock=clock) as house:
        await look(house)
        assert house.context.trusted.read().held
        assert (await house.journey()).current_stage() == "withdrawn"
        other = await house.family(other_token)  # people are served
        await house.api("POST", "/family/withdraw", {"erase": "in-7-days"}, who=other)
        await confirm(BusSettings(url=nats_url), clock.now())
        await until(lambda: not house.context.trusted.read().held)
        await look(house)
        assert (await house.journey()).current_stage() == "erasing"
        assert (await house.journey("c2")).current_stage() == "withdrawn"  # its seven days have just begun
        await house.time_passes(days=6, hours=23)
        assert (await house.journey("c2")).current_stage() == "withdrawn"
        await house.time_passes(hours=1)
        assert (await house.journey("c2")).current_stage() == "erasing"
    assert await apply(BusSettings(url=nats_url)) == []


async def test_a_confirmation_is_heard_by_every_replica_and_one_whose_clock_is_right_goes_on(
    tmp_path: Path, nats_url: str
) -> None:
    async with (
        shared_stores(),
        consent_house.running(tmp_path, nats_url) as right,
        consent_house.running(tmp_path, nats_url) as one,
        consent_house.running(tmp_path, nats_url) as two,
    ):
        await consent_house.begin(right)
        await right.granted()
        for ahead in (one, two):
            ahead.clock.jump(AHEAD)
        for house in (right, one, two):
            await look(house)
        assert [house.context.trusted.read().held for house in (right, one, two)] == [False, True, True]
        assert (await right.journey()).current_stage() == "granted"
        await right.time_passes(seconds=1)
        await confirm(BusSettings(url=nats_url), one.clock.now())
        await until(lambda: not any(house.context.trusted.read().held for house in (right, one, two)))
        await asyncio.gather(look(one), look(two))
        assert (await right.journey()).current_stage() == "erasing"  # its time is over, says a person


# -- archive


@asynccontextmanager
async def archive_with_a_film(tmp_path: Path, nats_url: str, clock: ManualClock) -> AsyncIterator[Archive]:
    async with archives.running(tmp_path / "data", nats_url, clock) as archive:
        await archive.released(video(2), expires_at=START + 730 * DAY)
        yield archive


async def test_no_recording_ends_by_a_clock_that_is_ahead_whatever_is_heard_meanwhile(
    tmp_path: Path, nats_url: str
) -> None:
    clock = ManualClock(START)
    async with archive_with_a_film(tmp_path, nats_url, clock) as archive:
        clock.jump(AHEAD)
        await archive.deployment.running["archive"].timers.look()
        sha256 = (await archive.until("recording.archived")).data.sha256
        scopes = [*FULL, "share-institution"]
        more = {"scopes": scopes, "released": True, "released_sha256": sha256, "expires_at": START + 730 * DAY}
        await archive.consent("ConsentChangedV1", **more)
        await archive.until("recording.changed")
        playing = "/archive/api/v1/recordings/c1/plays"
        answer = await archive.http.get(playing, headers=archive.student())
        assert answer.status_code != 200  # by this clock the consent is over: in doubt, nothing is shown
        clock.jump(-AHEAD)
        await archive.beat()
        await archive.until_answer(200, playing, archive.student())
        recording = await Recordings(archive.context, QU).get("c1")
        assert recording is not None
        assert (recording.state, recording.due_at) == ("released", START + 730 * DAY)
        assert not [event for event in archive.told if event.type == "firsthand.recording.withdrawn.v1"]


async def test_nothing_is_handled_by_a_clock_that_is_not_judged_yet(
    tmp_path: Path, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start of a service without a mark: only NATS knows that the clock is ahead."""

    class Machine(ManualClock):
        of_the_machine = True

    now = SystemClock().now()
    client = await nats.connect(nats_url)
    told = Archive(deployment=None, clock=ManualClock(now), nats=client, issuer=None, http=None)  # type: ignore[arg-type]
    await told.meeting_finished()
    await told.consent("ConsentGrantedV1", scopes=FULL, expires_at=now + 730 * DAY)

    async def judge_late(trusted: Any, clock: Any, bus: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while not await bus.acknowledged("follow_consent") or not await bus.acknowledged("await_recording"):
                    await asyncio.sleep(0.01)
        await judge_at_start(trusted, clock, bus)

    monkeypatch.setattr("firsthand.shared.deployment.judge_at_start", judge_late)
    async with archives.running(tmp_path / "data", nats_url, Machine(now + AHEAD)) as archive:
        async with asyncio.timeout(PATIENCE):
            while not (found := await Recordings(archive.context, QU).get("c1")) or not (
                found.expected and found.consent_sequence
            ):
                await asyncio.sleep(0.01)
        assert archive.context.trusted.read().held
        assert (found.state, found.due_at) == ("awaited", now + 730 * DAY)
    await client.close()


@pytest.mark.parametrize(("marked", "asked"), [(False, 3), (True, 1)])
async def test_a_service_without_a_mark_asks_nats_again_for_the_time(
    tmp_path: Path, nats_url: str, monkeypatch: pytest.MonkeyPatch, marked: bool, asked: int
) -> None:
    monkeypatch.setattr("firsthand.shared.clock_watch._LOOK_EVERY", 0.01)
    async with consent_house.running(tmp_path, nats_url) as house:
        bus, trusted, tries = house.context.bus, house.context.trusted, []

        async def away_twice(**_: Any) -> Times:
            tries.append(1)
            if len(tries) < 3:
                raise TimeoutError
            return Times()

        monkeypatch.setattr(bus, "times", away_twice)
        trusted.has_mark = marked
        await judge_at_start(trusted, house.clock, bus)
    assert len(tries) == asked


async def test_an_unfinished_upload_outlives_a_clock_that_is_ahead(tmp_path: Path, nats_url: str) -> None:
    clock, film = ManualClock(START), video(2)
    async with archives.running(tmp_path / "data", nats_url, clock) as archive:
        await archive.awaiting()
        made = await archive.http.post(
            "/archive/api/v1/recordings/c1/uploads",
            headers={**archive.tutor(), **archives.TUS, "Upload-Length": str(len(film))},
        )
        half = len(film) // 2
        await archive.patch(made.headers["location"], 0, film[:half])
        clock.jump(AHEAD)
        await archive.deployment.running["archive"].timers.look()
        clock.jump(-AHEAD)
        answer = await archive.patch(made.headers["location"], half, film[half:])
        assert answer.status_code == 204
        await archive.until("recording.archived")
        assert await archive.brought() == film
