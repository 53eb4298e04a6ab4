"""What platforms give, read as posts; hashtags and addresses compared as people mean them."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.services.discovery.model.addresses import read_address
from firsthand.services.discovery.model.cases import CaseDetails
from firsthand.services.discovery.model.hashtags import fold_tag, is_hashtag, matching, wanted
from firsthand.services.discovery.posts import (
    Format,
    Ignored,
    Post,
    Removed,
    Unreadable,
    entries_of,
    read_entry,
    recognise,
)
from firsthand.services.discovery.posts.bounds import Bounds
from firsthand.shared.refused import Refused
from firsthand.shared.texts import normalized
from firsthand.shared.web.multipart import SentForm

EXAMPLE = Path(__file__).parents[2] / "example" / "posts"
HASHTAGS = wanted(["#CleftLip", "شق_الشفة", "LabioLeporino", "Fente_labio_palatine"])


DETAILS = {
    "title": "Cleft palate",
    "condition": {"en": "cleft palate"},
    "hashtags": ["cleft"],
    "languages": ["en"],
}


def read(format_: Format, content: bytes, piece: int = 1 << 20) -> list[Any]:
    entries = entries_of(format_)
    found = [entry for start in range(0, len(content), piece) for entry in entries.feed(content[start : start + piece])]
    found += entries.finish()
    return [entry if isinstance(entry, Unreadable) else read_entry(format_, entry) for entry in found]


@pytest.mark.parametrize(
    ("name", "format_", "posts", "unreadable"),
    [
        ("bluesky.json", "bluesky", 7, [10]),
        ("jetstream.jsonl", "jetstream", 6, [7]),
        ("mastodon.json", "mastodon", 7, [11]),
        ("instagram.json", "instagram", 8, [9]),
    ],
)
def test_the_example_of_each_platform_is_recognised_and_read(
    name: str, format_: Format, posts: int, unreadable: list[int]
) -> None:
    content = (EXAMPLE / name).read_bytes()
    assert recognise(content[:8192]) == format_
    found = read(format_, content)
    assert len([one for one in found if isinstance(one, Post)]) == posts
    assert [one.number for one in found if isinstance(one, Unreadable)] == unreadable
    assert read(format_, content, piece=7) == found  # wherever the bytes are cut


def test_answers_one_after_another_are_read_as_one() -> None:
    page = (EXAMPLE / "instagram.json").read_bytes()
    assert len(read("instagram", page + page)) == 2 * len(read("instagram", page))


def test_what_stands_before_broken_json_goes_in_and_the_break_is_reported_by_number() -> None:
    content = (EXAMPLE / "mastodon.json").read_bytes()
    found = read("mastodon", content[: content.index(b'"marisol"')])
    assert [type(one) for one in found] == [Post, Post, Unreadable]
    assert found[-1].number == 3


def test_a_broken_line_of_jetstream_costs_one_line() -> None:
    lines = (EXAMPLE / "jetstream.jsonl").read_bytes().splitlines()
    assert [type(one) for one in read("jetstream", b"\n".join([lines[0], b"}{", lines[1]]))] == [Post, Unreadable, Post]


def test_an_entry_without_end_does_not_fill_memory() -> None:
    endless = b'[{"id":"1"},{"content":"' + b"x" * (6 * 1024 * 1024)
    found = read("mastodon", endless, piece=65536)
    assert [type(one) for one in found] == [Unreadable, Unreadable]
    assert "4 MB" in found[1].reason
    found = read("jetstream", b"x" * (6 * 1024 * 1024) + b"\n{}", piece=65536)
    assert [one.reason for one in found] == ["the line is longer than 4 MB", "`did` is missing"]


def test_a_deleted_post_is_told_as_removed() -> None:
    lines = (EXAMPLE / "jetstream.jsonl").read_bytes()
    *_, written, removed = read("jetstream", lines)
    assert isinstance(removed, Removed)
    assert removed.permalink == written.permalink


def _status(**fields: Any) -> Any:
    statuses = json.loads((EXAMPLE / "mastodon.json").read_bytes())
    (found,) = read("mastodon", json.dumps([statuses[0] | fields]).encode())
    return found


def _status_account(**fields: Any) -> Any:
    return json.loads((EXAMPLE / "mastodon.json").read_bytes())[0]["account"] | fields


def test_only_what_everybody_may_see_is_read() -> None:
    assert isinstance(_status(visibility="unlisted"), Post)
    assert _status(visibility="private") == Ignored("not-public")
    assert _status(visibility="direct") == Ignored("not-public")


def test_a_mastodon_post_is_words_and_an_address_never_html() -> None:
    post = _status(content="<p>one<br>two &lt;b&gt;</p><script>x</script>")
    assert post.text == "one\ntwo <b>\nx"
    assert post.accounts == ("noor@social.example",)
    assert post.permalink == "https://social.example/@noor/115000000001000003"


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a",
        "&",
        "&#",
        "&#9",
        "<br>",
        "</p",
        "#a",
        "# ",
        "\u0315\u0300",
        "#\u0315\u0300",
        "\ufdfa",
        "<!--",
        "\u200d",
    ],
)
def test_no_text_of_a_post_takes_long_to_read(piece: str) -> None:
    """50 kB of `<` took five seconds, and 80,000 marks on one letter seven."""
    text = (piece * 50_000)[:50_000]
    post = _status(content=text, spoiler_text=text, account=_status_account(note=text, display_name=text))
    began = time.process_time()
    post = _status(content=text, spoiler_text=text, account=_status_account(note=text, display_name=text))
    assert isinstance(post, Post)
    matching(HASHTAGS, [text, *post.tags], post.text)
    assert time.process_time() - began < 1  # a tenth, on a machine of today


def test_a_number_that_no_character_has_is_no_error() -> None:
    assert _status(content=f"a&#{'9' * 5000};b").text == "a\ufffdb"
    assert _status(content=f"a&#x{'f' * 5000};b&#64;").text.endswith("b@")


def test_a_letter_with_more_marks_than_any_script_has_is_cut() -> None:
    assert normalized("NFC", "e" + "\u0301" * 40) == "é" + "\u0301" * 29
    assert normalized("NFC", "e\u0301" * 40) == "é" * 40


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, {"account": 1}, {"account": {}, "visibility": None}])
@pytest.mark.parametrize("format_", ["bluesky", "jetstream", "mastodon", "instagram"])
def test_junk_is_unreadable_and_never_an_error(format_: Format, junk: Any) -> None:
    around = {"bluesky": {"posts": [junk]}, "instagram": {"data": [junk]}, "mastodon": [junk], "jetstream": junk}
    assert [type(one) for one in read(format_, json.dumps(around[format_]).encode())] == [Unreadable]


def test_an_answer_that_is_an_error_is_no_posts() -> None:
    assert recognise(b'{"error":"AuthMissing","message":"..."}') is None
    assert recognise(b"<!doctype html>") is None
    assert recognise(b"") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#CLEFTLIP", ["CleftLip"]),
        ("#cleftlip!", ["CleftLip"]),
        ("＃ＣｌｅｆｔＬｉｐ", ["CleftLip"]),
        ("#Fenté_Labio_Palatine", ["Fente_labio_palatine"]),
        ("#شَقّ_الشِّفَة", ["شق_الشفة"]),
        ("#شق_الشفه", ["شق_الشفة"]),
        ("#شـــق_الشفة", ["شق_الشفة"]),
        ("#cleft-lip", []),
        ("#cleftlips", []),
        ("cleftlip", []),
    ],
)
def test_hashtags_match_whatever_case_accents_or_script(text: str, found: list[str]) -> None:
    assert matching(HASHTAGS, [], text) == found


SCRIPTS = [
    "तालु",
    "কাটা_ঠোঁট",
    "பிளவுஉதடு",
    "နှုတ်ခမ်းကွဲ",
    "បបូរមាត់ឆែប",
    "ปากแหว่ง",
    "구순구개열",
    "唇顎口蓋裂",
    "ከንፈር_መሰንጠቅ",
    "හීනකල",
]


@pytest.mark.parametrize("tag", SCRIPTS)
def test_a_hashtag_may_be_in_any_script(tag: str) -> None:
    assert is_hashtag(tag)
    assert CaseDetails.model_validate(DETAILS | {"hashtags": [f"#{tag}"]}).hashtags == [tag]
    case = wanted([tag])
    for text in (f"two years #{tag} later", f"#{tag}", f"#{tag}।", f"＃{tag}, #other", f"#other#{tag}"):
        assert matching(case, [], text) == [tag], text
    assert matching(case, [tag], "") == [tag]
    assert matching(case, [], f"#{tag}ा" if tag == "तालु" else f"#{tag}x") == []


def test_a_vowel_that_makes_another_word_makes_another_hashtag() -> None:
    assert matching(wanted(["तालु"]), ["ताल"], "#ताल #तालि") == []
    assert not is_hashtag("\u0941")  # a mark without a letter


def test_a_long_hashtag_of_hangul_is_counted_in_syllables() -> None:
    tag = "가" * 60
    assert is_hashtag(tag)
    assert matching(wanted([tag]), [], f"#{tag}") == [tag]
    assert not is_hashtag("가" * 101)


def test_a_hashtag_of_a_case_has_no_hyphen_and_no_space() -> None:
    assert is_hashtag("#شق_الشفة")
    assert not is_hashtag("cleft-lip")
    assert not is_hashtag("cleft lip")


@given(st.text(alphabet=st.characters(categories=["L", "M", "N"]), min_size=1, max_size=20))
def test_folding_twice_is_folding_once(tag: str) -> None:
    assert fold_tag(fold_tag(tag)) == fold_tag(tag)


@pytest.mark.parametrize(
    ("given_", "platform", "url", "accounts"),
    [
        (
            "instagram.com/Lina.Example?igsh=1",
            "instagram",
            "https://www.instagram.com/lina.example/",
            ("lina.example",),
        ),
        ("https://www.instagram.com/reel/AbC/?x=1", "instagram", "https://www.instagram.com/p/AbC/", ()),
        ("https://instagram.com/lina/p/AbC", "instagram", "https://www.instagram.com/p/AbC/", ("lina",)),
        (
            "https://bsky.app/profile/Lina.example",
            "bluesky",
            "https://bsky.app/profile/lina.example",
            ("lina.example",),
        ),
        (
            "at://did:plc:abc/app.bsky.feed.post/3k",
            "bluesky",
            "https://bsky.app/profile/did:plc:abc/post/3k",
            ("did:plc:abc",),
        ),
        ("@lina.example", "bluesky", "https://bsky.app/profile/lina.example", ("lina.example",)),
        ("@Noor@social.example", "mastodon", "https://social.example/@Noor", ("noor@social.example",)),
        (
            "https://a.example/@noor@social.example/12",
            "mastodon",
            "https://a.example/@noor@social.example/12",
            ("noor@social.example",),
        ),
        ("https://a.example/users/noor/statuses/12", "mastodon", "https://a.example/@noor/12", ("noor@a.example",)),
        (
            "http://Blog.example/lina/?utm_source=x&id=7#top",
            "other",
            "https://blog.example/lina?id=7",
            ("https://blog.example/lina?id=7",),
        ),
    ],
)
def test_an_address_has_one_form_however_it_was_copied(
    given_: str, platform: str, url: str, accounts: tuple[str, ...]
) -> None:
    address = read_address(given_)
    assert (address.platform, address.url, address.accounts) == (platform, url, accounts)
    assert read_address(address.url).url == address.url


@pytest.mark.parametrize(
    "given_",
    [
        "",
        "lina",
        "javascript:alert(1)",
        "https://user:secret@social.example/@noor",
        "ftp://a.example/x",
        "https://localhost/@noor",
        "https://instagram.com/explore/",
        "https://bsky.app/profile/x y",
        "https://a.example:99999/x",
        "https://[::1]/x",
        "https://[",
        "https://ａ..example/x",
        "x" * 3000,
    ],
)
def test_what_is_no_public_address_is_refused_with_what_to_do(given_: str) -> None:
    with pytest.raises(Refused) as refused:
        read_address(given_)
    assert refused.value.fields


@given(st.text(max_size=80))
def test_no_text_makes_reading_an_address_fail_otherwise(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://bsky.app/profile/{text}", f"https://a.example/@{text}"):
        try:
            assert read_address(candidate).url.startswith("https://")
        except Refused:
            continue


ABSURD = {
    "a number without end": b'{"a": 1' + b"0" * 5000 + b"}",
    "lists in lists": b"[" * 50_000,
    "objects in objects": b'{"posts": ' * 20_000,
}


@pytest.mark.parametrize("before", [b"", b'["\\\\\\"[[{{", '])
@pytest.mark.parametrize("absurd", ABSURD.values(), ids=ABSURD)
@pytest.mark.parametrize("piece", [1 << 20, 7])
def test_absurd_json_is_refused_before_it_reaches_the_parser(before: bytes, absurd: bytes, piece: int) -> None:
    recognise(before + absurd)
    assert isinstance(read("mastodon", before + absurd, piece)[-1], Unreadable)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_ordinary_json_is_taken_for_absurd(content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False).encode()
    for piece in (1, 3, len(text)):
        bounds = Bounds()
        for start in range(0, len(text), piece):
            bounds.demand(text[start : start + piece])
        assert bounds.depth == 0


def test_an_address_in_any_script_names_the_host_that_a_browser_opens() -> None:
    """IDNA 2008, as browsers do; the older rules made another host of these."""
    assert read_address("https://faß.example/@noor").url == "https://xn--fa-hia.example/@noor"
    assert read_address("https://Bücher.example/@noor").url == "https://xn--bcher-kva.example/@noor"
    with pytest.raises(Refused):
        read_address("https://-a\u200d.example/@noor")


async def test_a_form_of_fields_without_end_fills_no_memory() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(2000):
            yield b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n%s\r\n' % (number, b"y" * 900)

    upload = SentForm("multipart/form-data; boundary=x", chunks(), "file")
    assert [piece async for piece in upload.file()] == []
    assert len(upload.fields) == 20


async def test_of_two_files_of_one_name_only_the_first_is_taken() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for content in (b"first", b"second"):
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + content + b"\r\n"
        yield b"--x--\r\n"

    assert await SentForm("multipart/form-data; boundary=x", chunks(), "file").whole(100) == b"first"
