"""Accept headers, as clients really send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.shared.web.accept import accepted
from firsthand.shared.web.languages import negotiate


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ar; q=0.9, en; q=0.5", "ar"),
        ("en;q=0.5,ar;q=0.9", "ar"),
        ("es-MX, es;q=0.9, en;q=0.8", "es"),
        ("ar-QA,ar;q=0.9,en-US;q=0.8,en;q=0.7", "ar"),
        ("EN-gb, AR;Q=0.9", "en"),
        ("de, fr;q=0.9", "en"),
        ("de, *;q=0.5", "en"),
        ("en;q=0, *", "ar"),
        ("ar;q=0, es;q=0.001", "es"),
        ("ar;q=high, es;q=0.2", "es"),
        ("ar;q=2, es", "es"),
        ("", "en"),
        (";;;,,,=", "en"),
    ],
)
def test_a_visitor_gets_the_language_it_wants_most(header: str, language: str) -> None:
    assert negotiate(header) == language


def test_weights_are_read_with_spaces_and_in_any_case() -> None:
    assert accepted("text/html ; Q=0.5 , application/json;charset=utf-8;q=0.8, */*;q=0") == {
        "application/json": 0.8,
        "text/html": 0.5,
        "*/*": 0.0,
    }


@given(st.text(max_size=300))
def test_no_header_is_too_odd_to_read(header: str) -> None:
    assert all(0 <= weight <= 1 for weight in accepted(header).values())
    assert negotiate(header) in {"en", "ar", "es"}


@given(st.permutations([("ar", 0.9), ("en", 0.5), ("es", 0.1)]), st.sampled_from([";q=", "; q=", " ;  q = "]))
def test_order_and_spaces_change_nothing(parts: list[tuple[str, float]], sign: str) -> None:
    assert negotiate(", ".join(f"{tag}{sign}{weight}" for tag, weight in parts)) == "ar"
