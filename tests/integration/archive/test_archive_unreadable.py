"""What archive cannot read of consent closes the contact that it names, and nobody else, also after a restart."""

# ruff: noqa: ASYNC110 - what is waited for is told by another process or over HTTP

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import nats
import pytest

from firsthand.services.archive.gate import gate_of
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.bus.placements import Recorded, remove
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import ManualClock
from firsthand.shared.events.consent import ConsentWithdrawnV1, InvitationSentV1
from firsthand.shared.events.portal import PersonChangedV1
from firsthand.shared.topology import Placement
from tests.archive import QU, TUS, Archive, running
from tests.event_samples import put, sample
from tests.patience import PATIENCE

PLAYS = "/archive/api/v1/recordings/c1/plays"
NEWER = "moved-abroad"


def withdrawn(sequence: int, **changes: Any) -> dict[str, Any]:
    return sample(ConsentWithdrawnV1, sequence) | {"institution": QU, "source": f"/institutions/{QU}/consent"} | changes


async def tell(archive: Archive, raw: dict[str, Any]) -> None:
    """Publish as a consent service of another release does, and beat."""
    _, entity, name, _ = raw["type"].split(".")
    await archive.nats.jetstream().publish(f"fh.v1.{raw['institution']}.{entity}.{name}", json.dumps(raw).encode())
    await archive.beat()


async def another_family_answers(archive: Archive) -> None:
    await tell(archive, sample(InvitationSentV1, 3, subject="c2") | {"institution": QU})


async def status(archive: Archive, contact: str = "c1") -> int:
    answer = await archive.http.get(f"/archive/media/{contact}", headers=archive.student())
    return answer.status_code


async def impaired(archive: Archive) -> list[str]:
    found: list[str] = (await archive.http.get("/archive/readyz")).json()["impaired"]
    return found


async def until_sure(archive: Archive) -> None:
    async with asyncio.timeout(PATIENCE):
        while not gate_of(archive.context).sure:
            await archive.beat()
            await asyncio.sleep(0.02)


async def dead(archive: Archive) -> int:
    return await archive.context.bus.given_up("follow_consent")


