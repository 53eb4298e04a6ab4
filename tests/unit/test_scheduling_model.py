"""The meeting's state machine, the calendar, availability and the calendar file, without any I/O."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from firsthand.services.scheduling.model import (
    AvailabilityRules,
    Calendar,
    Meeting,
    Participant,
    Reservation,
    SlotTaken,
)
from firsthand.services.scheduling.model.calendar_file import CalendarEntry, calendar_file
from firsthand.services.scheduling.model.slots import Slot
from firsthand.services.scheduling.model.zones import is_zone, places
from firsthand.services.scheduling.providers import Room
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.scheduling import (
    MeetingCancelledV1,
    MeetingFinishedV1,
    MeetingOfferedV1,
    MeetingScheduledV1,
)
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.vault import Sealed

QU = InstitutionId("qu-cdm")
NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
START = datetime(2026, 3, 4, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
SLOT = Slot(START, START + 75 * timedelta(minutes=1))
ROOM = Room(provider="own-link", reference="case1.tutor1")
GRANTED = ConsentRecordState(state="granted", scopes=["meet", "record-video"], granted_at=NOW - HOUR)
NO_RECORDING = ConsentRecordState(state="granted", scopes=["meet"], granted_at=NOW - HOUR)
PAUSED = ConsentRecordState(state="paused")
TUTOR, STUDENT = Participant(person_id="tutor1", agrees_to_recording=True), Participant(person_id="student1")


def a_meeting() -> Meeting:
    contact = ContactReference(contact_id="c1", case_id="case1", reference="CLP-001", language="en", tutor_id="tutor1")
    return Meeting(id="c1", institution=QU, contact=contact, tutor_id="tutor1", language="en")


def saved(meeting: Meeting) -> Meeting:
    meeting.version += 1
    return meeting


def reservation(meeting: Meeting, slot: Slot = SLOT) -> Reservation:
    return Reservation(contact_id="c1", starts_at=slot.starts_at, ends_at=slot.ends_at, knew=meeting.version)


def offered(consent: ConsentRecordState = GRANTED) -> Meeting:
    meeting = a_meeting()
    assert meeting.obey(consent, NOW) is MeetingOfferedV1
    return saved(meeting)


def by_mail_at(meeting: Meeting, address: str, *, confirm: bool = False) -> None:
    meeting.prefer(zone=Sealed("z"), reach_by="email", address=Sealed(address), confirm=confirm, now=NOW)


def planned(consent: ConsentRecordState = GRANTED, *, by_mail: bool = False) -> Meeting:
    meeting = offered(consent)
    if by_mail:
        by_mail_at(meeting, "a")
        saved(meeting)
    assert meeting.hold(reservation(meeting), ROOM, NOW) is MeetingScheduledV1
    return saved(meeting)


def test_times_are_offered_only_once_the_family_said_yes_to_meeting() -> None:
    meeting = a_meeting()
    assert meeting.obey(ConsentRecordState(state="granted", scopes=["share-cohort"]), NOW) is None
    assert not meeting.is_open
    assert meeting.obey(GRANTED, NOW) is MeetingOfferedV1
    assert meeting.is_open


@pytest.mark.parametrize("state", ["paused", "withdrawn", "declined"])
def test_a_consent_that_ends_cancels_what_is_planned_and_sets_the_time_free(state: str) -> None:
    meeting = planned()
    assert meeting.obey(ConsentRecordState(state=state), NOW) is MeetingCancelledV1
    assert (meeting.state, meeting.cancelled_by, meeting.to_free) == ("cancelled", "consent", True)
    assert not meeting.is_open


def test_a_consent_that_comes_back_offers_times_again() -> None:
    meeting = planned()
    meeting.obey(PAUSED, NOW)
    saved(meeting)
    assert meeting.obey(GRANTED, NOW) is MeetingOfferedV1
    assert meeting.starts_at is None


def test_a_reservation_made_before_a_cancellation_counts_no_more_and_one_made_after_it_does() -> None:
    meeting = offered()
    before = reservation(meeting)
    assert meeting.honours(before, "tutor1")
    meeting.cancel("family", reserved=True, now=NOW)
    saved(meeting)
    assert not meeting.honours(before, "tutor1")
    assert meeting.honours(reservation(meeting), "tutor1"), "who cancelled may choose again"


def test_another_time_is_a_reschedule_and_the_calendar_file_says_so() -> None:
    meeting = planned()
    assert (meeting.reschedules, meeting.file_sequence) == (0, 0)
    later = Slot(START + HOUR, START + 2 * HOUR)
    assert meeting.hold(reservation(meeting, later), ROOM, NOW) is MeetingScheduledV1
    assert (meeting.reschedules, meeting.file_sequence) == (1, 1)
    assert meeting.hold(reservation(meeting, later), ROOM, NOW) is None, "told twice, nothing changes"


def test_a_tutor_who_asks_for_another_time_sets_this_one_free() -> None:
    meeting = planned(by_mail=True)
    meeting.letters = []
    assert meeting.choose_anew(now=NOW) is MeetingOfferedV1
    assert [letter.kind for letter in meeting.letters] == ["choose-anew"]
    assert meeting.letters[0].starts_at == START
    assert meeting.to_free


def test_what_the_tutor_cancelled_is_open_again_only_when_the_tutor_offers_it() -> None:
    meeting = planned()
    meeting.cancel("tutor", reserved=True, now=NOW)
    assert not meeting.is_open
    with pytest.raises(Refused, match="no times at the moment"):
        meeting.check_open()
    assert meeting.offer_again(NOW) is MeetingOfferedV1
    assert meeting.is_open


def test_there_is_nothing_to_cancel_where_nothing_is_planned() -> None:
    with pytest.raises(Refused, match="nothing to cancel"):
        offered().cancel("family", reserved=False, now=NOW)


def test_a_meeting_that_was_held_expects_a_recording_if_the_family_and_everybody_agreed() -> None:
    meeting = planned()
    assert meeting.close_held([TUTOR], None, None, START + 2 * HOUR) is MeetingFinishedV1
    assert (meeting.held_from, meeting.held_until, meeting.recording) == (SLOT.starts_at, SLOT.ends_at, "expected")


def test_one_participant_who_does_not_agree_means_no_recording() -> None:
    meeting = planned()
    meeting.close_held([TUTOR, STUDENT], None, None, START + 2 * HOUR)
    assert meeting.recording == "none"


def test_no_recording_is_expected_without_the_familys_yes_to_one() -> None:
    meeting = planned(NO_RECORDING)
    meeting.close_held([TUTOR], None, None, START + 2 * HOUR)
    assert meeting.recording == "none"


def test_you_may_have_met_earlier_than_planned() -> None:
    meeting = planned()
    meeting.close_held([TUTOR], NOW, NOW + HOUR, NOW + HOUR)
    assert (meeting.held_from, meeting.held_until) == (NOW, NOW + HOUR)


@pytest.mark.parametrize(
    ("held_from", "held_until", "text"),
    [
        (None, None, "has not passed yet"),
        (NOW, NOW + 30 * HOUR, "has not passed yet"),
        (NOW + 10 * HOUR, NOW + 9 * HOUR, "end after it started"),
        (NOW - 2 * HOUR, NOW, "had not agreed"),
    ],
)
def test_a_meeting_was_held_neither_in_the_future_nor_before_the_consent(
    held_from: datetime | None, held_until: datetime | None, text: str
) -> None:
    meeting = planned()
    with pytest.raises(Refused, match=text):
        meeting.close_held([TUTOR], held_from, held_until, NOW + 10 * HOUR)
    assert meeting.state == "scheduled"


def test_a_meeting_is_not_held_only_after_its_time_has_come() -> None:
    meeting = planned()
    with pytest.raises(Refused, match="not started"):
        meeting.close_not_held("nobody-came", START - HOUR)
    assert meeting.close_not_held("nobody-came", START + HOUR) is MeetingCancelledV1
    assert (meeting.cancelled_by, meeting.not_held_because) == ("not-held", "nobody-came")
    assert meeting.offer_again(START + HOUR) is MeetingOfferedV1


def test_reminders_come_a_day_and_an_hour_before_and_only_by_mail() -> None:
    assert planned().reminders == []
    meeting = planned(by_mail=True)
    assert [reminder.at for reminder in meeting.reminders] == [START - 24 * HOUR, START - HOUR]
    meeting.letters = []
    meeting.take_reminders(START - 24 * HOUR)
    assert [letter.kind for letter in meeting.letters] == ["reminder-day"]
    meeting.letters = []
    meeting.take_reminders(START - 30 * timedelta(minutes=1))
    assert [letter.kind for letter in meeting.letters] == ["reminder-hour"]


def test_another_address_is_told_what_is_planned_and_gets_the_reminders() -> None:
    meeting = planned()
    by_mail_at(meeting, "b", confirm=True)
    assert [letter.kind for letter in meeting.letters] == ["confirmed"]
    assert len(meeting.reminders) == 2
    meeting.prefer(zone=Sealed("z"), reach_by="page", address=None, confirm=True, now=NOW)
    assert (meeting.letters, meeting.reminders) == ([], [])


def test_a_reminder_that_is_too_late_is_not_sent() -> None:
    meeting = planned(by_mail=True)
    meeting.letters = []
    meeting.take_reminders(START + HOUR)
    assert (meeting.letters, meeting.reminders) == ([], [])


def test_a_clock_that_is_not_believed_drops_no_reminder_of_a_meeting_that_may_lie_ahead() -> None:
    meeting = planned(by_mail=True)
    meeting.letters, before = [], meeting.reminders
    assert not meeting.take_reminders(START + 1000 * 24 * HOUR, sure=NOW)
    assert (meeting.letters, meeting.reminders) == ([], before)
    assert meeting.take_reminders(START + HOUR, sure=START + HOUR)
    assert meeting.reminders == []


def test_after_erasure_nothing_is_left_and_nothing_begins_again() -> None:
    meeting = planned(by_mail=True)
    meeting.wipe(mails=True)
    assert meeting.erased == ["email-address", "mail", "meeting-times", "zone"]
    assert meeting.obey(GRANTED, NOW) is None
    kept = meeting.model_dump(exclude={"contact", "erased", "applied"}, exclude_defaults=True)
    assert set(kept) == {
        "id", "institution", "version", "tutor_id", "language", "state", "file_sequence",
    }  # fmt: skip


def test_one_write_moves_a_reservation() -> None:
    calendar = Calendar(id="tutor1", institution=QU)
    later = Slot(START + 2 * HOUR, START + 3 * HOUR)
    calendar.reserve("c1", SLOT, knew=1, buffer=timedelta(0), now=NOW)
    calendar.reserve("c1", later, knew=2, buffer=timedelta(0), now=NOW)
    assert calendar.taken() == [later]


def test_a_time_is_given_to_one_contact_only_with_its_buffer() -> None:
    calendar = Calendar(id="tutor1", institution=QU)
    calendar.reserve("c1", SLOT, knew=1, buffer=timedelta(0), now=NOW)
    close = Slot(SLOT.ends_at + 10 * timedelta(minutes=1), SLOT.ends_at + HOUR)
    with pytest.raises(SlotTaken):
        calendar.reserve("c2", close, knew=1, buffer=15 * timedelta(minutes=1), now=NOW)
    calendar.reserve("c2", close, knew=1, buffer=10 * timedelta(minutes=1), now=NOW)


def test_old_reservations_leave_the_calendar_with_the_next_save() -> None:
    calendar = Calendar(id="tutor1", institution=QU)
    calendar.reserve("c1", SLOT, knew=1, buffer=timedelta(0), now=NOW)
    later = Slot(START + 100 * HOUR, START + 101 * HOUR)
    calendar.reserve("c2", later, knew=1, buffer=timedelta(0), now=START + 90 * HOUR)
    assert [one.contact_id for one in calendar.reservations] == ["c2"]


def test_setting_free_spares_what_was_reserved_later() -> None:
    calendar = Calendar(id="tutor1", institution=QU)
    calendar.reserve("c1", SLOT, knew=5, buffer=timedelta(0), now=NOW)
    assert not calendar.free("c1", voids=5, now=NOW)
    assert calendar.free("c1", voids=6, now=NOW)


WEEK = {"zone": "Asia/Qatar", "weekly": [{"weekday": 0, "from": "09:00", "to": "24:00"}]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"zone": "Mars/Olympus"}, "IANA"),
        ({"duration_minutes": 20}, "30"),
        ({"duration_minutes": 181}, "180"),
        ({"weekly": [{"weekday": 0, "from": "9", "to": "10:00"}]}, "HH:MM"),
        ({"weekly": [{"weekday": 0, "from": "10:00", "to": "10:00"}]}, "end after they begin"),
        ({"weekly": [{"weekday": 7, "from": "10:00", "to": "11:00"}]}, "6"),
        (
            {
                "weekly": [
                    {"weekday": 1, "from": "10:00", "to": "12:00"},
                    {"weekday": 1, "from": "11:00", "to": "13:00"},
                ]
            },
            "overlap",
        ),
        ({"join_url": "http://meet.example/x"}, "https"),
        ({"join_url": "javascript:alert(1)"}, "https"),
    ],
)
def test_availability_that_makes_no_sense_is_refused_with_the_reason(change: dict[str, object], text: str) -> None:
    AvailabilityRules.model_validate(WEEK)
    with pytest.raises(ValidationError, match=text):
        AvailabilityRules.model_validate(WEEK | change)


ENTRY = CalendarEntry(
    uid="c1@firsthand.example",
    sequence=3,
    starts_at=START,
    ends_at=START + HOUR,
    zone="America/New_York",
    stamped_at=NOW,
    summary="Meeting with students of Example, College",
    description="To change it,\nopen your link.",
    join_url="https://meet.example/a,b",
    organizer="office@firsthand.example",
    organizer_name="Example, College",
    attendee="family@home.example",
)


def parsed(content: bytes) -> tuple[icalendar.Calendar, icalendar.Event]:
    calendar = icalendar.Calendar.from_ical(content)
    (event,) = calendar.walk("VEVENT")
    return calendar, event


@pytest.mark.parametrize("zone", ["America/New_York", "America/Phoenix", "Asia/Qatar", "Pacific/Auckland"])
@pytest.mark.parametrize("day", [7, 8, 9, 29])
def test_the_calendar_file_says_the_same_instant_in_the_familys_zone(zone: str, day: int) -> None:
    starts_at = datetime(2026, 3, day, 8, tzinfo=UTC)
    entry = CalendarEntry(**{**vars(ENTRY), "zone": zone, "starts_at": starts_at, "ends_at": starts_at + HOUR})
    calendar, event = parsed(calendar_file(entry, "REQUEST"))
    assert calendar["METHOD"] == "REQUEST"
    assert (event["UID"], event["SEQUENCE"]) == ("c1@firsthand.example", 3)
    assert event["DTSTART"].params["TZID"] == zone
    assert event.start.replace(tzinfo=None) == starts_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert event.end - event.start == HOUR
    assert offset_by_the_file(calendar, event) == starts_at.astimezone(ZoneInfo(zone)).utcoffset()


def offset_by_the_file(calendar: icalendar.Calendar, event: icalendar.Event) -> timedelta:
    """The offset that a reader finds who knows no zones but the file's own (RFC 5545, 3.6.5)."""
    (timezone,) = calendar.walk("VTIMEZONE")
    wall = event["DTSTART"].dt.replace(tzinfo=None)
    onsets = sorted((part["DTSTART"].dt, part["TZOFFSETTO"].td) for part in timezone.walk() if part.name != "VTIMEZONE")
    return next(offset for onset, offset in reversed(onsets) if onset <= wall)


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland", "Australia/Lord_Howe"])
def test_the_zone_in_the_file_changes_its_clocks_when_the_world_does(zone: str) -> None:
    calendar, _ = parsed(calendar_file(CalendarEntry(**{**vars(ENTRY), "zone": zone}), "PUBLISH"))
    (timezone,) = calendar.walk("VTIMEZONE")
    observances = [part for part in timezone.walk() if part.name != "VTIMEZONE"]
    assert len(observances) >= 4
    for part in observances:
        before, after = part["TZOFFSETFROM"].td, part["TZOFFSETTO"].td
        onset = (part["DTSTART"].dt - before).replace(tzinfo=UTC)
        minute = timedelta(minutes=1)
        assert onset.astimezone(ZoneInfo(zone)).utcoffset() == after
        assert (onset - minute).astimezone(ZoneInfo(zone)).utcoffset() == before


