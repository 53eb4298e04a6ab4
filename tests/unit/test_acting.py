"""The one rule of who may act on a contact, without any service."""

from typing import Any

import pytest

from firsthand.shared.acting import Responsible, Sight
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.sessions import Staff
from firsthand.shared.store import MOST_VALUES, AnyOf, OneOf


def staff(*roles: Any, person: str = "me") -> Staff:
    return Staff(InstitutionId("qu-cdm"), person, frozenset(roles), frozenset())


def case(case_id: str, *tutors: str) -> CaseState:
    return CaseState(
        case_id=case_id, prefix="CLP", title="x", condition={}, languages=["en"], cohorts=[], tutors=list(tutors),
        approvals=[], state="open",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("responsible", "who", "may"),
    [
        (Responsible(["me"]), staff("tutor"), True),
        (Responsible(["other"]), staff("tutor"), False),
        (Responsible(["other"], "me"), staff("tutor"), True),
        (Responsible([]), staff("tutor"), True),  # a case that names no tutors is every tutor's
        (Responsible(None), staff("tutor"), False),  # not heard of yet
        (Responsible(None, "me"), staff("tutor"), True),
        (Responsible(None), staff("coordinator"), True),
        (Responsible(["other"]), staff("tutor", "coordinator"), True),
        (Responsible(["other"]), staff("machine"), True),
        (Responsible(["me"], "me"), staff("student"), False),
        (Responsible([]), staff("student"), False),
        (Responsible([]), staff(), False),
        (Responsible(["other"], ""), staff("tutor", person=""), False),
    ],
)
def test_who_may_act_on_a_contact(responsible: Responsible, who: Staff, may: bool) -> None:
    assert responsible.include(who) is may


def test_a_list_asks_for_exactly_what_its_reader_may_act_on() -> None:
    cases = [case("mine", "me", "other"), case("theirs", "other"), case("everybodys")]
    assert Sight.of(staff("coordinator"), cases).where({"state": "open"}) == AnyOf(({"state": "open"},))
    mine = {"state": "open", "tutor_id": "me"}
    seen = Sight.of(staff("tutor"), cases).where({"state": "open"})
    assert seen == AnyOf((mine, {"state": "open", "case_id": OneOf(("mine", "everybodys"))}))
    assert Sight.of(staff("student"), cases).where({"state": "open"}) == AnyOf((mine,))


def test_more_cases_than_one_question_takes_are_refused_with_what_to_do() -> None:
    many = Sight("me", tuple(f"c{n}" for n in range(MOST_VALUES // 2)))
    many.where({"state": "open"})
    with pytest.raises(Refused, match="too many cases"):
        many.where({"state": OneOf(("open", "closed"))})
