from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from firsthand.shared.store.sqlite_schema import microseconds, sortable

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES)  # noqa: DTZ001 - naive bounds


@given(TIMES, TIMES)
def test_the_text_and_the_number_of_a_time_sort_as_the_time_does(one: datetime, other: datetime) -> None:
    assert (sortable(one) < sortable(other)) == (one < other) == (microseconds(one) < microseconds(other))


@given(TIMES)
def test_no_microsecond_of_a_time_is_lost(at: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(at)) == at
    assert datetime.fromisoformat(f"{sortable(at)}+00:00") == at