UNREADABLE = {
    "a reason of another shape": lambda: put(withdrawn(9), ("data", "invitation", "closed_because"), {"code": NEWER}),
    "another state of affairs": lambda: withdrawn(9, data={"consents": []}),
    "a type of a newer release": lambda: withdrawn(9, type="firsthand.consent.suspended.v1"),
    "a newer version of a type": lambda: withdrawn(9, type="firsthand.consent.withdrawn.v2"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
async def test_what_a_newer_consent_says_closes_its_contact_until_it_is_understood(
    archive: Archive, film: bytes, kind: str
) -> None:
    await archive.released(film)
    await tell(archive, UNREADABLE[kind]())
    assert (await archive.until_answer(503, PLAYS, archive.student())).headers["retry-after"] == "2"
    await another_family_answers(archive)
    await until_sure(archive)
    assert await status(archive) == 503
    assert await status(archive, "c2") == 404  # the gate is open for all others: there is no such recording
    listed = await archive.http.get("/archive/api/v1/recordings", headers=archive.student())
    assert (listed.status_code, listed.json()["recordings"]) == (200, [])
    assert await impaired(archive)
    assert await dead(archive) == 0
    archive.sequence = 9  # and now a consent whose words we know
    await archive.consent("ConsentChangedV1", "paused")
    await archive.until_answer(404, PLAYS, archive.student())


async def test_a_withdrawal_for_a_reason_that_only_a_newer_release_knows_is_obeyed(
    archive: Archive, film: bytes
) -> None:
    await archive.released(film)
    raw = put(withdrawn(9), ("data", "invitation", "closed_because"), NEWER)
    raw["data"]["consent"]["state"] = "withdrawn"
    await tell(archive, raw)
    await archive.until_answer(404, PLAYS, archive.student())
    await another_family_answers(archive)
    await until_sure(archive)
    assert await status(archive) == 404
    assert await dead(archive) == 0


async def test_nothing_new_is_taken_in_while_what_consent_says_is_not_understood(archive: Archive, film: bytes) -> None:
    await archive.awaiting()
    await tell(archive, UNREADABLE["another state of affairs"]())
    async with asyncio.timeout(PATIENCE):
        while not await impaired(archive):
            await asyncio.sleep(0.02)
    answer = await archive.http.post(
        "/archive/api/v1/recordings/c1/uploads", headers={**archive.tutor(), **TUS, "Upload-Length": str(len(film))}
    )
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:firsthand:archive:not-allowed")
    assert archive.media_files() == []


async def test_it_stays_closed_over_a_restart_and_waits_without_a_dead_letter(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await archive.released(film)
        await tell(archive, UNREADABLE["another state of affairs"]())
        await archive.until_answer(503, PLAYS, archive.student())
    with caplog.at_level(logging.WARNING):
        async with running(tmp_path / "data", nats_url, clock) as archive:
            await until_sure(archive)
            assert await status(archive) == 503
            assert await status(archive, "c2") == 404
            assert await dead(archive) == 0
            async with asyncio.timeout(PATIENCE):  # the durable is given it again a moment later
                while not [text for text in await impaired(archive) if "follow_consent wait" in text]:
                    await asyncio.sleep(0.02)
            assert [text for text in await impaired(archive) if "does not understand what consent said" in text]
            ready = await archive.http.get("/archive/readyz")
            assert ready.status_code == 200
            figures = (await archive.http.get("/archive/metrics")).text
            assert 'firsthand_gate_closed_contacts{service="archive"} 1.0' in figures
            assert 'firsthand_gate_shut{service="archive"} 0.0' in figures
    assert "c1" not in "".join(record.getMessage() for record in caplog.records if record.name == "firsthand.archive")


@pytest.mark.parametrize("changes", [{"type": "firsthand.person.removed.v1"}, {"data": {"roles": 7}}], ids=str)
async def test_what_is_not_understood_of_a_person_ends_that_persons_sessions_only(
    archive: Archive, changes: dict[str, Any]
) -> None:
    tutor, student = archive.tutor(), archive.student()
    raw = sample(PersonChangedV1, subject="tutor1") | {"institution": QU, "time": archive.clock.now().isoformat()}
    await tell(archive, raw | changes)
    await archive.until_answer(401, "/archive/api/v1/recordings", tutor)
    await archive.until_answer(200, "/archive/api/v1/recordings", student)


async def test_rubbish_closes_nothing_also_after_a_restart(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await archive.released(film)
    client = await nats.connect(nats_url)
    for body in (b"{}", b'{"type": "firsthand.consent.withdrawn.v1"}'):
        await client.jetstream().publish("fh.v1.no-such-school.consent.withdrawn", body)
    await client.close()
    async with running(tmp_path / "data", nats_url, clock) as archive:
        async with asyncio.timeout(PATIENCE):
            while await dead(archive) < 2:
                await asyncio.sleep(0.02)
        await until_sure(archive)
        assert await status(archive) == 200
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await until_sure(archive)
        assert await status(archive) == 200
        assert [text for text in await impaired(archive) if "2 dead letter(s) of archive name no contact" in text]


async def test_a_dead_letter_closes_the_contact_that_it_names_until_it_is_discarded(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await archive.released(film)
        await archive.nats.jetstream().publish(  # as bury() keeps what a handler could not take
            "fh.dead.archive.follow_consent",
            json.dumps(withdrawn(9)).encode(),
            headers={"Firsthand-Subject": f"fh.v1.{QU}.consent.withdrawn"},
        )
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await until_sure(archive)
        assert await status(archive) == 503
        assert await status(archive, "c2") == 404
        assert [text for text in await impaired(archive) if "archive could not take what consent said" in text]
        letters = DeadLetters(archive.nats.jetstream())
        for letter in [one async for one in letters.list("archive")]:
            await letters.discard(letter.number)
        async with asyncio.timeout(PATIENCE):
            while await status(archive) != 200:
                await archive.beat()
                await asyncio.sleep(0.05)
        assert await impaired(archive) == []


async def test_a_dead_letter_on_its_way_again_closes_its_contact_and_nobody_else(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await archive.released(film)
    client = await nats.connect(nats_url)
    js = client.jetstream()
    # replayed before archive was upgraded: it waits there again, without end
    await js.publish(
        "fh.replay.all.archive.follow_consent",
        json.dumps(UNREADABLE["another state of affairs"]()).encode(),
        headers={"Firsthand-Subject": f"fh.v1.{QU}.consent.withdrawn"},
    )
    await client.close()
    async with running(tmp_path / "data", nats_url, clock) as archive:
        await until_sure(archive)
        assert await status(archive) == 503
        assert await status(archive, "c2") == 404


async def test_one_that_waits_shuts_nothing_where_only_some_institutions_are_served(
    tmp_path: Path, nats_url: str, clock: ManualClock, film: bytes
) -> None:
    only = {"placement": "here", "institutions": QU}
    here = BusSettings(url=nats_url, placement=Placement("here", (QU,)))
    await remove(here, Recorded("all"))
    await apply(here)
    async with running(tmp_path / "data", nats_url, clock, **only) as archive:
        await archive.released(film)
        await tell(archive, withdrawn(9, subject="c2", data={"consents": []}))
        elsewhere = sample(InvitationSentV1, 3, subject="c3") | {"institution": "akl-dent"}
        await tell(archive, elsewhere)  # it is never heard here, and the pulse names it
        await until_sure(archive)
        assert await status(archive) == 200
        assert [text for text in await impaired(archive) if "1 contact(s) do not play" in text]
    async with running(tmp_path / "data", nats_url, clock, **only) as archive:
        await tell(archive, elsewhere | {"id": "another"})
        await until_sure(archive)
        assert await status(archive) == 200
