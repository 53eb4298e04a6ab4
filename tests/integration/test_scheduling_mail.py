"""Mail to families: whom it reaches, what calendars make of it, and what people read while it cannot be sent."""

from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import icalendar
import pytest

from firsthand.services.scheduling.model import Meeting
from firsthand.shared.clock import ManualClock
from tests.integration.test_scheduling import (
    ADDRESS,
    HOUR,
    NOW,
    QU,
    World,
    cookies,
    running,
    staff_cookies,
    world,
)
from tests.postbox import Postbox, postbox

__all__ = ["postbox", "world"]  # fixtures

OTHER = "other.family@home.example"


def entry(mail: EmailMessage) -> tuple[str, Any]:
    """The method and the event of a mail's calendar file."""
    (part,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    calendar = icalendar.Calendar.from_ical(part.get_content())
    (event,) = calendar.walk("VEVENT")
    assert part["Content-Type"].params["method"] == calendar["METHOD"]
    return str(calendar["METHOD"]), event


async def change_address(world: World, at: datetime, address: str) -> None:
    form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    data = {"at": at.isoformat(), "by": "email", "address": address}
    answer = await world.http.post("/scheduling/family/confirm", data=data, headers=form)
    assert answer.status_code == 303, answer.text


async def test_a_former_address_is_told_that_the_call_is_no_longer_in_its_calendar(world: World) -> None:
    await world.offered()
    booked = await world.booked(address=ADDRESS)
    await world.until_mails(1)
    await change_address(world, booked.data.starts_at, f"  {OTHER}\u200b ")
    folder = world.deployment.settings.mail / QU / "c1"
    await world.eventually(lambda: _count(folder, 3))
    mails = {str(mail["To"]): mail for mail in _mails(folder) if "booked" not in mail["Subject"] or mail["To"] == OTHER}
    method, event = entry(mails[ADDRESS])
    assert (method, event["SEQUENCE"]) == ("CANCEL", 1)
    assert mails[ADDRESS]["Subject"] == "No more emails about a video call to this address"
    text = mails[ADDRESS].get_body(("plain",))
    assert text is not None
    assert "The call itself is not cancelled." in text.get_content()
    assert OTHER not in text.get_content()
    assert "2026" not in text.get_content(), "a stranger may read this"
    method, new = entry(mails[OTHER])
    assert (method, new["SEQUENCE"], new["UID"]) == ("REQUEST", 1, event["UID"])
    assert new["ATTENDEE"] == f"mailto:{OTHER}"


async def _count(folder: Path, count: int) -> bool:
    return len(_mails(folder)) >= count


def _mails(folder: Path) -> list[EmailMessage]:
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.glob("*.eml")]


async def test_a_meeting_keeps_its_entry_in_calendars_whatever_becomes_of_our_addresses(
    tmp_path: Path, nats_url: str
) -> None:
    data, clock = tmp_path / "data", ManualClock(NOW)
    async with running(data, nats_url, clock) as world:
        await world.case()
        for contact in ("c1", "c2"):
            await world.offered(contact)
        await world.booked("c1", address=ADDRESS)
        await world.booked("c2", address=ADDRESS, number=1)
        (first,) = await world.until_mails(1)
        old = await world.eventually(lambda: _idle(world, "c2"))
        old.entry = old.case_id = None  # as the release before saved it
        await world.kept._meetings.save(old)
    async with running(data, nats_url, clock) as world:  # the new release starts; our address is still the same
        await world.eventually(lambda: _settled(world, "c2"))
    moved = {"public_url": "https://moved.example", "mail_from": "new@moved.example"}
    async with running(data, nats_url, clock, **moved) as world:
        for contact, uid in (("c1", "c1.qu-cdm@meetings.firsthand.invalid"), ("c2", "c2@firsthand.example")):
            await world.http.post("/scheduling/api/v1/family/meeting/cancel", headers=world.family(contact))
            method, event = entry((await world.until_mails(2, contact))[1])
            assert (method, event["UID"]) == ("CANCEL", uid)
            organizer = "families@college.example" if contact == "c1" else "firsthand@localhost.localdomain"
            assert event["ORGANIZER"] == f"mailto:{organizer}"
    assert entry(first)[1]["UID"] == "c1.qu-cdm@meetings.firsthand.invalid"


