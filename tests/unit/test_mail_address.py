"""Mail addresses as people type and paste them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from firsthand.shared.mail_address import (
    LONGEST,
    MailAddressField,
    NotMailAddress,
    as_typed,
    mail_address,
    needs_utf8,
)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ana@example.com", "ana@example.com"),
        ("  Ana@Example.COM\n", "Ana@example.com"),
        ("a\u200bna@exam\u200dple.com\u200f", "ana@example.com"),
        ("\ufeff\u202aana@example.com\u202c", "ana@example.com"),
        ("ana\u00ad@example.com", "ana@example.com"),
        ("ana\ufe0f@example\u3164.com", "ana@example.com"),
        ("\u00a0ana@example.com\u00a0", "ana@example.com"),
        ("mailto:ana@example.com", "ana@example.com"),
        ("ana\uff20example.com", "ana@example.com"),
        ("ana@example.com.", "ana@example.com"),
        ("ana@müller.example", "ana@xn--mller-kva.example"),
        ("ana@MÜLLER。example", "ana@xn--mller-kva.example"),
        ("ana@xn--mller-kva.example", "ana@xn--mller-kva.example"),
        ("ana@موقع.وزارة-الاتصالات.مصر", "ana@xn--4gbrim.xn----ymcbaaajlc6dj7bxne2c.xn--wgbh1c"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("o'neil+calls@sub.example.co.nz", "o'neil+calls@sub.example.co.nz"),
    ],
)
def test_what_is_kept_is_what_mail_is_sent_to(typed: str, kept: str) -> None:
    assert mail_address(typed) == kept
    assert mail_address(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ana",
        "@example.com",
        "ana@",
        "ana@localhost",
        "ana@192.0.2.1",
        "ana@[192.0.2.1]",
        "ana @example.com",
        "ana\u3000b@example.com",
        "ana@exa mple.com",
        "ana@b.org, c@d.org",
        "ana@b.org\r\nBcc: c@d.org",
        "Ana <ana@example.com>",
        '"a b"@example.com',
        "a..b@example.com",
        ".a@example.com",
        "ana@-example.com",
        "ana@exa_mple.com",
        "ana@xn--\u0000.com",
        "ana@xn--zzzzzz99999.com",
        "ana@..example.com",
        "a" * 65 + "@example.com",
        "é" * 33 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + ".".join(["b" * 60] * 5),
        "\u200b" * 600 + "ana@example.com",
        "\u200b@\u200b",
    ],
)
def test_what_is_not_one_address_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(NotMailAddress) as refused:
        mail_address(typed)
    assert not typed or typed not in str(refused.value)
    with pytest.raises(ValidationError):
        TypeAdapter(MailAddressField).validate_python(typed)


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_typed_the_result_is_one_short_line_that_stays_itself(before: str, after: str) -> None:
    for typed in (f"{before}@{after}", f"{before}@example.com", f"ana@{after}.example"):
        try:
            address = mail_address(typed)
        except NotMailAddress:
            continue
        assert mail_address(address) == address
        assert address.isprintable()
        assert len(address.encode()) <= LONGEST
        assert address.rpartition("@")[2].isascii()
        assert " " not in address


def test_a_person_reads_the_domain_in_its_own_letters() -> None:
    assert as_typed("ana@xn--mller-kva.example") == "ana@müller.example"
    assert as_typed("ana@example.com") == "ana@example.com"
    assert as_typed("") == ""


def test_only_letters_before_the_at_sign_need_a_server_that_speaks_smtputf8() -> None:
    assert needs_utf8(mail_address("josé@example.com"))
    assert not needs_utf8(mail_address("jose@müller.example"))
