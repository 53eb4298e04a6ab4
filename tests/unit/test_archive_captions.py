"""Captions as meeting providers and editors write them, and words as people look for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.services.archive.model.captions import Cue, Lines, changed, read, written
from firsthand.services.archive.model.edits import Edit
from firsthand.services.archive.model.words import APART, lines_with, marked, words_of
from firsthand.shared.inputs import tidy
from firsthand.shared.refused import Refused

ZOOM = """WEBVTT\r
\r
1\r
00:00:03.210 --> 00:00:07.230\r
Maria Garcia: Hola, me llamo Maria.\r
\r
2\r
00:00:08.000 --> 00:00:09.000\r
Dr. Ana: Gracias\r
"""
TEAMS = """WEBVTT

0c1b2a3d-1/12-0
00:00:01.000 --> 00:00:02.500
<v Noor Al-Sayed>She smiled &amp; <i>slept</i>.</v>

STYLE
::cue { color: red }

NOTE nobody sees this: 55 512 345

00:03.000 --> 00:04.000 align:start position:10%
<00:03.500><c.loud>And then?</c>
"""
SRT = """1
00:00:01,000 --> 00:00:02,500
<i>I waited: alone.</i>

2
00:00:03,000 --> 00:00:04,500
- Where?
- At home.

"""


def lines(content: str | bytes, seconds: float | None = None) -> list[tuple[int, int, str, str]]:
    found = read(content if isinstance(content, bytes) else content.encode(), seconds)
    return [(cue.start, cue.end, cue.speaker, cue.text) for cue in found]


def test_zoom_writes_names_before_what_they_say() -> None:
    assert lines(ZOOM) == [
        (3210, 7230, "Maria Garcia", "Hola, me llamo Maria."),
        (8000, 9000, "Dr. Ana", "Gracias"),
    ]


def test_teams_writes_voices_and_nothing_but_voices_and_words_is_taken() -> None:
    assert lines(TEAMS) == [
        (1000, 2500, "Noor Al-Sayed", "She smiled & slept."),
        (3000, 4000, "", "And then?"),
    ]


def test_of_subrip_a_colon_in_one_line_is_no_name() -> None:
    assert lines(SRT) == [(1000, 2500, "", "I waited: alone."), (3000, 4500, "", "- Where?\n- At home.")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_unicode_that_editors_write_is_read(encoding: str) -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nكانت الليلة طويلة\n"
    assert lines(text.encode(encoding)) == [(1000, 2000, "", "كانت الليلة طويلة")]


def test_what_nobody_can_see_goes_and_what_goes_backwards_too() -> None:
    seen, backwards = "00:01.000 --> 00:02.000\n\u202ea\u200bb\u0007 c", "00:05.000 --> 00:04.000\nx"
    assert lines(f"WEBVTT\n\n{seen}\n\n{backwards}\n\n00:06.000 --> 00:06.000\ny\n") == [(1000, 2000, "", "ab c")]


def test_lines_are_in_the_order_of_their_times_and_end_with_the_recording() -> None:
    text = "WEBVTT\n\n00:05.000 --> 00:12.000\nb\n\n00:01.000 --> 00:02.000\na\n"
    assert lines(text, 10) == [(1000, 2000, "", "a"), (5000, 10_000, "", "b")]
    many = "WEBVTT\n\n" + "".join(f"00:{n:02}.000 --> 00:{n:02}.900\nx\n\n" for n in range(60))
    with pytest.raises(Refused) as refused:
        read(many.encode(), 20)
    assert refused.value.code == "longer"
    assert len(read(many.encode(), 57.5)) == 58  # what providers round


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"\xff\xd8\xff", b"WEBVTT", b"1\n2\n3\n", b"WEBVTT\n\n-->\n", b"\0" * 99]
)
def test_rubbish_is_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        read(content)


texts = (
    st.text(st.characters(exclude_characters=":", exclude_categories=("Cs", "Cn")), min_size=1, max_size=80)
    .map(lambda text: tidy(text, lines=True))
    .filter(bool)
)
cues = st.builds(
    lambda start, length, text: Cue(start=start, end=start + length, text=text),
    st.integers(0, 3_600_000), st.integers(1, 60_000), texts,
)  # fmt: skip


@given(st.lists(cues, min_size=1, max_size=20))
def test_what_is_written_is_read_as_it_was(said: list[Cue]) -> None:
    said = sorted(said, key=lambda cue: (cue.start, cue.end))
    assert Lines.unsealed(Lines.of(said).to_seal()).cues() == said
    for form in ("vtt", "srt"):
        again = read(written(said, form).encode())
        assert [(cue.start, cue.end) for cue in again] == [(cue.start, cue.end) for cue in said]
        if form == "vtt":
            assert [cue.text.split() for cue in again] == [cue.text.split() for cue in said]


def test_what_is_written_cannot_be_taken_for_a_mark_or_a_time() -> None:
    evil = Cue(start=0, end=1000, text="<script>alert(1)</script> a --> b & c", speaker="A>B")
    text = written([evil], "vtt")
    assert "<script>" not in text
    (back,) = read(text.encode())
    assert back.text == evil.text


def test_of_a_line_that_is_touched_nothing_is_left_and_the_rest_moves() -> None:
    said = [Cue(start=n * 1000, end=n * 1000 + 900, text=str(n)) for n in range(8)]
    edits = [
        Edit(kind="cut", start=1500, end=3000), Edit(kind="silence", start=5000, end=5100),
        Edit(kind="cut", start=6950, end=6990),
    ]  # fmt: skip
    assert [(cue.text, cue.start) for cue in changed(said, edits)] == [
        ("0", 0), ("3", 1500), ("4", 2500), ("6", 4500), ("7", 5460),
    ]  # fmt: skip
    assert changed(said, [Edit(kind="no-picture", start=0, end=99_000)]) == said


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("القُرآنُ الكريم", "القرآن"),
        ("في المدرسة", "مدرسه"),
        ("إلى أمّي", "الي امي"),
        ("والولد نام", "ولد"),
        ("عمره ١٢ سنة", "12"),
        ("Comió después", "COMIO despues"),
        ("el niño", "nino"),
        ("Straße", "STRASSE"),
        ("Ça va — déjà!", "ca deja"),
    ],
)
def test_words_are_found_as_they_sound(said: str, asked: str) -> None:
    assert words_of(asked) <= words_of(said)
    assert lines_with(APART.join(["other words", said]), words_of(asked), 3) == [1]
    assert any(hit for _, hit in marked(said, words_of(asked)))
    assert "".join(text for text, _ in marked(said, words_of(asked))) == said


@given(st.text(max_size=200).map(tidy))
def test_a_text_has_the_words_that_it_is_marked_for(text: str) -> None:
    words = words_of(text)
    assert "".join(piece for piece, _ in marked(text, words)) == text
    assert lines_with(text, words, 1) == ([0] if words else [])


@given(
    st.lists(st.lists(st.sampled_from(["a", "ab", "abc", "b", "كتاب", "الكتاب"]), min_size=1), min_size=1, max_size=8)
)
def test_lines_are_found_as_by_taking_each_apart(said: list[list[str]]) -> None:
    words = words_of(" ".join(said[-1]))
    each = [words & words_of(" ".join(line)) for line in said]
    found = lines_with(APART.join(" ".join(line) for line in said), words, 99)
    assert max(len(hits) for hits in each) == len(words)
    assert set(found) <= {number for number, hits in enumerate(each) if hits}
    assert {number for number, hits in enumerate(each) if hits == words} <= set(found)
