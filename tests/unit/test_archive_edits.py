"""Edit lists: what stretches mean, and how times are read and written."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.services.archive.model import Edit
from firsthand.services.archive.model.edits import checked, clock_of, cuts_of, place_of, removed, silences_of
from firsthand.shared.refused import Refused


def cut(start: int, end: int) -> Edit:
    return Edit(kind="cut", start=start, end=end)


@pytest.mark.parametrize(
    ("typed", "milliseconds"),
    [
        ("65", 65_000),
        ("1:05", 65_000),
        (" 1:05.5 ", 65_500),
        ("1:05,25", 65_250),
        ("1:02:03", 3_723_000),
        ("٠١:٠٥", 65_000),
        ("0", 0),
        ("99999:00", 24 * 3600 * 1000),
    ],
)
def test_a_place_is_read_as_people_type_it(typed: str, milliseconds: int) -> None:
    assert place_of(typed) == milliseconds


@pytest.mark.parametrize("typed", ["", "a minute", "1:", ":5", "-1", "1:2:3:4", "1.x", "1e3", "9" * 50, "½", "0x1"])
def test_what_is_no_place_is_refused(typed: str) -> None:
    with pytest.raises(Refused) as refused:
        place_of(typed)
    assert refused.value.code == "no-place"


@given(st.integers(0, 10 * 3600 * 10))
def test_a_place_that_is_written_is_read_again(tenths: int) -> None:
    assert place_of(clock_of(100 * tenths)) == 100 * tenths


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 3_000)), max_size=12))
def test_cuts_are_joined_and_count_once(stretches: list[tuple[int, int]]) -> None:
    edits = [cut(start, start + length) for start, length in stretches]
    joined = cuts_of(edits)
    assert all(end < start for (_, end), (start, _) in pairwise(joined))
    taken = {place for start, length in stretches for place in range(start, start + length)}
    assert removed(edits) == len(taken)


def test_what_is_beyond_the_end_is_cut_off_and_a_picture_goes_as_a_whole() -> None:
    edits = checked(
        [cut(9_000, 99_000), Edit(kind="no-picture", start=3, end=4), Edit(kind="silence", start=1, end=2)],
        10.0,
        picture=True,
        sound=True,
    )
    assert [(edit.kind, edit.start, edit.end) for edit in edits] == [
        ("no-picture", 0, 10_000),
        ("silence", 1, 2),
        ("cut", 9_000, 10_000),
    ]
    assert (cuts_of(edits), silences_of(edits)) == ([(9_000, 10_000)], [(1, 2)])


@pytest.mark.parametrize(
    ("edits", "code"),
    [
        ([cut(5, 5)], "no-stretch"),
        ([cut(10_000, 20_000)], "no-stretch"),
        ([cut(0, 9_001)], "nothing-left"),
        ([cut(n, n + 1) for n in range(101)], "too-many-edits"),
    ],
)
def test_what_cannot_be_done_is_refused(edits: list[Edit], code: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(edits, 10.0, picture=True, sound=True)
    assert refused.value.code == code
