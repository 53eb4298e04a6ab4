"""What comes from outside is bounded, and cleaned of what nobody can see."""

import time
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from firsthand.shared.inputs import (
    LATEST,
    CalendarDate,
    Instant,
    KeptInstant,
    Line,
    Note,
    day_of,
    is_name,
    length_of,
    number_of,
    tidy,
)
from firsthand.shared.places import is_zone


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        (" Amal \u200e", "Amal"),
        ("\u202aAmal\u202c  Haddad", "Amal Haddad"),
        ("A\u2066ma\u2069l\u202e", "Amal"),
        ("Amal\u00a0Haddad\n", "Amal Haddad"),
        ("\ufeffAmal\u00ad", "Amal"),
        ("Amal\x00\x1b[31m", "Amal[31m"),
        ("\u200b\u200c\u200d\u2060", ""),
        ("José", "José"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\u200c b", "a b"),
        ("a\ud800b", "ab"),
        ("a\u2028b", "a b"),
    ],
)
def test_what_cannot_be_seen_is_removed(pasted: str, meant: str) -> None:
    assert tidy(pasted) == meant


def test_a_note_keeps_its_lines() -> None:
    assert TypeAdapter(Note).validate_python(" Call me\r\n\u200bafter  five \n\n") == "Call me\nafter five"


@given(st.text(max_size=60))
def test_tidying_twice_is_tidying_once(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


def test_a_name_has_a_letter() -> None:
    assert [is_name(text) for text in ("Amal", "أمل", "J.", "3rd year", "李")] == [True] * 5
    assert [is_name(text) for text in ("", ".", "\u200b", "—", "😀")] == [False] * 5


@pytest.mark.parametrize(
    "at",
    [
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "1999-12-31T00:00:00Z",
        "2026-01-01T00:00:00",
        1e11,
        1e308,
    ],
)
def test_a_time_of_no_use_is_refused(at: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Instant).validate_python(at)


def test_a_time_is_read_with_what_was_copied_along() -> None:
    assert TypeAdapter(Instant).validate_python(" 2026-12-01T10:00:00Z\u200f") == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert TypeAdapter(CalendarDate).validate_python("\u202a2026-12-01\u202c") == date(2026, 12, 1)
    assert day_of(" 2026-12-01 ") == date(2026, 12, 1)


@pytest.mark.parametrize("day", ["9999-12-31", "1999-01-01", "2026-13-01", "²", "", "2026-12-01T10:00:00Z", "1" * 5000])
def test_a_day_of_no_use_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match=r"day|date"):
        day_of(day)


def test_a_time_that_an_earlier_release_kept_is_read_as_the_latest() -> None:
    assert TypeAdapter(KeptInstant).validate_python("9999-12-31T23:59:59Z") == LATEST


@pytest.mark.parametrize("text", ["²", "1e3", "-1", "", "+5", "1_0", "9" * 30, "9" * 5000, "٣", "①", " 5", "0x1"])
def test_a_header_that_is_no_number_is_none(text: str) -> None:
    assert length_of(text) is None


def test_numbers_are_read_in_the_digits_of_a_persons_own_script() -> None:
    assert [number_of(text) for text in ("2015", " ٢٠١٥\u200f", "²", "-1", "9" * 5000)] == [
        2015,
        2015,
        None,
        None,
        None,
    ]
    assert length_of("1048576") == 1_048_576


def test_a_zone_means_the_same_on_every_machine() -> None:
    assert is_zone("Asia/Qatar")
    assert not any(map(is_zone, ("localtime", "Factory", "posixrules", "", "../etc/passwd", "Mars/Olympus", "America")))


@pytest.mark.parametrize("piece", ["a", "\u200b", "\u0301", " ", "\u202e", "\u200d", "\n", "ﷺ"])
def test_a_long_text_is_refused_before_it_is_looked_at(piece: str) -> None:
    began = time.process_time()
    with pytest.raises(ValidationError):
        TypeAdapter(Line).validate_python(piece * 1_000_000)
    TypeAdapter(Note).validate_python("a" + piece * 1_900)
    assert time.process_time() - began < 0.5
