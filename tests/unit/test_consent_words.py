"""What a family reads says one thing of a recording, keeps to grammar, and never turns a yes into a no."""

import pytest

from firsthand.services.consent.handlers.templates import languages, length_of, template
from firsthand.services.consent.http.questions import answers_of, scopes_asked
from firsthand.services.consent.model.scopes import included_in, widest
from firsthand.shared.events.contact import SCOPES, Scope


@pytest.mark.parametrize(
    ("days", "english", "spanish", "arabic"),
    [
        (1, "1 day", "1 día", "يوم واحد"),
        (2, "2 days", "2 días", "يومان"),
        (7, "7 days", "7 días", "7 أيام"),
        (30, "30 days", "30 días", "30 يومًا"),
        (90, "3 months", "3 meses", "3 أشهر"),
        (180, "6 months", "6 meses", "6 أشهر"),
        (365, "12 months", "12 meses", "12 شهرًا"),
        (731, "25 months", "25 meses", "25 شهرًا"),
        (730, "24 months", "24 meses", "24 شهرًا"),
        (3044, "101 months", "101 meses", "101 شهر"),
    ],
)
def test_how_long_something_is_kept_is_written_as_people_count(
    days: int, english: str, spanish: str, arabic: str
) -> None:
    assert [length_of(days, code) for code in ("en", "es", "ar")] == [english, spanish, arabic]


def test_a_family_is_not_asked_for_what_no_page_can_do_yet() -> None:
    draft = {"signer": "self", **dict.fromkeys(SCOPES, "yes")}
    assert scopes_asked(draft) == [
        "meet",
        "record-video",
        "transcript",
        "share-cohort",
        "share-institution",
        "download",
    ]
    assert not answers_of({**draft, "name": "N"}).scopes["share-public"]


def test_a_page_names_the_widest_medium_and_the_widest_audience_only() -> None:
    assert widest(["meet", "record-video", "record-audio", "share-cohort", "share-institution"]) == [
        "meet",
        "record-video",
        "share-institution",
    ]
    assert widest(list(SCOPES)) == ["meet", "record-video", "transcript", "share-public", "download"]
    assert widest(["share-cohort", "share-partners"]) == [
        "share-cohort",
        "share-partners",
    ]


def test_a_question_that_another_answer_covers_is_no_no() -> None:
    draft = {"signer": "self", "name": "A", "decides_alone": "yes", "meet": "yes", "record-video": "yes"}
    assert "record-audio" not in scopes_asked(draft)
    chosen: list[Scope] = answers_of(draft).chosen
    assert included_in("record-audio", chosen) == "record-video"
    assert included_in("download", chosen) is None


@pytest.mark.parametrize("language", languages())
def test_no_consequence_contradicts_another_answer(language: str) -> None:
    """ "And by nobody else" or "no picture is kept" is untrue as soon as something wider is allowed."""
    words = " ".join(scope.consequence for scope in template(language).scopes.values())
    for untrue in ("nobody else", "No picture", "nadie más", "No se guarda", "ولا أحد", "ولا تُحفظ"):
        assert untrue not in words


def test_a_no_is_fine_in_every_language() -> None:
    assert "un no está" not in template("es").first_message
    assert all("هل تسمحون" in words.question for scope, words in template("ar").scopes.items() if scope != "meet")
