"""Cases, leads and people as pure decisions: no store, no clock, no server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from firsthand.services.discovery.model.cases import Approval, Case, CaseChange, CaseDetails, CaseDraft, Places
from firsthand.services.discovery.model.leads import REASONS, Checks, Lead, RefusalReason, week_ends, week_of
from firsthand.services.discovery.model.people import ASKED_AT_MOST, Asked, standing_of
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ApprovalKind
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import Refused

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
OAK = InstitutionId("oak-dental")
YEAR = timedelta(days=365)
DETAILS = {
    "title": "Cleft lip and palate",
    "condition": {"en": "cleft lip and palate"},
    "hashtags": ["#cleftlip", "cleftlip", " #CleftPalate "],
    "languages": ["en"],
    "safeguarding_contact": "person-1",
}


def case(**approved: datetime) -> Case:
    made = Case(
        id="clp",
        institution=OAK,
        prefix="CLP",
        details=CaseDetails.model_validate(DETAILS),
        opened_by="person-1",
        opened_at=NOW,
    )
    kinds: dict[str, ApprovalKind] = {"ethics": "ethics", "data_protection": "data-protection"}
    for name, until in approved.items():
        made.approve(kinds[name], Approval(number="A", expires_at=until, entered_by="person-1", entered_at=NOW))
    return made


def lead(**fields: object) -> Lead:
    made = {
        "id": "lead-1",
        "institution": OAK,
        "case_id": "clp",
        "platform": "bluesky",
        "source": "bluesky",
        "posted_at": NOW,
        "found_at": NOW,
        "found_by": "person-1",
        "week": "leads-clp-2026w47",
        "content": "v1.sealed",
        "author": "mark-1",
        "due_at": NOW + timedelta(days=30),
    }
    return Lead.model_validate(made | fields)


def test_hashtags_of_a_case_are_kept_once_and_without_their_sign() -> None:
    assert CaseDetails.model_validate(DETAILS).hashtags == ["cleftlip", "CleftPalate"]


@pytest.mark.parametrize("prefix", ["C", "TOOLONGX", "C1", "CL P", "ÇL", ""])
def test_a_prefix_is_two_to_six_letters(prefix: str) -> None:
    with pytest.raises(ValidationError):
        CaseDraft.model_validate(DETAILS | {"prefix": prefix})
    assert CaseDraft.model_validate(DETAILS | {"prefix": " clp "}).prefix == "CLP"


def test_a_condition_has_a_plain_name_in_each_language_of_the_case() -> None:
    with pytest.raises(ValidationError):
        case().change(CaseChange(languages=["en", "ar"]), NOW)


def test_nobody_is_asked_before_both_approvals_are_there_or_after_one_has_ended() -> None:
    soon, later = NOW + timedelta(days=1), NOW + timedelta(days=2)
    for lacking in (case(), case(ethics=later), case(data_protection=later)):
        with pytest.raises(Refused, match="no-approval"):
            lacking.may_contact(NOW)
    approved = case(ethics=soon, data_protection=later)
    approved.may_contact(NOW)
    with pytest.raises(Refused, match="no-approval"):
        approved.may_contact(soon)


def test_nobody_is_asked_in_a_closed_case_or_while_nobody_is_named_for_safeguarding() -> None:
    approved = case(ethics=NOW + YEAR, data_protection=NOW + YEAR)
    approved.details.safeguarding_contact = ""
    with pytest.raises(Refused, match="no-safeguarding-contact"):
        approved.may_contact(NOW)
    approved.change(CaseChange(state="closed", safeguarding_contact="person-1"), NOW)
    assert approved.due_at == NOW
    with pytest.raises(Refused, match="case-closed"):
        approved.may_contact(NOW)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=40), st.integers(1, 4))
def test_places_are_never_more_than_allowed_and_numbers_never_come_twice(
    steps: list[tuple[str, bool]], limit: int
) -> None:
    places, numbers = Places(id="clp", institution=OAK), list[int]()
    for mark, takes in steps:
        if not takes:
            places.free(mark)
            continue
        had = places.taken.get(mark)
        try:
            place = places.take_place(mark, limit, NOW)
        except Refused:
            assert len(places.taken) >= limit
            continue
        assert had is None or place == had
        if had is None:
            numbers.append(place.number)
        assert len(places.taken) <= limit
    assert numbers == sorted(set(numbers))


def test_every_check_is_a_yes_or_nothing_is_cleared() -> None:
    with pytest.raises(Refused) as refused:
        Checks(public=True).require()
    assert list(refused.value.fields) == [
        "checks.adult",
        "checks.not_vulnerable",
        "checks.not_asked_before",
    ]
    Checks(public=True, adult=True, not_vulnerable=True, not_asked_before=True).require()


@pytest.mark.parametrize("reason", list(REASONS))
def test_a_decided_lead_keeps_no_words_and_is_not_decided_twice(reason: RefusalReason) -> None:
    decided = lead()
    about_the_person = decided.refuse(reason, "person-1", NOW)
    assert about_the_person is (reason not in {"off-topic", "gone", "other"})
    assert decided.content is None
    assert decided.due_at is None
    with pytest.raises(Refused, match="decided"):
        decided.refuse(reason, "person-1", NOW)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_weeks_key_outlives_every_lead_of_the_week(at: datetime) -> None:
    assert week_ends(at) >= at + timedelta(days=30)
    assert week_ends(at) - at <= timedelta(days=37)
    assert week_of("clp", at) == week_of("clp", week_ends(at) - timedelta(days=30, seconds=1))


def asked(**fields: object) -> Asked:
    return Asked.model_validate({"id": "mark", "institution": DEPLOYMENT} | fields)


def test_a_person_is_left_alone_for_the_cooling_off_time_after_being_asked_or_saying_no() -> None:
    for entry in (asked(times=[NOW]), asked(said_no=[NOW])):
        with pytest.raises(Refused, match="not-available"):
            entry.take_for("elm", YEAR, NOW + YEAR - timedelta(seconds=1))
        entry.take_for("elm", YEAR, NOW + YEAR)


def test_a_person_is_never_asked_more_often_than_three_times_anywhere() -> None:
    entry = asked(times=[NOW - YEAR * n for n in range(1, ASKED_AT_MOST + 1)])
    with pytest.raises(Refused, match="not-available"):
        entry.take_for("elm", timedelta(0), NOW)


def test_of_two_clearings_at_once_one_holds_the_person_and_a_dead_one_lets_go() -> None:
    entry = asked()
    entry.take_for("oak", YEAR, NOW)
    entry.take_for("oak", YEAR, NOW)
    with pytest.raises(Refused, match="not-available"):
        entry.take_for("elm", YEAR, NOW)
    entry.take_for("elm", YEAR, NOW + timedelta(minutes=3))


def test_noting_the_same_twice_counts_once_and_an_undone_no_is_no_no() -> None:
    entry = asked()
    for _ in range(2):
        entry.note(NOW)
        entry.note_no(NOW)
    assert entry.times == entry.said_no == [NOW]
    entry.take_back_no(NOW)
    assert entry.said_no == []


@pytest.mark.parametrize(
    ("invitation", "consent", "standing"),
    [
        ({"state": "prepared"}, {"state": "none"}, "active"),
        ({"state": "answered", "answer": "no"}, {"state": "none"}, "declined"),
        ({"state": "closed", "closed_because": "no"}, {"state": "none"}, "declined"),
        ({"state": "answered", "answer": "wrong-person"}, {"state": "none"}, "wrong-person"),
        ({"state": "expired"}, {"state": "none"}, "expired"),
        ({"state": "linked"}, {"state": "declined"}, "declined"),
        ({"state": "linked"}, {"state": "granted"}, "active"),
        ({"state": "linked"}, {"state": "paused"}, "active"),
        ({"state": "linked"}, {"state": "granted", "released": True}, "done"),
        ({"state": "linked"}, {"state": "withdrawn", "released": True}, "withdrawn"),
        ({"state": "linked"}, {"state": "erased"}, "withdrawn"),
    ],
)
def test_where_a_contact_stands_is_read_off_the_whole_state(
    invitation: dict[str, object], consent: dict[str, object], standing: str
) -> None:
    contact = ContactReference(contact_id="c", case_id="clp", reference="CLP-001", language="en", tutor_id="person-1")
    told = ConsentState(
        contact=contact,
        invitation=InvitationState.model_validate(invitation),
        consent=ConsentRecordState.model_validate(consent),
    )
    assert standing_of(told) == standing


@pytest.mark.parametrize("title", ["\u2028", "", "x" * 121, "\u200b\x00"])
def test_a_title_is_one_line_that_can_be_read(title: str) -> None:
    with pytest.raises(ValidationError):
        CaseDetails.model_validate(DETAILS | {"title": title})


def test_a_title_that_was_pasted_is_one_line() -> None:
    for title in ("one\r\nX-Two: 2", "one\x00 X-Two:\u2028 2\u202c"):
        assert CaseDetails(**DETAILS | {"title": title}).title == "one X-Two: 2"