async def _idle(world: World, contact: str) -> Meeting | None:
    meeting = await world.kept.known_meeting(contact)
    return meeting if meeting.invited and not meeting.letters else None


async def _settled(world: World, contact: str) -> Meeting | None:
    meeting = await world.kept.known_meeting(contact)
    return meeting if meeting.entry else None


async def test_while_mail_cannot_be_sent_everybody_who_waits_for_it_reads_so_and_then_it_goes(
    tmp_path: Path, nats_url: str, postbox: Postbox
) -> None:
    postbox.answers["MAIL"] = "550 who are you"
    async with running(tmp_path / "data", nats_url, ManualClock(NOW), smtp_url=postbox.url) as world:
        await world.case()
        await world.offered()
        booked = await world.booked(address=ADDRESS)
        await world.eventually(lambda: _waits(world))
        page = (await world.http.get("/scheduling/family", headers=cookies(world))).text
        assert "We could not email you yet" in page
        assert "We will remind you by email" not in page
        theirs = (await world.http.get("/scheduling/meetings/c1", headers=staff_cookies(world))).text
        assert "by email: not sent yet, we have been trying since Monday, March 2, 2026 at 12 noon" in theirs
        assert (await world.state())["reach"]["trouble"] == "waits"

        told = await world.eventually(lambda: _told(world, waiting=1))
        assert told["ready"]
        assert told["impaired"] == [
            "No mail can be sent since 2026-03-02 09:00 UTC: the mail server does not take our own address (550)"
        ]
        assert told["mail"]["error"] == "the mail server does not take our own address (550)"
        figures = (await world.http.get("/scheduling/metrics")).text
        assert 'firsthand_mail_failing{service="scheduling"} 1.0' in figures
        assert 'firsthand_mail_waiting{service="scheduling"} 1.0' in figures

        postbox.answers = {}
        world.clock.set(NOW + timedelta(minutes=2))
        await world.eventually(lambda: _taken(postbox))
        await world.eventually(lambda: _waits_no_more(world))
        (mail,) = postbox.mails()
        assert entry(mail)[1].start == booked.data.starts_at
        assert (
            "We will remind you by email" in (await world.http.get("/scheduling/family", headers=cookies(world))).text
        )
        assert (await world.eventually(lambda: _told(world, waiting=0)))["impaired"] == []


async def _waits(world: World) -> bool:
    return (await world.kept.known_meeting("c1")).mail_trouble == "waits"


async def _waits_no_more(world: World) -> bool:
    return (await world.kept.known_meeting("c1")).mail_trouble is None


async def _taken(postbox: Postbox) -> bool:
    return bool(postbox.received)


async def _told(world: World, *, waiting: int) -> dict[str, Any] | None:
    world.context.mail.state.changed.set()  # the watch looks at once, not in fifteen seconds
    told: dict[str, Any] = (await world.http.get("/scheduling/readyz")).json()
    settled = bool(told["impaired"]) == bool(waiting)
    return told if settled and told.get("mail", {}).get("waiting", 0) == waiting else None


@pytest.mark.parametrize(
    ("speaks", "status"), [(("8BITMIME", "SMTPUTF8"), 303), (("8BITMIME",), 422)], ids=["a server can", "none can"]
)
async def test_letters_before_the_at_sign_are_taken_where_our_server_can_write_to_them_and_refused_in_words_where_not(
    tmp_path: Path, nats_url: str, postbox: Postbox, speaks: tuple[str, ...], status: int
) -> None:
    postbox.speaks = speaks
    async with running(tmp_path / "data", nats_url, ManualClock(NOW), smtp_url=postbox.url) as world:
        await world.case()
        await world.offered()
        booked = await world.booked(zone="America/New_York")
        form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
        data = {"at": booked.data.starts_at.isoformat(), "by": "email", "address": "josé@müller.example"}
        answer = await world.http.post("/scheduling/family/confirm", data=data, headers=form)
        assert answer.status_code == status
        if status == 303:
            await world.eventually(lambda: _taken(postbox))
            assert postbox.received[0].recipients == ["RCPT TO:<josé@xn--mller-kva.example>"]
            page = (await world.http.get("/scheduling/family", headers=cookies(world))).text
            assert "by email at josé@müller.example" in page
        else:
            assert "We cannot send email to an address with letters such as é before the @." in answer.text
            assert postbox.received == []


