"""Consent is a live rule: playback stops, erasure is real, and doubt means no."""

import asyncio
import contextlib
import io
import random
import socket
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from firsthand.example import journey as play
from firsthand.example.media import make_video
from firsthand.shared.client import Refused
from firsthand.shared.clock import SystemClock
from tests.e2e.system import System, unique
from tests.patience import PATIENCE

CLOCK = SystemClock()
CANARY = "canary-7f3a9-hummingbird"


@asynccontextmanager
async def released(system: System, slug: str, handle: str, media: bytes | None = None) -> AsyncIterator[play.Journey]:
    async with play.school(system.url, system.keys, CLOCK, slug) as school:
        await play.open_case(school)
        journey = await play.clear(school, await play.nominate(school, handle))
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            await play.decide(journey)
            await play.book(journey)
            await play.hold(journey)
            await play.upload(journey, media, chunk=1024 * 1024)
            await play.release(journey)
            yield journey


def _long_sound() -> bytes:
    """A WAV file of 40 seconds, 7.7 MB: more than all buffers between the server and a player hold."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(random.Random(1).randbytes(40 * 48_000 * 4))
    return file.getvalue()


async def _student_cookie(journey: play.Journey) -> str:
    jar = journey.school.student._http.cookies
    return "; ".join(f"{name}={value}" for name, value in jar.items())


async def _player(system: System, journey: play.Journey) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin to play as a student."""
    address = urlsplit(system.url)
    player = socket.socket()
    player.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # what lies here has been received already
    player.setblocking(False)
    await asyncio.get_running_loop().sock_connect(player, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=player, limit=4096)
    cookie = await _student_cookie(journey)
    request = (
        f"GET /archive/media/{journey.contact_id} HTTP/1.1\r\n"
        f"Host: {address.netloc}\r\nCookie: {cookie}\r\nAccept: */*\r\n\r\n"
    )
    writer.write(request.encode())
    status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
    assert b" 200 " in status
    return reader, writer


@pytest.mark.promise
async def test_a_running_player_gets_no_further_byte_a_second_after_withdrawal(system: System) -> None:
    media = _long_sound()
    async with released(system, unique("oak-dental"), "player.example", media) as journey:
        reader, writer = await _player(system, journey)
        received, withdrawn_at, last_byte = 0, 0.0, 0.0
        while True:  # a player that reads as it plays, far slower than the server could send
            try:
                block = await reader.read(2048)
            except ConnectionResetError:  # cut off in the middle
                break
            if not block:
                break
            received += len(block)
            last_byte = time.monotonic()
            if received > 60_000 and not withdrawn_at:
                await play.withdraw(journey)
                withdrawn_at = time.monotonic()
            await asyncio.sleep(0.005)
        writer.close()
        assert withdrawn_at
        assert received < len(media)
        assert last_byte - withdrawn_at < 1.0


async def test_playback_is_refused_with_the_true_reason_when_consent_cannot_be_checked(services: System) -> None:
    async with released(services, unique("oak-dental"), "careful.example") as journey:
        assert (await play.watch(journey))[0] == 200
        await services.programs["consent"].kill()
        stopped = time.monotonic()
        with contextlib.suppress(Refused):  # one who is watching at that moment is cut off
            while (await play.watch(journey))[0] == 200:
                assert time.monotonic() - stopped < PATIENCE
                await asyncio.sleep(0.2)
        answer = await journey.school.student.send("GET", f"/archive/media/{journey.contact_id}")
        assert answer.status_code == 503
        assert "The family has not changed anything" in answer.text
        assert answer.headers["Retry-After"]
        await services.programs["consent"].start()

        async def plays_again() -> bool:
            return (await play.watch(journey))[0] == 200

        await play.eventually("playback after consent is back", plays_again)


def _files_with(folder: Path, needles: list[bytes]) -> list[str]:
    return [
        f"{path}: {needle[:40]!r}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for needle in needles
        if needle in path.read_bytes()
    ]


async def test_nothing_personal_is_left_anywhere_after_erasure(system: System, tmp_path: Path) -> None:
    media = await asyncio.to_thread(make_video, 6.0)
    needles = [CANARY.encode(), media[2000:2400], media[-600:-200]]
    async with play.school(system.url, system.keys, CLOCK, unique("oak-dental")) as school:
        await play.open_case(school)
        await play.import_posts(school, "mastodon", _post_by(CANARY).encode())
        (lead,) = await play.waiting_leads(school)
        journey = await play.clear(school, lead["lead_id"])
        await play.send_first_message(journey)
        await play.log_answer(journey, "yes")
        async with play.open_link(journey):
            needles.append(journey.link.rsplit("/", 1)[1].encode())
            body = {
                "signer": "parent", "name": f"{CANARY} Parent", "about_child": True, "child_assent": "yes",
                "scopes": {scope: scope != "share-public" for scope in play.SCOPES},
            }  # fmt: skip
            await journey.family.call("POST", "/consent/api/v1/family/decision", body)
            slots = await play.free_times(journey)
            reach = {"by": "email", "address": f"{CANARY}@family.example"}
            choice = {"starts_at": slots[0]["starts_at"], "zone": "America/Phoenix", "reach": reach}
            await journey.family.call("POST", "/scheduling/api/v1/family/meeting", choice)
            await play.meeting(journey, "scheduled")
            await play.hold(journey)
            await play.upload(journey, media)
            await play.release(journey)
            backup = await asyncio.to_thread(_data_backup, system.data, tmp_path / "backup")
            await play.withdraw(journey)
            told = await play.certificate(journey)
            scheduling = next(one for one in told["services"] if one["service"] == "scheduling")
            assert "mail" in scheduling["erased"]
            assert scheduling["out_of_reach"] == []  # nothing left the mail folder
        found = _files_with(system.data, needles) + _files_with(backup, needles)
        found += _files_with(system.everything.log.parent, needles)
        assert not found


def _data_backup(data: Path, target: Path) -> Path:
    """What the operator's page says to back up: databases, streams and media; neither keys nor mail."""
    for part in ("db", "nats", "media"):
        for path in (data / part).rglob("*"):
            if path.is_file():
                copy = target / path.relative_to(data)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    return target


def _post_by(handle: str) -> str:
    return (
        f'[{{"id":"1","url":"https://social.example/@{handle}/1","created_at":"2026-11-01T10:00:00.000Z",'
        f'"language":"en","visibility":"public","sensitive":false,"content":"<p>#cleftlip {CANARY}</p>",'
        f'"tags":[{{"name":"cleftlip"}}],"account":{{"acct":"{handle}","url":"https://social.example/@{handle}",'
        f'"bot":false,"locked":false,"noindex":false}}}}]'
    )
