"""The meeting's state machine, the calendar, availability and the calendar file, without any I/O."""

from dataclasses import replace
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
    ReachBy,
    Reservation,
    SlotTaken,
)
from firsthand.services.scheduling.model.calendar_file import CalendarEntry, EntryIdentity, calendar_file, uid_of
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


def sent(meeting: Meeting) -> Meeting:
    meeting.note_sent({letter.key for letter in meeting.letters}, delivered=True)
    return saved(meeting)


def move_to(meeting: Meeting, address: str | None) -> None:
    sealed = Sealed(address) if address else None
    reach: ReachBy = "email" if address else "page"
    meeting.prefer(zone=Sealed("z"), reach_by=reach, address=sealed, confirm=True, now=NOW, leaves=True)


@pytest.mark.parametrize("new", ["b", None])
def test_an_address_that_was_given_up_is_told_to_drop_the_entry(new: str | None) -> None:
    meeting = sent(planned(by_mail=True))
    move_to(meeting, new)
    (farewell,) = meeting.farewells
    assert (farewell.address, farewell.sequence, farewell.starts_at) == ("a", 1, START)
    assert [letter.sequence for letter in meeting.letters] == ([1] if new else [])
    assert meeting.due_at == NOW
    keys = meeting.waiting_keys
    assert len(keys) == len(meeting.letters) + 1
    meeting.note_sent(keys, delivered=True)
    assert (meeting.letters, meeting.farewells) == ([], [])


def test_who_comes_back_to_an_address_has_the_last_word_there() -> None:
    meeting = sent(planned(by_mail=True))
    for address in ("b", "a"):
        move_to(meeting, address)
        sequences = [one.sequence for one in [*meeting.farewells, *meeting.letters]]
        sent(meeting)
        meeting.farewells = []
    assert sequences == [2, 2]


def test_a_mistyped_address_to_which_nothing_went_out_is_never_written_to() -> None:
    meeting = planned(by_mail=True)
    meeting.note_waiting(meeting.waiting_keys, "the mail server is away", NOW)
    saved(meeting)
    move_to(meeting, "b")
    assert meeting.farewells == []
    refused = planned(by_mail=True)
    refused.note_refused(refused.waiting_keys, "server")
    saved(refused)
    move_to(refused, "b")
    assert (refused.farewells, refused.mail_refused) == ([], False)


def test_mail_that_waits_is_kept_until_it_goes_and_is_tried_again_each_minute() -> None:
    meeting = planned(by_mail=True)
    keys = meeting.waiting_keys
    meeting.note_waiting(keys, "away", NOW)
    meeting.note_waiting(keys, "still away", NOW + HOUR)
    assert (meeting.mail_waits_since, meeting.mail_waits_for) == (NOW, "still away")
    assert meeting.due_at == NOW + HOUR + timedelta(minutes=1)
    assert meeting.mail_trouble == "waits"
    meeting.note_sent(keys, delivered=True)
    meeting.plan_ahead(NOW + HOUR)
    assert (meeting.mail_waits_since, meeting.mail_waits_for, meeting.mail_trouble) == (None, "", None)
    meeting.note_waiting(keys, "away", NOW)
    assert meeting.mail_waits_since is None, "these are gone"


def test_why_an_address_takes_no_mail_is_kept_until_the_family_gives_another() -> None:
    for because, trouble in (("letters", "letters"), ("server", "refused"), ("malformed", "refused")):
        meeting = planned(by_mail=True)
        meeting.note_refused(meeting.waiting_keys, because)
        assert (meeting.mail_trouble, meeting.letters) == (trouble, [])
        by_mail_at(meeting, "b", confirm=True)
        assert meeting.mail_trouble is None


def test_letters_that_waited_until_the_meeting_began_are_not_sent_any_more() -> None:
    meeting = planned(by_mail=True)
    meeting.take_reminders(START - 24 * HOUR)
    meeting.take_reminders(START - HOUR)
    assert [letter.kind for letter in meeting.letters] == ["confirmed", "reminder-hour"]
    meeting.forget_stale(START - timedelta(seconds=1))
    assert len(meeting.letters) == 2
    meeting.forget_stale(START)
    assert meeting.letters == []
    meeting.cancel("family", reserved=True, now=START)
    meeting.forget_stale(START + HOUR)
    assert [letter.kind for letter in meeting.letters] == ["cancelled"]


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
    identity=EntryIdentity(uid=uid_of("c1", "qu-cdm"), organizer="office@firsthand.example"),
    sequence=3,
    starts_at=START,
    ends_at=START + HOUR,
    stamped_at=NOW,
    summary="Meeting with students of Example, College",
    description="To change it,\nopen your link.",
    join_url="https://meet.example/a,b",
    organizer_name="Example, College",
    attendee="family@home.example",
)


def parsed(content: bytes) -> tuple[icalendar.Calendar, icalendar.Event]:
    calendar = icalendar.Calendar.from_ical(content)
    (event,) = calendar.walk("VEVENT")
    return calendar, event


@pytest.mark.parametrize("minutes", range(0, 180, 15))
@pytest.mark.parametrize("length", [30, 75])
def test_a_meeting_ends_after_it_begins_also_in_the_hour_that_a_clock_shows_twice(minutes: int, length: int) -> None:
    starts_at = datetime(2026, 11, 1, 5, tzinfo=UTC) + timedelta(minutes=minutes)  # New York: 1:00 to 2:00, twice
    ends_at = starts_at + timedelta(minutes=length)
    entry = replace(ENTRY, starts_at=starts_at.astimezone(ZoneInfo("America/New_York")), ends_at=ends_at)
    content = calendar_file(entry, "REQUEST")
    assert f"DTSTART:{starts_at:%Y%m%dT%H%M%SZ}\r\n".encode() in content
    assert f"DTEND:{ends_at:%Y%m%dT%H%M%SZ}\r\n".encode() in content
    calendar, event = parsed(content)
    assert calendar["METHOD"] == "REQUEST"
    assert (event["UID"], event["SEQUENCE"]) == ("c1.qu-cdm@meetings.firsthand.invalid", 3)
    assert (event.start, event.end) == (starts_at, ends_at)


def test_an_invitation_asks_for_no_answer_since_the_family_chose_the_time() -> None:
    _, event = parsed(calendar_file(replace(ENTRY, attendee="josé+x@xn--mller-kva.example"), "REQUEST"))
    assert event["ATTENDEE"] == "mailto:jos%C3%A9%2Bx@xn--mller-kva.example".replace("%2B", "+")
    params = event["ATTENDEE"].params
    assert (params["PARTSTAT"], params["RSVP"], params["ROLE"]) == ("ACCEPTED", "FALSE", "REQ-PARTICIPANT")
    assert event["ORGANIZER"] == "mailto:office@firsthand.example"
    assert event["ORGANIZER"].params["CN"] == "Example, College"


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
