"""Who may see a recording, byte for byte, and that nobody does any more when consent ends or falls silent."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import nats
import pytest

from firsthand.services.archive.gate import CannotTell, gate_of
from firsthand.shared.clock import ManualClock
from firsthand.shared.events import AnyEvent
from firsthand.shared.events.portal import EndedState, SessionEndedV1
from tests.archive import AKL, FULL, QU, Archive, running, served
from tests.patience import PATIENCE


async def test_every_range_is_byte_for_byte_what_was_uploaded(archive: Archive, long_film: bytes) -> None:
    sha = await archive.released(long_film)
    shown = await archive.shown()
    whole = await archive.http.get("/archive/media/c1", headers=archive.student())
    assert whole.status_code == 200
    assert whole.content == shown
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"] == "no-store"
    assert whole.headers["etag"] == f'"{sha}"'
    size = len(shown)
    for start, end in ((0, 1), (65_535, 65_537), (100_000, 300_001), (size - 5, size), (0, size)):
        part = await archive.http.get(
            "/archive/media/c1", headers={**archive.student(), "Range": f"bytes={start}-{end - 1}"}
        )
        assert part.status_code == 206
        assert part.content == shown[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    beyond = await archive.http.get("/archive/media/c1", headers={**archive.student(), "Range": f"bytes={size}-"})
    assert beyond.status_code == 416
    head = await archive.http.head("/archive/media/c1", headers=archive.student())
    assert (head.headers["content-length"], head.content) == (str(size), b"")


async def test_a_player_goes_on_while_uploads_keep_every_other_thread_waiting(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    shown = await archive.shown()
    disk = threading.Event()  # that answers nobody
    loop = asyncio.get_running_loop()
    busy = [loop.run_in_executor(None, disk.wait, PATIENCE) for _ in range(64)]  # more than the loop has
    try:
        whole = await asyncio.wait_for(archive.http.get("/archive/media/c1", headers=archive.student()), 5)
        assert whole.content == shown
    finally:
        disk.set()
        await asyncio.gather(*busy)


async def test_a_recording_plays_to_its_audience_and_nobody_else(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    asked = {
        "family": ("/archive/family/media", archive.family()),
        "cohort": ("/archive/media/c1", archive.student()),
        "tutor": ("/archive/media/c1", archive.tutor()),
        "other cohort": ("/archive/media/c1", archive.student("year-6")),
        "other institution": ("/archive/media/c1", archive.student(institution=AKL)),
        "other family": ("/archive/family/media", archive.family("c2")),
        "family elsewhere": ("/archive/family/media", archive.family(institution=AKL)),
        "download": ("/archive/media/c1?download=1", archive.student()),
        "nobody": ("/archive/api/v1/recordings/c1/plays", {}),
    }
    answers = {who: (await archive.http.get(path, headers=h)).status_code for who, (path, h) in asked.items()}
    assert answers == {
        "family": 200,
        "cohort": 200,
        "tutor": 200,
        "other cohort": 404,
        "other institution": 404,
        "other family": 404,
        "family elsewhere": 404,
        "download": 404,
        "nobody": 401,
    }


async def test_what_is_held_is_seen_by_its_family_alone(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await archive.upload(film)
    await archive.until("recording.archived")
    assert (await archive.until_answer(200, "/archive/family/media", archive.family())).content == await archive.shown()
    for somebody in (archive.student(), archive.tutor()):
        assert (await archive.http.get("/archive/media/c1", headers=somebody)).status_code == 404


async def test_a_family_learns_how_often_its_recording_was_watched(archive: Archive, film: bytes) -> None:
    await archive.released(film, scopes=[*FULL, "share-institution"])
    for cohort in ("year-3", "year-6", "year-3"):
        await archive.http.get("/archive/media/c1", headers=archive.student(cohort))
    await archive.http.get("/archive/family/media", headers=archive.family())
    await archive.http.get("/archive/media/c1", headers=archive.tutor())
    told = (await archive.http.get("/archive/api/v1/family", headers=archive.family())).json()
    assert told["watched"]["times"] == 2
    assert datetime.fromisoformat(told["watched"]["last_at"]) == archive.clock.now()


async def test_a_changed_audience_is_obeyed_at_once_and_told(archive: Archive, film: bytes) -> None:
    sha = await archive.released(film)
    await archive.consent(
        "ConsentChangedV1", scopes=["meet", "record-video", "share-institution"], released=True, released_sha256=sha
    )
    assert (await archive.until("recording.changed")).data.audience == ["share-institution"]
    assert (await archive.http.get("/archive/media/c1", headers=archive.student("year-6"))).status_code == 200


async def test_without_consents_pulse_nothing_plays_and_the_true_reason_is_given(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    archive.clock.advance(timedelta(seconds=4.9))
    assert (await archive.http.get("/archive/media/c1", headers=archive.student())).status_code == 200
    archive.clock.advance(timedelta(seconds=0.1))
    for path, who in (("/archive/media/c1", archive.student()), ("/archive/family/media", archive.family())):
        answer = await archive.http.get(path, headers=who)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["title"] == "We cannot check the family's permission right now"
        assert answer.json()["detail"] == "The family has not changed anything. Try again in a moment."
    await archive.beat()
    await archive.until_answer(200, "/archive/media/c1", archive.student())


@pytest.mark.parametrize("days", [-1100, 1100])
async def test_a_pulse_ages_by_the_time_that_passes_whatever_the_clock_is_set_to(
    archive: Archive, film: bytes, days: int
) -> None:
    await archive.released(film)
    archive.clock.advance(timedelta(seconds=1))
    gate = gate_of(archive.context)
    archive.clock.jump(timedelta(days=days))
    await gate.be_sure()
    archive.clock.advance(timedelta(seconds=4))
    with pytest.raises(CannotTell):
        await gate.be_sure()


async def test_who_asks_before_the_first_pulse_after_a_start_is_answered_with_it(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.released(film)
    async with running(tmp_path / "data", nats_url, clock) as two:
        assert (await two.http.get("/archive/readyz")).json()["impaired"] == []
        playing = asyncio.create_task(two.http.get("/archive/media/c1", headers=two.student()))
        async with asyncio.timeout(PATIENCE):
            while not gate_of(two.context)._moved._waiters:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        await two.beat()
        answer = await playing
        assert (answer.status_code, answer.content) == (200, await two.shown())


@pytest.mark.parametrize(
    "beat",
    [b"", b"true", b'{"sequence": 1}', b'{"sequence": Infinity, "at": "2026-11-21T12:00:00+00:00"}', b"[" * 100_000],
    ids=["empty", "no object", "no time", "endless", "deep"],
)
async def test_a_beat_that_cannot_be_read_is_no_sign_of_life_and_keeps_no_later_one_out(
    archive: Archive, film: bytes, beat: bytes
) -> None:
    await archive.released(film)
    await gate_of(archive.context)._feel(beat)
    archive.clock.advance(timedelta(seconds=5))
    await gate_of(archive.context)._feel(beat)
    assert (await archive.http.get("/archive/media/c1", headers=archive.student())).status_code == 503
    await archive.beat()
    await archive.until_answer(200, "/archive/media/c1", archive.student())


async def test_a_pulse_that_names_an_event_not_yet_heard_shuts_the_gate(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    await archive.say(999)
    await archive.until_answer(503, "/archive/api/v1/recordings/c1/plays", archive.student())
    await archive.nats.publish("fh.pulse.consent", b"nonsense")
    await archive.beat()  # by another replica, which looked before: it takes nothing back
    await asyncio.sleep(0.1)
    await archive.until_answer(503, "/archive/api/v1/recordings/c1/plays", archive.student())


async def test_a_stream_that_was_set_back_is_watched_anew(archive: Archive, film: bytes) -> None:
    await archive.released(film)
    await archive.say(999)  # and then what it was before: the server was given back what a backup held
    await archive.until_answer(503, "/archive/api/v1/recordings/c1/plays", archive.student())
    archive.clock.advance(timedelta(seconds=5))
    async with asyncio.timeout(PATIENCE):
        while not gate_of(archive.context).sure:
            await archive.beat()
            await asyncio.sleep(0.05)
    await archive.until_answer(200, "/archive/api/v1/recordings/c1/plays", archive.student())


async def test_a_withdrawal_blocks_at_once_and_gives_no_reason(archive: Archive, film: bytes) -> None:
    sha = await archive.released(film)
    await archive.withdraw()
    answer = await archive.until_answer(404, "/archive/media/c1", archive.student())
    assert answer.json()["title"] == "This recording is not available"
    assert "withdr" not in answer.text
    await archive.until("recording.withdrawn")
    await archive.consent("ConsentChangedV1", released=True, released_sha256=sha)
    await archive.until("recording.published", 2)
    await archive.until_answer(200, "/archive/media/c1", archive.student())


async def test_a_replica_that_starts_knows_what_was_withdrawn_while_it_was_away(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as one:
        await one.released(film)
    async with running(tmp_path / "data", nats_url, clock) as two:
        assert (await two.http.get("/archive/media/c1", headers=two.student())).status_code == 503  # no pulse yet
        await two.beat()
        await two.until_answer(200, "/archive/media/c1", two.student())
        two.sequence = one.sequence
    connection = await nats.connect(nats_url)
    away = Archive(two.deployment, clock, connection, two.issuer, two.http, sequence=one.sequence)
    await away.withdraw()
    await connection.close()
    async with running(tmp_path / "data", nats_url, clock) as three:
        seen = set()
        for _ in range(60):
            await three.beat()
            seen.add((await three.http.get("/archive/media/c1", headers=three.student())).status_code)
            await asyncio.sleep(0.01)
        assert 200 not in seen
        assert 404 in seen


async def _slow_player(port: int, headers: dict[str, str], got: Callable[[int], None]) -> None:
    """Take a little every 50 ms, with the smallest buffer of its own, until the connection ends."""
    loop = asyncio.get_running_loop()
    with socket.socket() as player:
        player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        player.setblocking(False)
        await loop.sock_connect(player, ("127.0.0.1", port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Host": "test"}.items())
        await loop.sock_sendall(player, f"GET /archive/media/c1 HTTP/1.1\r\n{lines}\r\n".encode())
        while True:
            try:
                piece = await loop.sock_recv(player, 2000)
            except ConnectionResetError:
                return
            if not piece:
                return
            got(len(piece))
            await asyncio.sleep(0.05)


@pytest.mark.promise
@pytest.mark.parametrize("ending", ["withdrawal", "paused", "audience"])
async def test_a_player_that_is_streaming_gets_no_byte_one_second_after(
    archive: Archive, long_film: bytes, ending: str
) -> None:
    sha = await archive.released(long_film)
    taken: list[tuple[float, int]] = []
    async with served(archive) as port:
        playing = asyncio.create_task(
            _slow_player(port, archive.student(), lambda n: taken.append((time.monotonic(), n)))
        )
        while sum(n for _, n in taken) < 10_000:
            await asyncio.sleep(0.01)
        assert not playing.done()
        if ending == "withdrawal":
            await archive.withdraw()
        elif ending == "paused":
            await archive.consent("ConsentChangedV1", "paused", released=True, released_sha256=sha)
        else:
            await archive.consent("ConsentChangedV1", scopes=["record-video"], released=True, released_sha256=sha)
        ended = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            await playing
    assert taken[-1][0] - ended < 1
    assert sum(n for _, n in taken) < len(long_film) / 4


async def test_a_withdrawal_waits_behind_nothing_that_was_told_before_it(
    archive: Archive, long_film: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.released(long_film)
    gate = gate_of(archive.context)
    assert gate._listener
    (part,) = gate._listener._parts
    still_hearing = asyncio.Event()

    async def hear_slowly(_event: AnyEvent, _sequence: int) -> None:
        still_hearing.set()
        await asyncio.Event().wait()

    async with served(archive) as port:
        taken: list[int] = []
        playing = asyncio.create_task(_slow_player(port, archive.student(), taken.append))
        while sum(taken) < 10_000:
            await asyncio.sleep(0.01)
        await archive.context.bus.stop_fetching()  # the store hears of nothing any more
        monkeypatch.setattr(part, "_call", hear_slowly)
        await archive.publish(archive.told_by_consent("InvitationSentV1", "granted", scopes=FULL))
        await still_hearing.wait()
        archive.sequence += 1
        await archive.publish(archive.told_by_consent("ConsentWithdrawnV1", "withdrawn"))
        async with asyncio.timeout(PATIENCE):
            await playing
    assert sum(taken) < len(long_film) / 4


async def test_a_player_that_is_streaming_stops_when_its_viewer_signs_out(archive: Archive, long_film: bytes) -> None:
    await archive.released(long_film)
    one, other = (
        archive.issuer.staff(QU, "s", roles=frozenset({"student"}), cohorts=frozenset({"year-3"}), session_id=session)
        for session in ("one", "other")
    )
    taken: list[int] = []
    async with served(archive) as port:
        playing = asyncio.create_task(_slow_player(port, {"Authorization": f"Bearer {one}"}, taken.append))
        while sum(taken) < 10_000:
            await asyncio.sleep(0.01)
        ended = SessionEndedV1.record(
            institution=QU, subject="one", sequence=2, at=archive.clock.now(), actor="s",
            data=EndedState(session_id="one"),
        )  # fmt: skip
        await archive.publish(ended)
        async with asyncio.timeout(PATIENCE):
            await playing
    assert sum(taken) < len(long_film) / 4
    for token, status in ((one, 303), (other, 200)):
        answer = await archive.http.get("/archive/media/c1", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status


@pytest.mark.promise
async def test_a_player_that_is_streaming_stops_when_consent_falls_silent(archive: Archive, long_film: bytes) -> None:
    await archive.released(long_film)
    taken: list[int] = []
    async with served(archive) as port:
        playing = asyncio.create_task(_slow_player(port, archive.student(), taken.append))
        while sum(taken) < 10_000:
            await asyncio.sleep(0.01)
        archive.clock.advance(timedelta(seconds=5))
        silent = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            await playing
        assert time.monotonic() - silent < 1
