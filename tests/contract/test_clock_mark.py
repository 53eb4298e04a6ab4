"""The highest time ever seen lies in the key store, whichever adapter keeps that, for all replicas of a service."""

from datetime import UTC, datetime, timedelta

from firsthand.shared.bus.times import Times
from firsthand.shared.clock import ManualClock
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.store import Store
from firsthand.shared.trusted_clock import AWAY, ClockMark, TrustedClock

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def replica(store: Store, now: datetime, times: Times | None = None) -> tuple[ManualClock, TrustedClock]:
    """A replica that starts on a machine whose clock shows `now`."""
    await store.prepare([ClockMark])
    clock = ManualClock(now)
    trusted = TrustedClock(clock, store)
    await trusted.load(times or Times())
    return clock, trusted


async def mark(store: Store) -> ClockMark:
    found = await store.collection(ClockMark, DEPLOYMENT).get("mark")
    assert found is not None
    return found


async def test_the_next_start_compares_its_clock_with_the_highest_time_that_any_replica_kept(store: Store) -> None:
    clock, one = await replica(store, NOON)
    _, two = await replica(store, NOON)
    await one.keep()
    clock.advance(2 * DAY)
    await one.keep()
    await two.keep()  # its clock stands still: the higher time stays
    assert (await mark(store)).highest == NOON + 2 * DAY
    _, later = await replica(store, NOON + 2 * DAY + AWAY)
    assert later.read().state == "sure"
    _, wrong = await replica(store, NOON + 1100 * DAY)
    assert wrong.read().state == "ahead"
    assert wrong.sure() == NOON + 2 * DAY


async def test_a_time_that_is_not_believed_raises_no_mark_and_is_remembered_for_the_next_start(store: Store) -> None:
    clock, one = await replica(store, NOON)
    await one.keep()
    clock.jump(2 * DAY)
    clock.advance(HOUR)
    await one.keep()
    kept = await mark(store)
    assert (kept.highest, kept.doubted) == (NOON + HOUR, NOON + HOUR + 2 * DAY)
    _, again = await replica(store, clock.now() + HOUR)  # without the note, two days could be a weekend
    assert again.read().state == "ahead"
    clock.jump(-2 * DAY)
    assert one.read().state == "sure"
    assert one.returned_from() == NOON + HOUR + 2 * DAY
    assert one.returned_from() is None
    await one.keep()
    assert (await mark(store)).doubted is None


async def test_a_replica_whose_clock_is_ahead_learns_from_one_whose_clock_is_right(store: Store) -> None:
    right_clock, right = await replica(store, NOON)
    await right.keep()
    _, wrong = await replica(store, NOON + 60 * DAY)
    right_clock.advance(DAY)
    await right.keep()
    await wrong.keep()
    assert wrong.sure() == NOON + DAY
    assert (await mark(store)).highest == NOON + DAY


async def test_what_an_operator_confirms_is_kept_for_later_starts(store: Store) -> None:
    _, before = await replica(store, NOON)
    await before.keep()
    then = NOON + 60 * DAY
    _, one = await replica(store, then)
    assert one.read().held
    assert not one.take(Times())
    assert not one.take(Times(confirmed=NOON))  # the operator's clock says otherwise: this machine's is wrong
    assert one.take(Times(confirmed=then - timedelta(seconds=2)))
    await one.keep()
    kept = await mark(store)
    assert (kept.highest, kept.doubted, kept.confirmed) == (then, None, then - timedelta(seconds=2))
    _, later = await replica(store, then + HOUR)
    assert later.read().state == "sure"


async def test_a_confirmation_counts_once(store: Store) -> None:
    clock, one = await replica(store, NOON)
    assert not one.take(Times(confirmed=NOON))  # nothing was in doubt
    clock.jump(2 * DAY)
    assert one.read().held
    assert not one.take(Times(confirmed=NOON))
    assert one.read().held


async def test_a_service_that_was_off_takes_a_confirmation_of_meanwhile(store: Store) -> None:
    _, before = await replica(store, NOON)
    await before.keep()
    _, one = await replica(store, NOON + 61 * DAY, Times(confirmed=NOON + 60 * DAY))
    assert one.read().state == "sure"


async def test_a_clock_that_was_confirmed_too_high_is_confirmed_down_again(store: Store) -> None:
    _, wrong = await replica(store, NOON + 1100 * DAY)  # a first start, with nothing to compare with
    await wrong.keep()
    _, one = await replica(store, NOON)
    assert one.read().state == "behind"
    assert one.sure() == NOON
    assert one.take(Times(confirmed=NOON))
    await one.keep()
    assert (await mark(store)).highest == NOON


async def test_messages_with_wrong_times_are_discounted_once_an_operator_has_confirmed(store: Store) -> None:
    _, before = await replica(store, NOON)
    await before.keep()
    late = Times(newest_message=NOON + 1100 * DAY)
    _, one = await replica(store, NOON + HOUR, late)
    assert one.read().state == "behind"
    assert one.take(Times(confirmed=NOON + HOUR))
    assert one.read().state == "sure"
    await one.keep()
    _, later = await replica(store, NOON + 2 * HOUR, late)
    assert later.read().state == "sure"