async def test_a_tutor_is_asked_twice_about_a_time_that_is_night_for_the_family(world: World) -> None:
    await world.offered()
    await world.booked(zone="Pacific/Auckland")
    form, at = staff_cookies(world), "2026-03-10T15:00"  # in Qatar; 1:00 in Auckland
    asked = await world.http.post("/scheduling/meetings/c1/move", data={"at": at}, headers=form)
    assert asked.status_code == 422
    assert "This is before 8 in the morning or after 9 in the evening for the family" in asked.text
    assert world.count("meeting.scheduled") == 1
    slot = (NOW + 8 * 24 * HOUR).replace(hour=12).isoformat()
    assert f'name="slot" value="{slot}"' in asked.text
    data = {"slot": slot, "night": "yes"}
    assert (await world.http.post("/scheduling/meetings/c1/move", data=data, headers=form)).status_code == 303
    await world.until("meeting.scheduled", count=2)


async def test_a_family_finds_night_folded_away_marked_and_asked_about_again(world: World) -> None:
    await world.offered()
    form = cookies(world, **{"Sec-Fetch-Site": "same-origin"})
    await world.http.post("/scheduling/family/place", data={"zone": "America/New_York"}, headers=form)
    times = (await world.http.get("/scheduling/family/times", headers=cookies(world))).text
    by_day, _, _rest = times.partition('<details class="more">')
    assert "8:00" in by_day
    assert "early morning" not in by_day
    assert "late evening" not in by_day
    await world.http.post("/scheduling/family/place", data={"zone": "America/Phoenix"}, headers=form)
    times = (await world.http.get("/scheduling/family/times", headers=cookies(world))).text
    assert "2 times before 8 in the morning or after 9 in the evening" in times
    folded = times.split('<details class="more">', 1)[1].split("</details>", 1)[0]
    assert "early morning" in folded
    night = next(one for one in await world.slots(zone="America/Phoenix") if one["night"])
    data = {"at": night["starts_at"], "by": "page"}
    asked = await world.http.post("/scheduling/family/confirm", data=data, headers=form)
    assert (asked.status_code, "Is this time right for you?" in asked.text) == (422, True)
    assert "Confirm that this time suits you, or choose another one." in asked.text
    assert world.count("meeting.scheduled") == 0
    confirmed = await world.http.post("/scheduling/family/confirm", data=data | {"night": "yes"}, headers=form)
    assert confirmed.status_code == 303
    await world.until("meeting.scheduled")


async def test_a_meeting_in_an_hour_that_the_clock_shows_twice_is_closed_as_it_was_held(world: World) -> None:
    availability = await world.kept.availability("case1", "tutor1")
    assert availability
    rules = availability.rules.model_dump(by_alias=True, mode="json") | {"zone": "America/New_York"}
    path = "/scheduling/api/v1/cases/case1/availability"
    assert (await world.http.put(path, json=rules, headers=world.staff())).status_code == 200
    await world.offered()
    starts_at = datetime.fromisoformat("2026-11-01T05:30:00+00:00")  # 1:30, before the clocks go back
    assert (await world.staff_post("c1/reschedule", starts_at=starts_at.isoformat())).status_code == 200
    await world.until("meeting.scheduled")
    world.clock.set(starts_at + 3 * HOUR)
    form = {"person": ["tutor1"], "begun": "2026-11-01T01:30", "ended": "2026-11-01T01:15"}
    closed = await world.http.post("/scheduling/meetings/c1/held", data=form, headers=staff_cookies(world))
    assert closed.status_code == 303, closed.text
    finished = await world.until("meeting.finished")
    assert finished.data.held_from == starts_at
    assert finished.data.held_until == starts_at + timedelta(minutes=45)
