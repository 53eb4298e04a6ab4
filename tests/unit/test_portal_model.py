"""What the portal decides, without any server."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.services.portal.http.shapes import NewInstitution, Policies
from firsthand.services.portal.model.institutions import POLICIES, check
from firsthand.services.portal.model.journey import STAGES, Journey
from firsthand.services.portal.model.limits import Limit
from firsthand.services.portal.model.people import Person, check_roles
from firsthand.services.portal.model.sign_in import LINK_LIFE, SignInLink
from firsthand.shared.events.archive import RecordingArchivedV1, RecordingPublishedV1, RecordingState
from firsthand.shared.events.consent import (
    ConsentGrantedV1,
    ConsentRecordState,
    ConsentState,
    ConsentWithdrawnV1,
    ErasureCompletedV1,
    InvitationAnsweredV1,
    InvitationPreparedV1,
    InvitationSentV1,
    InvitationState,
)
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ContactDiscoveredV1, ContactState, DiscoveryErasedV1, ErasedState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.events.scheduling import MeetingFinishedV1, MeetingScheduledV1, MeetingState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SCHOOL = InstitutionId("qu-cdm")
CONTACT = ContactReference(contact_id="c1", case_id="k1", reference="CLP-001", language="ar", tutor_id="t1")


def told(event: type[AnyEvent], sequence: int, state: Any, minutes: int = 0, actor: str = "t1") -> AnyEvent:
    return event.record(
        institution=SCHOOL,
        subject="c1",
        sequence=sequence,
        at=NOW + timedelta(minutes=minutes),
        actor=actor,
        data=state,
    )


def consent(invitation: str = "linked", record: str = "none", **fields: Any) -> ConsentState:
    return ConsentState(
        contact=CONTACT,
        invitation=InvitationState(state=invitation, **fields),
        consent=ConsentRecordState(state=record),
    )


DISCOVERED = told(ContactDiscoveredV1, 1, ContactState(contact=CONTACT, platform="other", state="discovered"))
CHAIN = [
    (DISCOVERED, "discovered"),
    (told(InvitationPreparedV1, 1, consent("prepared"), 1), "to-send"),
    (told(InvitationSentV1, 2, consent("sent"), 2), "sent"),
    (told(InvitationAnsweredV1, 3, consent("answered", answer="yes"), 3), "answered"),
    (told(InvitationAnsweredV1, 4, consent("linked"), 4), "linked"),
    (told(ConsentGrantedV1, 5, consent("linked", "granted"), 5), "consented"),
    (told(MeetingScheduledV1, 1, MeetingState(contact=CONTACT, state="scheduled"), 6), "booked"),
    (told(MeetingFinishedV1, 2, MeetingState(contact=CONTACT, state="finished", recording="expected"), 7), "met"),
    (told(RecordingArchivedV1, 2, RecordingState(contact=CONTACT, state="held"), 8), "held"),
    (told(RecordingPublishedV1, 3, RecordingState(contact=CONTACT, state="released"), 9), "released"),
    (told(ConsentWithdrawnV1, 6, consent("linked", "withdrawn"), 10), "withdrawn"),
    (
        told(DiscoveryErasedV1, 2, ErasedState(contact_id="c1", erasure_id="e", service="discovery", erased=[]), 11),
        "withdrawn",
    ),
    (told(ErasureCompletedV1, 7, consent("linked", "erased"), 12), "erased"),
]


def new_journey() -> Journey:
    return Journey(id="c1", institution=SCHOOL, moved_at=NOW)


def test_a_journey_stands_where_its_last_step_took_it() -> None:
    journey = new_journey()
    for event, stage in CHAIN:
        assert journey.enter(event)
        assert journey.stage == stage
    assert [entry.id for entry in journey.timeline] == [event.id for event, _ in CHAIN]
    assert (journey.reference, journey.case_id, journey.tutor_id) == ("CLP-001", "k1", "t1")


@given(st.permutations(CHAIN), st.lists(st.sampled_from(CHAIN)))
def test_whatever_order_events_come_in_the_journey_is_the_same(
    order: list[tuple[AnyEvent, str]], repeats: list[tuple[AnyEvent, str]]
) -> None:
    journey = new_journey()
    for event, _ in [*order, *repeats]:
        journey.enter(event)
    assert journey.stage == "erased"
    assert [entry.id for entry in journey.timeline] == [event.id for event, _ in CHAIN]


def test_a_withdrawal_that_comes_first_stays_withdrawn() -> None:
    (granted, _), (withdrawn, _) = CHAIN[5], CHAIN[10]
    for order in permutations([granted, withdrawn, CHAIN[9][0]]):
        journey = new_journey()
        for event in order:
            journey.enter(event)
        assert journey.stage == "withdrawn"


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        (consent("closed", closed_because="no"), "declined"),
        (consent("closed", closed_because="wrong-person"), "closed"),
        (consent("expired"), "expired"),
        (consent("linked", "declined"), "declined"),
        (consent("linked", "paused"), "consented"),
    ],
)
def test_each_end_is_a_stage_of_its_own(state: ConsentState, stage: str) -> None:
    journey = new_journey()
    journey.enter(told(ConsentGrantedV1, 9, state))
    assert journey.stage == stage
    assert journey.stage in STAGES


def person(**fields: Any) -> Person:
    return Person(
        id="p", institution=SCHOOL, name="v1.x", email="v1.y", roles=["tutor"], cohorts=[], added_at=NOW, **fields
    )


def test_sessions_of_the_very_second_of_a_change_are_void_too() -> None:
    one = person()
    at = NOW + timedelta(microseconds=999_999)
    assert one.change(roles=["tutor", "coordinator"], cohorts=None, active=None, at=at)
    assert one.signed_out_before > int(at.timestamp())
    assert one.may_renew(NOW)
    assert not one.change(roles=["coordinator", "tutor"], cohorts=None, active=None, at=at), "the same roles"


def test_who_was_deactivated_signs_in_anew_after_coming_back() -> None:
    one = person()
    one.change(roles=None, cohorts=None, active=False, at=NOW)
    assert not one.may_renew(NOW + timedelta(hours=1))
    one.change(roles=None, cohorts=None, active=True, at=NOW + timedelta(hours=2))
    assert not one.may_renew(NOW)
    assert one.may_renew(NOW + timedelta(hours=3))


def test_coordinators_give_ordinary_roles_only() -> None:
    assert check_roles(SCHOOL, ["tutor", "student"], by=frozenset({"coordinator"})) == ["student", "tutor"]
    assert check_roles(SCHOOL, ["operator", "tutor"], by=frozenset({"coordinator"}), held=["operator"]) == [
        "tutor",
        "operator",
    ]
    with pytest.raises(Refused):
        check_roles(SCHOOL, ["operator"], by=frozenset({"coordinator"}))
    with pytest.raises(Refused):
        check_roles(SCHOOL, [], by=frozenset({"operator"}))


def test_a_link_opens_once_and_in_time() -> None:
    link = SignInLink(id="l", institution=SCHOOL, person_id="p", expires_at=NOW + LINK_LIFE)
    assert link.opens(NOW)
    assert not link.opens(NOW + LINK_LIFE)
    link.use(NOW)
    assert not link.opens(NOW)


def test_a_policy_is_defined_once_and_shown_checked_and_taken_from_there() -> None:
    fields = InstitutionState.model_fields
    for policy in POLICIES:
        assert policy.least <= fields[policy.name].default <= policy.most
        assert policy.label
        assert NewInstitution.model_fields[policy.name].default == fields[policy.name].default
        assert Policies.model_fields[policy.name].default is None
    named = {"slug", *NewInstitution.model_fields}
    assert named == set(fields)
    assert set(Policies.model_fields) == set(fields) - {"slug"}


def test_policies_keep_to_their_bounds() -> None:
    state = InstitutionState(slug="qu-cdm", name="C", country="QA", zone="Asia/Qatar", languages=["en"])
    check(state)
    for wrong in ({"zone": "Moon"}, {"cool_off_days": 29}, {"slug": "deployment"}, {"website": "http://x"}):
        with pytest.raises(Refused) as refused:
            check(state.model_copy(update=wrong))
        assert list(refused.value.fields) == list(wrong)


@given(st.lists(st.integers(0, 20_000), max_size=60))
def test_a_limit_never_lets_more_through_and_forgets_in_time(keys: list[int]) -> None:
    limit = Limit(2, timedelta(minutes=1))
    allowed: dict[int, int] = {}
    for key in keys:
        if limit.wait(key, NOW) == 0:
            allowed[key] = allowed.get(key, 0) + 1
    assert all(count <= 2 for count in allowed.values())
    assert all(limit.wait(key, NOW + timedelta(minutes=1)) == 0 for key in set(keys))