def test_a_cancelled_meeting_takes_its_entry_back_and_a_kept_file_names_nobody() -> None:
    calendar, event = parsed(calendar_file(ENTRY, "CANCEL"))
    assert (calendar["METHOD"], event["STATUS"]) == ("CANCEL", "CANCELLED")
    assert event["ATTENDEE"] == "mailto:family@home.example"
    calendar, event = parsed(calendar_file(ENTRY, "PUBLISH"))
    assert calendar["METHOD"] == "PUBLISH"
    assert "ATTENDEE" not in event


def test_a_place_is_found_by_city_country_or_state_in_each_language() -> None:
    assert "America/Phoenix" in {place.zone for place in places("en", NOW, "arizona")}
    assert "America/New_York" in {place.zone for place in places("es", NOW, "nueva york")}
    assert "Asia/Qatar" in {place.zone for place in places("ar", NOW, "الدوحة")}
    assert all(is_zone(place.zone) for place in places("en", NOW))


class AnyPath(RuleBasedStateMachine):
    """Whatever is done in whatever order: nothing is planned without a yes, and a file's sequence never falls."""

    @initialize()
    def begin(self) -> None:
        self.meeting = a_meeting()
        self.now = NOW
        self.sequence = -1

    def save(self) -> None:
        saved(self.meeting)
        self.now += HOUR

    def attempt(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except Refused:
            return
        self.save()

    @rule()
    def allow(self) -> None:
        self.attempt(lambda: self.meeting.obey(GRANTED, self.now))

    @rule()
    def pause(self) -> None:
        self.attempt(lambda: self.meeting.obey(PAUSED, self.now))

    @precondition(lambda self: self.meeting.is_open)
    @rule()
    def reserve(self) -> None:
        by_mail_at(self.meeting, "a")
        held = reservation(self.meeting, Slot(self.now + 30 * HOUR, self.now + 31 * HOUR))
        if self.meeting.honours(held, "tutor1"):
            self.attempt(lambda: self.meeting.hold(held, ROOM, self.now))

    @rule()
    def cancel(self) -> None:
        self.attempt(lambda: self.meeting.cancel("family", reserved=False, now=self.now))

    @rule()
    def cancel_by_tutor(self) -> None:
        self.attempt(lambda: self.meeting.cancel("tutor", reserved=True, now=self.now))

    @rule()
    def anew(self) -> None:
        self.attempt(lambda: self.meeting.choose_anew(now=self.now))

    @rule()
    def again(self) -> None:
        self.attempt(lambda: self.meeting.offer_again(self.now))

    @rule()
    def close(self) -> None:
        self.attempt(lambda: self.meeting.close_held([TUTOR], None, None, self.now))

    @rule()
    def nobody_came(self) -> None:
        self.attempt(lambda: self.meeting.close_not_held("nobody-came", self.now))

    @precondition(lambda self: self.meeting.state != "none")
    @rule()
    def wipe(self) -> None:
        if self.meeting.file_sequence > 4:
            self.meeting.wipe(mails=False)

    @invariant()
    def nothing_without_a_yes(self) -> None:
        if not hasattr(self, "meeting"):
            return
        meeting = self.meeting
        if meeting.state in {"offered", "scheduled"}:
            assert meeting.allowed
        if meeting.state == "scheduled":
            assert meeting.starts_at
            assert meeting.ends_at
        else:
            assert not meeting.reminders
        assert meeting.file_sequence >= self.sequence
        self.sequence = meeting.file_sequence
        if meeting.state == "erased":
            assert [meeting.zone, meeting.address, meeting.letters, meeting.due_at] == [None, None, [], None]
        if meeting.state != "none":
            meeting.as_state()


TestAnyPath = AnyPath.TestCase
TestAnyPath.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
