"""Which time it surely is: judged over all ways in which clocks are right and wrong."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.trusted_clock import AWAY, TOLERANCE, Reckoning, State, agrees, spelled

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOTHING = timedelta(0)


@dataclass
class Life:
    """A process that looks every so often, on a machine whose clocks a test moves."""

    now: datetime = NOON
    elapsed: timedelta = NOTHING

    def __post_init__(self) -> None:
        self.reckoning = Reckoning(self.now, self.elapsed)

    def goes_on(self, passes: timedelta, *, shown: timedelta | None = None, every: timedelta = SECOND) -> State:
        """Let time pass while the clock shows that `shown` passes, looking `every` so often; the last judgement."""
        looks = max(1, round(passes / every))
        step, showing = passes / looks, (passes if shown is None else shown) / looks
        for _ in range(looks):
            self.elapsed += step
            self.now += showing
            state = self.look()
        return state

    def look(self) -> State:
        self.reading = self.reckoning.look(self.now, self.elapsed)
        assert self.reading.sure <= self.reading.now
        assert bool(self.reading.sentence) == (self.reading.state != "sure")
        return self.reading.state

    def jump(self, by: timedelta) -> State:
        self.now += by
        return self.look()


# -- while it runs


@pytest.mark.parametrize(
    ("jump", "state"),
    [
        (1100 * DAY, "ahead"),
        (DAY, "ahead"),
        (HOUR, "ahead"),
        (TOLERANCE + SECOND, "ahead"),
        (TOLERANCE, "sure"),
        (3 * SECOND, "sure"),  # a step of NTP
        (NOTHING, "sure"),
        (-3 * SECOND, "sure"),
        (-TOLERANCE, "sure"),
        (-TOLERANCE - SECOND, "behind"),
        (-DAY, "behind"),
        (-1100 * DAY, "behind"),
    ],
)
def test_a_jump_of_the_clock_while_running_is_noticed_beyond_the_tolerance(jump: timedelta, state: State) -> None:
    life = Life()
    life.goes_on(MINUTE)
    assert life.jump(jump) == state
    assert life.goes_on(HOUR) == state
    assert life.reading.sure == (NOON + MINUTE + HOUR if state == "ahead" else life.now)


def test_time_goes_on_for_what_destroys_while_the_clock_is_ahead() -> None:
    life = Life()
    life.jump(1100 * DAY)
    life.goes_on(8 * DAY, every=HOUR)
    assert life.reading.sure == NOON + 8 * DAY


def test_a_clock_that_is_set_right_is_believed_at_once() -> None:
    life = Life()
    assert life.jump(1100 * DAY) == "ahead"
    life.goes_on(25 * SECOND)
    assert life.jump(-1100 * DAY) == "sure"
    assert life.reading.sure == life.now == NOON + 25 * SECOND


def test_a_clock_behind_is_believed_once_it_is_set_right() -> None:
    life = Life()
    assert life.jump(-2 * DAY) == "behind"
    assert life.reading.sure == life.now  # nothing destroys early
    assert life.jump(2 * DAY) == "sure"


def test_a_clock_that_drifts_slowly_is_followed() -> None:
    life = Life()
    assert life.goes_on(10 * DAY, shown=10 * DAY * 1.005, every=MINUTE) == "sure"  # seven minutes a day, of bad quartz
    assert life.now - NOON - 10 * DAY == HOUR * 1.2


def test_many_small_jumps_add_up_to_one_that_is_noticed() -> None:
    life = Life()
    states = [life.jump(9 * MINUTE) for _ in range(3) if life.goes_on(SECOND)]
    assert states == ["sure", "ahead", "ahead"]


def test_a_machine_that_sleeps_is_believed_where_its_sleep_is_counted() -> None:
    life = Life()
    assert life.goes_on(8 * HOUR, every=8 * HOUR) == "sure"


def test_a_machine_whose_sleep_is_not_counted_waits_for_its_operator() -> None:
    life = Life()
    life.elapsed += SECOND
    assert life.jump(8 * HOUR) == "ahead"
    life.reckoning.confirm(life.now)
    assert life.look() == "sure"


def test_the_machines_clock_counts_the_time_that_passes_also_asleep() -> None:
    clock = SystemClock()
    counted = timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))
    assert abs(clock.elapsed() - counted) < SECOND
    assert abs(clock.now() - datetime.now(UTC)) < SECOND


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**8), 10**8)), max_size=30))
def test_no_jump_makes_anything_due_earlier_than_the_tolerance(steps: list[tuple[int, int]]) -> None:
    """However the clock is set: what destroys never runs further ahead of the time that passed than is stated."""
    life, passed = Life(), NOTHING
    for passes, jump in steps:
        passed += passes * SECOND
        life.elapsed += passes * SECOND
        life.jump((passes + jump) * SECOND)
        # Steps within the tolerance are followed, by a hundredth of the time that passes at most.
        assert life.reading.sure - NOON <= passed * 1.01 + TOLERANCE


# -- at a start


def started(
    now: datetime, *, highest: datetime | None = NOON, doubted: datetime | None = None, **nats: datetime | None
) -> tuple[State, datetime]:
    reading = Reckoning(now, NOTHING, highest=highest, doubted=doubted, **nats).look(now, NOTHING)
    return reading.state, reading.sure


@pytest.mark.parametrize(
    ("away", "state"),
    [
        (1100 * DAY, "ahead"),
        (60 * DAY, "ahead"),  # off for two months: it serves, and its operator confirms
        (AWAY + SECOND, "ahead"),
        (AWAY, "sure"),
        (MINUTE, "sure"),
        (-TOLERANCE, "sure"),
        (-TOLERANCE - SECOND, "behind"),
        (-30 * DAY, "behind"),
    ],
)
def test_at_a_start_the_clock_is_compared_with_the_highest_time_ever_seen(away: timedelta, state: State) -> None:
    assert started(NOON + away) == (state, NOON if state == "ahead" else NOON + away)


def test_a_machine_that_learns_the_time_only_after_the_start_is_judged_then() -> None:
    """Without a battery for its clock it begins in the past, and NTP steps it to where it should have been."""
    for away, state in ((8 * HOUR, "sure"), (AWAY, "sure"), (60 * DAY, "ahead")):
        reckoning = Reckoning(NOON - 365 * DAY, NOTHING, highest=NOON)
        assert reckoning.look(NOON - 365 * DAY, SECOND).state == "behind"
        assert reckoning.look(NOON + SECOND + away, SECOND).state == state
        assert reckoning.look(NOON + 2 * SECOND + away + DAY, 2 * SECOND).state == "ahead"


def test_a_first_start_of_all_believes_the_clock() -> None:
    assert started(NOON, highest=None) == ("sure", NOON)


def test_without_a_mark_the_messages_of_before_are_the_witness() -> None:
    assert started(NOON, highest=None, newest_message=NOON - 2 * DAY) == ("sure", NOON)
    assert started(NOON + 1100 * DAY, highest=None, newest_message=NOON) == ("ahead", NOON)


def test_messages_never_make_a_wrong_clock_right() -> None:
    """The NATS server of the same machine dated them by the same wrong clock, e.g. while an earlier process held."""
    wrong = NOON + 1100 * DAY
    assert started(wrong, newest_message=wrong - MINUTE, server=wrong) == ("ahead", NOON)


def test_a_clock_behind_the_newest_message_is_reported_and_destroys_nothing_early() -> None:
    assert started(NOON, newest_message=NOON + DAY) == ("behind", NOON)
    reckoning = Reckoning(NOON, NOTHING, highest=NOON, newest_message=NOON + DAY)
    assert reckoning.look(NOON + 1100 * DAY, SECOND).sure == NOON + SECOND
    assert reckoning.look(NOON + DAY, DAY).state == "sure"


def test_a_clock_ahead_of_the_nats_servers_is_not_believed() -> None:
    assert started(NOON + DAY, server=NOON) == ("ahead", NOON)
    assert started(NOON + DAY, server=NOON - DAY) == ("ahead", NOON)  # the mark is surer than a clock that is behind
    assert started(NOON + DAY, server=NOON + 2 * DAY) == ("sure", NOON + DAY)


def test_a_jump_that_was_noticed_is_not_forgotten_by_a_restart() -> None:
    two_days_ahead = NOON + 2 * DAY
    assert started(two_days_ahead) == ("sure", two_days_ahead)
    assert started(two_days_ahead, doubted=two_days_ahead) == ("ahead", NOON)
    assert started(NOON + HOUR, doubted=two_days_ahead) == ("sure", NOON + HOUR)  # it was set right meanwhile


# -- an operator's word


def test_a_confirmed_clock_is_believed_whatever_was_seen() -> None:
    reckoning = Reckoning(NOON + 60 * DAY, NOTHING, highest=NOON, newest_message=NOON + 61 * DAY)
    reckoning.confirm(NOON + 60 * DAY)
    assert reckoning.look(NOON + 60 * DAY + SECOND, SECOND).state == "sure"


def test_a_confirmation_is_taken_only_by_a_clock_that_shows_what_was_confirmed() -> None:
    assert agrees(NOON + 5 * SECOND, NOON)
    assert agrees(NOON + DAY, NOON)  # the service starts a day later
    assert not agrees(NOON + 1100 * DAY, NOON)  # the operator's clock is right, this one is not
    assert not agrees(NOON - HOUR, NOON)


@pytest.mark.parametrize(
    ("span", "text"),
    [(1100 * DAY, "1100 days"), (2 * DAY, "2 days"), (47 * HOUR, "47 hours"), (11 * MINUTE, "11 minutes")],
)
def test_a_span_is_said_in_its_largest_unit(span: timedelta, text: str) -> None:
    assert spelled(span) == text


def test_a_test_sets_the_clock_and_lets_time_pass() -> None:
    clock = ManualClock(NOON)
    clock.advance(HOUR)
    clock.jump(DAY)
    clock.advance(-HOUR)
    assert (clock.now(), clock.elapsed()) == (NOON + DAY, HOUR)
