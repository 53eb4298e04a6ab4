"""The rules of consent, pure: what no sequence of acts can bring about."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firsthand.services.consent.handlers.templates import languages, template
from firsthand.services.consent.model import (
    STEPS,
    ErasureAnswer,
    Journey,
    Pace,
    Permission,
    Recording,
    Stage,
    steps_of,
)
from firsthand.services.consent.model.invitation import Invitation
from firsthand.services.consent.model.scopes import RECORD, covers, ordered, settled, unmet
from firsthand.services.consent.model.texts import TextBody, filled
from firsthand.shared.events.consent import Answer
from firsthand.shared.events.contact import SCOPES, ContactReference, Scope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused

START = datetime(2027, 1, 10, tzinfo=UTC)
PACE = Pace()
APPROVED = Permission(START + timedelta(days=1000), case_open=True, text_version="1:abc")
FORBIDDEN = (
    Permission(None, case_open=True, text_version="1:abc"),
    Permission(START, case_open=True, text_version="1:abc"),
    Permission(START + timedelta(days=1000), case_open=False, text_version="1:abc"),
    Permission(START + timedelta(days=1000), case_open=True, text_version=None),
)
PERMISSIONS = (APPROVED, *FORBIDDEN)
SENSIBLE: tuple[set[Scope], ...] = (
    {"meet"},
    {"meet", "record-audio", "share-cohort"},
    {"meet", "record-video", "share-cohort", "share-public", "download"},
)
CHOICES = st.one_of(st.sampled_from(SENSIBLE), st.sets(st.sampled_from(SCOPES)))
MOSTLY_APPROVED = st.one_of(st.just(APPROVED), st.sampled_from(PERMISSIONS))
HASHES = ("a" * 64, "b" * 64)


def journey() -> Journey:
    contact = ContactReference(contact_id="c", case_id="k", reference="CLP-001", language="en", tutor_id="t")
    return Journey(id="c", institution=InstitutionId("qu-cdm"), contact=contact, case_id="k")


class Family(RuleBasedStateMachine):
    """Anybody does anything at any time, in any order; the model refuses what may not be."""

    @initialize(stage=st.sampled_from(["prepared", "linked", "granted", "granted"]))
    def begin(self, stage: str) -> None:
        self.now = START
        self.journey = journey()
        self.journey.invitation.prepared(self.now)
        self.decided: set[Scope] = set()  # what the last decision allowed
        self.seen: set[str] = set()  # the recordings that were released by a second yes
        self.said_no = False
        self.over = False
        if stage != "prepared":  # most begin further on, so that what comes late is reached often
            self.journey.message_sent(self.now, APPROVED, PACE)
            self.journey.answer_logged(self.now, "yes", later_at=None, pace=PACE)
            self.journey.link_made(self.now, "link", APPROVED, PACE)
        if stage == "granted":
            self.grant(scopes=SENSIBLE[2], permission=APPROVED)

    def attempt(self, act: Callable[[], Any]) -> bool:
        before = self.journey.model_copy(deep=True)
        try:
            act()
        except Refused:
            self.journey = before  # a door does not save what was refused
            return False
        return True

    @rule(hours=st.integers(1, 24 * 12))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(permission=MOSTLY_APPROVED)
    def send(self, permission: Permission) -> None:
        sent = self.attempt(lambda: self.journey.message_sent(self.now, permission, PACE))
        assert not sent or permission is APPROVED
        assert not (sent and self.said_no)
        assert not (sent and self.over)

    @rule(answer=st.sampled_from(["yes", "yes", "no", "later", "question", "wrong-person", "none"]))
    def answer(self, answer: Answer) -> None:
        later = self.now + timedelta(days=3)
        if self.attempt(lambda: self.journey.answer_logged(self.now, answer, later_at=later, pace=PACE)):
            assert not self.said_no
            self.said_no = answer in {"no", "wrong-person"}

    @rule(permission=MOSTLY_APPROVED)
    def link(self, permission: Permission) -> None:
        undecided = self.journey.consent.state == "none"
        made = self.attempt(lambda: self.journey.link_made(self.now, "link", permission, PACE))
        assert not (made and self.said_no)
        assert not (made and undecided and permission is not APPROVED)

    @rule(scopes=CHOICES, permission=MOSTLY_APPROVED)
    def grant(self, scopes: set[Scope], permission: Permission) -> None:
        granted = self.attempt(
            lambda: self.journey.grant(
                self.now,
                ordered(scopes),
                permission,
                text_version="1:abc",
                language="en",
                signer="parent",
                about_child=True,
                keep_for=timedelta(days=730),
            )
        )
        if granted:
            assert permission is APPROVED
            assert not self.said_no
            self.decided = scopes

    @rule()
    def decline(self) -> None:
        if self.attempt(lambda: self.journey.decline(self.now)):
            self.said_no = True

    @rule(scopes=CHOICES, by_family=st.booleans())
    def change(self, scopes: set[Scope], by_family: bool) -> None:
        before = set(self.journey.consent.allowed)
        act = lambda: self.journey.change(self.now, ordered(scopes), text_version="2:def", by_family=by_family)  # noqa: E731
        if self.attempt(act):
            assert by_family or set(self.journey.consent.allowed) <= before
            self.decided = scopes

    @rule()
    def pause(self) -> None:
        self.attempt(lambda: self.journey.consent.pause(self.now))

    @rule()
    def resume(self) -> None:
        self.attempt(lambda: self.journey.consent.resume(self.now))

    @rule(sha256=st.sampled_from(HASHES), media=st.sampled_from(["video", "audio", None]))
    def recording_comes(self, sha256: str, media: Literal["video", "audio"] | None) -> None:
        if self.journey.consent.state != "erased":
            state = "held" if media else "awaited"
            self.journey.recording = Recording(state=state, media=media, sha256=sha256 if media else "")

    @rule(sha256=st.sampled_from(HASHES))
    def release(self, sha256: str) -> None:
        if self.attempt(lambda: self.journey.consent.release(self.now, sha256, self.journey.recording)):
            self.seen.add(sha256)

    @rule(erase=st.sampled_from(["now", "in-7-days"]))
    def withdraw(self, erase: Literal["now", "in-7-days"]) -> None:
        if self.attempt(lambda: self.journey.withdraw(self.now, erase)):
            assert self.journey.consent.in_force == []

    @rule()
    def undo(self) -> None:
        erase_at = self.journey.consent.erase_at
        if self.attempt(lambda: self.journey.consent.undo(self.now)):
            assert erase_at is not None
            assert self.now < erase_at

    @rule()
    @precondition(lambda self: (due := self.journey.next_due(self.now)) is not None and due <= self.now)
    def timer(self) -> None:
        match self.journey.current_stage():
            case "prepared" | "sent" | "answered" | "linked":
                self.journey.silence(self.now)
            case "granted" | "paused":
                self.journey.expire(self.now)
            case "closed" | "expired" | "declined" | "withdrawn":
                self.journey.request_erasure(self.now, "erasure")
                self.over = True

    @rule()
    @precondition(lambda self: self.journey.current_stage() == "erasing")
    def everybody_erased(self) -> None:
        self.journey.erase(self.now, mark="mark", own=ErasureAnswer(at=self.now, erased=["signer-name"]))

    @invariant()
    def nothing_is_in_force_but_what_the_last_decision_allowed(self) -> None:
        told = self.journey.told().consent
        assert set(told.scopes) <= self.decided
        if told.state != "granted":
            assert told.scopes == []
            assert not told.released
        assert not unmet(told.scopes)

    @invariant()
    def only_the_recording_that_is_there_and_was_seen_is_released_and_a_scope_covers_it(self) -> None:
        told, recording = self.journey.told().consent, self.journey.recording
        if told.released:
            assert recording is not None
            assert recording.media is not None
            assert told.released_sha256 == recording.sha256
            assert recording.sha256 in self.seen
            assert RECORD & set(told.scopes)
            assert covers(told.scopes, recording.media)

    @invariant()
    def a_no_stays_a_no(self) -> None:
        if self.said_no:
            assert self.journey.invitation.state == "closed"
            assert self.journey.told().consent.state in {"none", "declined", "withdrawn", "erased"}
            assert self.journey.invitation.to_send(self.now) is None

    @invariant()
    def what_is_over_stays_over(self) -> None:
        if self.over:
            assert self.journey.current_stage() in {"erasing", "erased"}
            assert self.journey.told().consent.scopes == []

    @invariant()
    def a_timer_always_waits_for_what_is_not_over(self) -> None:
        if self.journey.current_stage() not in {"erasing", "erased"}:
            assert self.journey.next_due(self.now) is not None

    @invariant()
    def a_list_that_asks_for_its_stage_finds_it(self) -> None:
        assert self.journey.current_step(self.now) in steps_of(self.journey.current_stage())


Family.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestWhateverAnybodyDoes = Family.TestCase


@pytest.mark.parametrize("permission", FORBIDDEN)
def test_without_approval_nothing_is_sent(permission: Permission) -> None:
    with pytest.raises(Refused):
        journey().message_sent(START + timedelta(days=1), permission, PACE)


def test_whoever_asked_to_be_written_to_later_is_reminded_once_more_and_not_earlier() -> None:
    invitation = Invitation()
    invitation.sent(START, APPROVED, PACE)
    later = START + timedelta(days=40)
    invitation.answered(START + timedelta(days=1), "later", later_at=later, pace=PACE)
    with pytest.raises(Refused, match="nothing-to-send"):
        invitation.sent(START + timedelta(days=20), APPROVED, PACE)
    invitation.sent(later, APPROVED, PACE)
    assert invitation.reminded_at == later


def test_the_timer_looks_when_the_reminder_may_be_sent_and_then_when_silence_begins() -> None:
    asked = journey()
    asked.message_sent(START, APPROVED, PACE)
    asked.settle(START)
    reminder, silence = START + timedelta(days=5), START + timedelta(days=21)
    assert (asked.step, asked.due_at) == ("sent", reminder)
    asked.settle(reminder)
    assert (asked.step, asked.due_at, asked.moved_at) == ("sent-due", silence, START)
    asked.message_sent(reminder, APPROVED, PACE)
    asked.settle(reminder)
    assert (asked.step, asked.due_at) == ("sent", reminder + timedelta(days=21))


def test_an_answer_is_our_turn_unless_they_want_to_be_left_alone_for_now() -> None:
    for answer, step, later in (("yes", "answered", None), ("question", "answered", None), ("later", "later", 9)):
        asked = journey()
        asked.message_sent(START, APPROVED, PACE)
        later_at = START + timedelta(days=later) if later else None
        asked.answer_logged(START, answer, later_at=later_at, pace=PACE)  # type: ignore[arg-type]
        asked.settle(START)
        assert asked.step == step
        asked.settle(START + timedelta(days=10))
        assert asked.step == ("later-due" if later else step)


def test_each_step_is_of_exactly_one_stage() -> None:
    assert sorted(step for stage in get_args(Stage) for step in steps_of(stage)) == sorted(STEPS)


def test_a_late_answer_to_a_request_that_ended_still_counts_while_we_know_the_person() -> None:
    late = journey()
    late.message_sent(START, APPROVED, PACE)
    late.silence(START + timedelta(days=21))
    assert late.consent.erase_at == START + timedelta(days=28)
    late.answer_logged(START + timedelta(days=22), "yes", later_at=None, pace=PACE)
    assert (late.current_stage(), late.consent.erase_at) == ("answered", None)


def test_a_no_takes_with_it_what_depends_on_it() -> None:
    assert settled(["record-video", "share-cohort", "download"]) == []
    assert settled(["meet", "share-cohort", "transcript"]) == ["meet"]
    assert settled(["meet", "record-audio", "share-cohort"]) == ["meet", "record-audio", "share-cohort"]


@pytest.mark.parametrize(
    ("scopes", "media", "allowed"),
    [
        (["record-audio"], "video", False),
        (["record-video"], "video", True),
        (["record-video"], "audio", True),
        (["record-audio"], "audio", True),
        ([], "audio", False),
    ],
)
def test_a_picture_needs_its_own_yes(scopes: list[Scope], media: Literal["video", "audio"], allowed: bool) -> None:
    assert covers(scopes, media) is allowed


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


@pytest.mark.parametrize("language", languages())
def test_the_texts_to_begin_with_are_complete_and_name_no_condition_in_the_first_message(language: str) -> None:
    for with_reward in (True, False):
        body = template(language, with_reward=with_reward)
        assert set(body.scopes) == set(SCOPES)
        known = {
            "institution": "I",
            "country": "C",
            "condition": "CONDITION",
            "account": "@a",
            "verify": "V",
            "keep": "2 y",
        }
        shown = filled(body, {**known, "reward": "a book"})
        assert not [words for words in strings(shown.model_dump()) if "{" in words]
        assert "CONDITION" not in shown.first_message + shown.reminder


def test_the_same_text_has_the_same_hash_and_any_change_another_one() -> None:
    body = template("en")
    assert body.digest("en") == TextBody.model_validate(body.model_dump()).digest("en")
    assert body.digest("en") != body.digest("es")
    assert body.digest("en") != body.model_copy(update={"purpose": "Other."}).digest("en")
