"""Times that are offered, through every change of the clocks over five years."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthand.services.scheduling.model.slots import (
    Hours,
    Rules,
    Slot,
    by_day,
    free_slots,
    instant,
    instants,
    is_night,
)

ZONES = ["Asia/Qatar", "America/Phoenix", "America/New_York", "Pacific/Auckland", "Australia/Lord_Howe"]
YEARS = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2030, 12, 31, tzinfo=UTC))
DAY = timedelta(days=1)


def a_rule(zone: str, **changes: object) -> Rules:
    given_ = {
        "zone": ZoneInfo(zone),
        "duration": timedelta(minutes=75),
        "buffer": timedelta(minutes=15),
        "notice": timedelta(0),
        "horizon": 8 * DAY,
        "weekly": tuple(Hours(day, 0, 24 * 60) for day in range(7)),
    }
    return Rules(**{**given_, **changes})


@st.composite
def weekly_hours(draw: st.DrawFn) -> tuple[Hours, ...]:
    entries = []
    for weekday in draw(st.sets(st.integers(0, 6), min_size=1)):
        marks = sorted(draw(st.sets(st.integers(0, 96), min_size=2, max_size=6)))
        pairs = zip(marks[::2], marks[1::2], strict=False)
        entries += [Hours(weekday, start * 15, end * 15) for start, end in pairs]
    return tuple(entries)


@st.composite
def moments(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    """Any minute of the years, often one just before the clocks change."""
    anywhere = draw(st.datetimes(YEARS[0].replace(tzinfo=None), YEARS[1].replace(tzinfo=None)))
    at = anywhere.replace(tzinfo=UTC, second=0, microsecond=0)
    if draw(st.booleans()):
        offset = at.astimezone(zone).utcoffset()
        change = next((at + n * DAY for n in range(370) if (at + n * DAY).astimezone(zone).utcoffset() != offset), at)
        return change - DAY - timedelta(hours=draw(st.integers(0, 48)))
    return at


@st.composite
def situations(draw: st.DrawFn) -> tuple[Rules, datetime, list[Slot]]:
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    now = draw(moments(zone))
    rules = Rules(
        zone=zone,
        duration=timedelta(minutes=draw(st.integers(30, 180))),
        buffer=timedelta(minutes=draw(st.integers(0, 60))),
        notice=timedelta(hours=draw(st.integers(0, 72))),
        horizon=draw(st.integers(1, 10)) * DAY,
        weekly=draw(weekly_hours()),
        blocked=frozenset(draw(st.sets(st.integers(0, 9).map(lambda n: (now + n * DAY).date()), max_size=3))),
    )
    taken = []
    for minutes in draw(st.lists(st.integers(0, 10 * 24 * 60), max_size=5)):
        start = now + timedelta(minutes=minutes)
        taken.append(Slot(start, start + rules.duration))
    return rules, now, taken


@given(situations())
@settings(max_examples=200, deadline=None)
def test_every_time_lies_within_the_tutors_hours_on_the_wall_and_lasts_exactly_its_duration(
    situation: tuple[Rules, datetime, list[Slot]],
) -> None:
    rules, now, taken = situation
    for slot in free_slots(rules, now, taken):
        start, end = slot.starts_at.astimezone(rules.zone), slot.ends_at.astimezone(rules.zone)
        wall = start.replace(tzinfo=None)
        assert slot.ends_at - slot.starts_at == rules.duration
        assert slot.starts_at in instants(wall, rules.zone)
        assert start.fold == 0, "the repeated hour is offered once"
        assert start.date() not in rules.blocked
        midnight = datetime.combine(start.date(), datetime.min.time())
        minute = (wall - midnight) // timedelta(minutes=1)
        until = (end.replace(tzinfo=None) - midnight) / timedelta(minutes=1)
        around = [h for h in rules.weekly if h.weekday == start.weekday() and h.from_ <= minute < h.to]
        assert len(around) == 1
        assert until <= around[0].to
        assert timedelta(minutes=minute - around[0].from_) % rules.step == timedelta(0), "on the grid of the wall clock"


@given(situations())
@settings(max_examples=200, deadline=None)
def test_no_two_times_meet_nor_anything_reserved_and_they_stand_in_order(
    situation: tuple[Rules, datetime, list[Slot]],
) -> None:
    rules, now, taken = situation
    slots = free_slots(rules, now, taken)
    for one, following in pairwise(slots):
        assert one.ends_at + rules.buffer <= following.starts_at
    for slot in slots:
        assert now + rules.notice <= slot.starts_at < now + rules.horizon
        assert not any(slot.meets(other, rules.buffer) for other in taken)


@given(situations(), st.sampled_from(ZONES))
@settings(max_examples=150, deadline=None)
def test_what_the_family_reads_leads_back_to_the_same_instant(
    situation: tuple[Rules, datetime, list[Slot]], zone: str
) -> None:
    rules, now, taken = situation
    slots, family = free_slots(rules, now, taken), ZoneInfo(zone)
    shown = [slot for day, of_day in by_day(slots, family) for slot in of_day]
    assert shown == slots, "by day in the family's zone they stand in the same order, none lost or doubled"
    for day, of_day in by_day(slots, family):
        for slot in of_day:
            local = slot.starts_at.astimezone(family)
            assert local.date() == day
            assert local.astimezone(UTC) == slot.starts_at
            assert datetime.fromisoformat(local.isoformat()) == slot.starts_at


@pytest.mark.parametrize("zone", ZONES)
def test_over_five_years_no_start_falls_into_an_hour_that_the_clocks_skip(zone: str) -> None:
    rules = a_rule(zone, horizon=40 * DAY)
    now, seen = YEARS[0], set()
    while now < YEARS[1]:
        slots = free_slots(rules, now)
        for slot in slots:
            wall = slot.starts_at.astimezone(rules.zone).replace(tzinfo=None)
            assert instant(wall, rules.zone) == slot.starts_at
        seen |= {slot.starts_at for slot in slots}
        now += 40 * DAY
    expected = (YEARS[1] - YEARS[0]).days * 16  # a day holds sixteen times of an hour and a half
    assert abs(len(seen) - expected) < 40 * 16


def test_when_the_clocks_go_forward_the_skipped_hour_starts_nothing_and_the_rest_stays_on_the_wall() -> None:
    rules = a_rule("America/New_York", duration=timedelta(minutes=60), buffer=timedelta(0), horizon=DAY)
    slots = free_slots(rules, datetime(2026, 3, 8, 5, tzinfo=UTC))  # midnight in New York
    walls = [f"{slot.starts_at.astimezone(rules.zone):%H:%M}" for slot in slots]
    assert walls[:4] == ["00:00", "01:00", "03:00", "04:00"]


def test_when_the_clocks_go_back_the_repeated_hour_is_offered_once() -> None:
    rules = a_rule("America/New_York", duration=timedelta(minutes=60), buffer=timedelta(0), horizon=DAY)
    slots = free_slots(rules, datetime(2026, 11, 1, 4, tzinfo=UTC))
    assert [f"{slot.starts_at:%H:%M}" for slot in slots[:3]] == ["04:00", "05:00", "07:00"]


def test_half_an_hour_is_skipped_on_lord_howe() -> None:
    rules = a_rule(
        "Australia/Lord_Howe",
        duration=timedelta(minutes=30),
        buffer=timedelta(0),
        weekly=(Hours(6, 90, 240),),
        horizon=3 * DAY,
    )
    slots = free_slots(rules, datetime(2026, 10, 3, 12, tzinfo=UTC))
    walls = [f"{slot.starts_at.astimezone(rules.zone):%H:%M}" for slot in slots]
    assert walls == ["01:30", "02:30", "03:00", "03:30"], "2:00 does not exist on 4 October 2026"


def test_hours_may_end_at_midnight() -> None:
    rules = a_rule("Asia/Qatar", weekly=(Hours(0, 22 * 60, 24 * 60),))
    (slot,) = free_slots(rules, datetime(2026, 6, 1, tzinfo=UTC), until=datetime(2026, 6, 3, tzinfo=UTC))
    assert slot.starts_at == datetime(2026, 6, 1, 19, tzinfo=UTC)


def test_days_off_are_days_of_the_tutors_calendar() -> None:
    rules = a_rule("Pacific/Auckland", blocked=frozenset({date(2026, 6, 2)}))
    slots = free_slots(rules, datetime(2026, 5, 31, tzinfo=UTC))
    assert date(2026, 6, 2) not in {slot.starts_at.astimezone(rules.zone).date() for slot in slots}
    assert date(2026, 6, 3) in {slot.starts_at.astimezone(rules.zone).date() for slot in slots}


def test_no_time_is_offered_beyond_the_end_of_the_consent() -> None:
    until = datetime(2026, 6, 3, 9, tzinfo=UTC)
    slots = free_slots(a_rule("Asia/Qatar"), datetime(2026, 6, 1, tzinfo=UTC), until=until)
    assert slots
    assert all(slot.ends_at <= until for slot in slots)


def test_a_clock_shows_a_time_once_twice_or_never() -> None:
    zone = ZoneInfo("America/New_York")
    assert instants(datetime.fromisoformat("2026-03-08T02:30"), zone) == []
    once = datetime.fromisoformat("2026-06-01T01:30")
    assert instants(once, zone) == [datetime(2026, 6, 1, 5, 30, tzinfo=UTC)]
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert instants(datetime.fromisoformat("2026-11-01T01:30"), zone) == [first, first + timedelta(hours=1)]


@pytest.mark.parametrize(
    ("clock", "night"),
    [("00:00", True), ("01:30", True), ("07:59", True), ("08:00", False), ("12:00", False), ("21:00", False),
     ("21:01", True), ("23:45", True)],
)  # fmt: skip
def test_a_family_is_asked_twice_about_what_begins_before_8_or_after_21_on_its_own_clock(
    clock: str, night: bool
) -> None:
    zone = ZoneInfo("Pacific/Auckland")
    assert is_night(datetime.fromisoformat(f"2026-07-01T{clock}").replace(tzinfo=zone).astimezone(UTC), zone) == night
