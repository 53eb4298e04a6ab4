"""Whatever waits for a family, it is told: by mail if it chose that, else by somebody of staff, who says so."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

from firsthand.shared.clock import ManualClock
from firsthand.shared.events.archive import RecordingArchivedV1, RecordingChangedV1, RecordingState
from firsthand.shared.events.contact import ContactReference
from tests.integration.test_scheduling import ADDRESS, API, NOW, QU, World, running, staff_cookies, world
from tests.postbox import Postbox, postbox

__all__ = ["postbox", "world"]  # fixtures


async def archived(world: World, version: int = 1, sequence: int | None = None, days_ago: int = 0) -> None:
    """Publish, as archive does, that a version of the recording can be watched by its family."""
    event = RecordingArchivedV1.record(
        institution=QU,
        subject="c1",
        sequence=sequence or version,
        at=world.clock.now() - timedelta(days=days_ago),
        actor="tutor1",
        data=RecordingState(
            contact=ContactReference(
                contact_id="c1", case_id="case1", reference="CLP-c1", language="es", tutor_id="tutor1"
            ),
            state="held",
            sha256=hashlib.sha256(bytes(version)).hexdigest(),
        ),
    )
    await world.publish(event)


async def met(world: World, address: str = "") -> None:
    await world.offered(language="es")
    booked = await world.booked(address=address)
    world.clock.set(booked.data.ends_at)
    closed = await world.staff_post("c1/close", held=True, participants=[{"person_id": "tutor1", "agrees": True}])
    assert closed.status_code == 200, closed.text
    await world.until("meeting.finished")


async def seen(world: World) -> dict[str, Any]:
    shown: dict[str, Any] = (await world.http.get(f"{API}/meetings/c1", headers=world.staff())).json()
    return shown


async def test_a_family_that_chose_mail_is_written_once_for_each_version_of_its_recording(world: World) -> None:
    await met(world, ADDRESS)
    before = len(world.mails())
    await archived(world)
    told = await world.until("meeting.told")
    assert (told.data.telling.of, told.data.telling.how) == ("recording", "by-email")
    mail = (await world.until_mails(before + 1))[-1]
    assert (mail["Subject"], mail["To"], mail["Reply-To"]) == (
        "Su grabación está lista para ver", ADDRESS, "families@college.example",
    )  # fmt: skip
    assert [part.get_content_type() for part in mail.walk()] == ["text/plain"]
    assert "Solo usted puede verla." in mail.get_content()
    assert "cleft" not in str(mail)

    await archived(world, version=1, sequence=2)  # the family went back to a version that it knows
    await archived(world, version=2, sequence=3)
    await world.until_mails(before + 2)
    await world.until("meeting.told", count=2)
    assert world.count("meeting.told") == 2
    shown = await seen(world)
    assert (shown["telling"], shown["words_to_tell"]) == ({"of": "recording", "how": "by-email"}, None)
    assert (await world.staff_post("c1/told")).json()["type"] == "urn:firsthand:scheduling:nothing-to-tell"


async def test_who_wants_no_mail_is_told_by_a_person_who_says_so(world: World) -> None:
    await met(world)
    await archived(world)
    assert (await world.until("meeting.told")).data.telling.how == "by-hand"
    shown = await seen(world)
    assert shown["telling"] == {"of": "recording", "how": "by-hand"}
    assert shown["words_to_tell"].startswith("La grabación de su videollamada con estudiantes de Example College está")
    page = await world.http.get("/scheduling/meetings/c1", headers=staff_cookies(world))
    assert "Tell the family that it can watch its recording" in page.text
    assert '<textarea id="tell" rows="4" readonly dir="auto">La grabación de su videollamada' in page.text
    done = await world.staff_post("c1/told")
    assert (done.status_code, done.json()["telling"]["how"]) == (200, "told")
    told = await world.until("meeting.told", count=2)
    assert (told.data.telling.how, told.actor) == ("told", "tutor1")
    assert (await world.staff_post("c1/told")).status_code == 409
    page = await world.http.get("/scheduling/meetings/c1", headers=staff_cookies(world))
    assert "I have told them" not in page.text
    assert world.mails() == []


async def changed(world: World, sequence: int, transcript: str | None, state: str = "held") -> None:
    """Publish, as archive does, how what is written down of the recording stands."""
    contact = ContactReference(contact_id="c1", case_id="case1", reference="CLP-c1", language="es", tutor_id="tutor1")
    told = RecordingState(contact=contact, state=state, transcript=transcript)
    at = world.clock.now()
    await world.publish(
        RecordingChangedV1.record(institution=QU, subject="c1", sequence=sequence, at=at, actor="tutor1", data=told)
    )


async def test_a_family_is_told_once_that_a_text_waits_for_it(world: World) -> None:
    await met(world, ADDRESS)
    await archived(world)
    before = len(await world.until_mails(len(world.mails()) + 1))
    await changed(world, 2, None)  # something else
    await changed(world, 3, "proposed")
    await changed(world, 4, "proposed")  # something else while it waits
    mail = (await world.until_mails(before + 1))[-1]
    assert mail["Subject"] == "Hay un texto listo para que lo lea"
    told = await world.until("meeting.told", count=2)
    assert (told.data.telling.of, told.data.telling.how) == ("text", "by-email")
    await changed(world, 5, "approved")
    await changed(world, 6, "proposed", state="released")  # a better one, which waits again
    await world.until_mails(before + 2)
    await world.until("meeting.told", count=3)


async def test_a_version_of_which_is_heard_late_is_told_all_the_same(world: World) -> None:
    await met(world)
    await changed(world, 3, None)
    await archived(world, sequence=2)
    assert (await world.until("meeting.told")).data.telling.of == "recording"


async def test_of_a_text_beside_a_recording_nobody_is_told_twice(world: World) -> None:
    await met(world)
    await archived(world)
    await world.until("meeting.told")
    await changed(world, 2, "proposed")
    await changed(world, 3, "approved")
    assert (await world.staff_post("c1/told")).status_code == 200
    await changed(world, 4, "proposed")
    told = await world.until("meeting.told", count=3)
    assert (told.data.telling.of, told.data.telling.how) == ("text", "by-hand")
    assert "un texto" not in (await seen(world))["words_to_tell"]
    assert (await seen(world))["words_to_tell"].startswith("Alguien puso por escrito")


async def test_what_staff_cancels_and_times_that_come_again_are_told_too(world: World) -> None:
    await world.offered()
    await world.booked()
    await world.staff_post("c1/reschedule", note="I am ill")
    assert (await world.until("meeting.offered", count=2)).data.telling.model_dump() == {
        "of": "choose-anew", "how": "by-hand",
    }  # fmt: skip
    assert (await world.booked()).data.telling is None, "the family has seen it"
    await world.staff_post("c1/cancel", reason="I am still ill")
    assert (await world.until("meeting.cancelled")).data.telling.of == "cancelled"
    await world.staff_post("c1/offer")
    assert (await world.until("meeting.offered", count=3)).data.telling.model_dump() == {
        "of": "times",
        "how": "by-hand",
    }

    await world.consent(contact="c2", language="en")
    await world.until("meeting.offered", "c2")
    await world.booked("c2", address=ADDRESS)
    await world.until_mails(1, "c2")
    await world.staff_post("c2/cancel")
    await world.until_mails(2, "c2")
    await world.staff_post("c2/offer")
    mail = (await world.until_mails(3, "c2"))[-1]
    assert mail["Subject"] == "You can choose a time for your video call again"


async def test_where_the_mail_is_refused_a_person_is_asked_to_tell(
    tmp_path: Path, nats_url: str, postbox: Postbox
) -> None:
    async with running(tmp_path / "data", nats_url, ManualClock(NOW), smtp_url=postbox.url) as world:
        await world.case()
        await met(world, ADDRESS)
        postbox.answers["RCPT"] = "550 no such mailbox"
        await archived(world)
        assert (await world.until("meeting.told")).data.telling.how == "by-email"
        told = await world.until("meeting.told", count=2)
        assert (told.data.telling.of, told.data.telling.how) == ("recording", "by-hand")
        page = await world.http.get("/scheduling/meetings/c1", headers=staff_cookies(world))
        assert "We could not deliver our email." in page.text


async def test_old_news_unknown_contacts_and_erased_ones_are_told_nothing(world: World) -> None:
    await archived(world)  # of nobody whom scheduling knows
    await met(world, ADDRESS)
    mails = len(world.mails())
    await archived(world, version=2, days_ago=8)
    await world.consent("ErasureRequestedV1", "withdrawn", erasure_id="e1")
    await world.until("scheduling.erased")
    await archived(world, version=3)
    await world.consent(contact="c9")
    await world.until("meeting.offered", "c9")
    assert world.count("meeting.told") == 0
    assert len(world.mails()) in (0, mails)
    kept = await world.kept.meeting("c1")
    assert kept
    assert (kept.telling, kept.notices, kept.told_of) == (None, [], [])
