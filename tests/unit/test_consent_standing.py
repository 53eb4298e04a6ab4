"""How things stand for a family is told once and truly, whatever consent, call and recording are."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.consent.http import words
from firsthand.services.consent.model import Journey, Meeting, Recording
from firsthand.services.consent.model.consent import Consent
from firsthand.services.consent.model.scopes import covers
from firsthand.services.consent.model.standing import POINTS, Standing, standing_of
from firsthand.shared.events.contact import ContactReference, Scope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.web.languages import NAMES, language

LOCALE = Path(words.__file__).parents[1] / "locale"
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
SEEN, OTHER = "a" * 64, "b" * 64
ALLOWED: tuple[tuple[Scope, ...], ...] = (
    (),
    ("meet",),
    ("meet", "record-audio", "share-cohort"),
    ("meet", "record-video"),
    ("meet", "record-video", "share-cohort"),
    ("meet", "record-video", "share-cohort", "share-institution", "download"),
    ("meet", "record-video", "share-partners"),  # through the API; nobody of them can sign in
)
CONSENTS = ("none", "granted", "paused", "declined", "withdrawn", "erasing", "erased")
RECORDINGS = (None, "awaited", "held", "released", "withdrawn", "erased", "of-a-newer-release")
CALLS = (
    None,
    "offered",
    "scheduled",
    "passed",
    "finished",
    "finished without",
    "cancelled family",
    "cancelled tutor",
    "of-a-newer-release",
)
SHOWN: frozenset[Scope] = frozenset({"share-cohort", "share-institution"})  # of whom somebody can sign in


def journey(
    state: str, allowed: tuple[Scope, ...], recording: str | None, call: str | None, release_of: str, media: Any
) -> Journey:
    contact = ContactReference(contact_id="c", case_id="k", reference="CLP-001", language="en", tutor_id="t")
    one = Journey(id="c", institution=InstitutionId("qu-cdm"), contact=contact, case_id="k")
    one.invitation.state = "linked"
    one.consent = Consent(
        state="withdrawn" if state == "erasing" else state,  # type: ignore[arg-type]
        allowed=list(allowed),
        release_of=release_of,
        expires_at=NOW + timedelta(days=300),
        erasure_id="e" if state == "erasing" else None,
    )
    if recording:
        one.recording = Recording(state=recording, media=None if recording == "awaited" else media, sha256=SEEN)
    if call:
        passed = call == "passed"
        one.meeting = Meeting(
            state="scheduled" if passed else call.split()[0],
            starts_at=NOW + timedelta(days=-1 if passed else 1),
            recording="none" if "without" in call else "expected",
            cancelled_by=call.split()[1] if call.startswith("cancelled") else None,
        )
    return one


def every_state() -> Iterator[tuple[Journey, Standing]]:
    for given in itertools.product(CONSENTS, ALLOWED, RECORDINGS, CALLS, ("", SEEN, OTHER), ("video", "audio")):
        if given[0] != "granted" and given[3] not in {None, "scheduled"}:
            continue  # an ended or paused consent is told by itself; one call is enough to see that
        one = journey(*given)
        yield one, standing_of(one, NOW, NOW)


def test_students_are_said_to_watch_exactly_when_they_can() -> None:
    for one, found in every_state():
        can = (
            one.consent.state == "granted"
            and one.consent.release_of == SEEN
            and one.recording is not None
            and one.recording.state == "released"
            and covers(one.consent.allowed, one.recording.media or "")
            and SHOWN & set(one.consent.allowed)
        )
        assert (found.point == "shown") == bool(can)
        assert set(found.audience) <= set(one.consent.in_force)


def test_a_second_yes_is_asked_for_once_and_only_where_it_can_be_given() -> None:
    for one, found in every_state():
        if found.point == "to-release":
            one.consent.release(NOW, SEEN, one.recording)  # is not refused
            assert standing_of(one, NOW, NOW).point in {"shown", "opening"}


def test_whoever_is_waited_for_has_something_to_do_and_nobody_else_is_waited_for() -> None:
    for _, found in every_state():
        assert found.waits_for != "family" or found.act in {"decide", "choose-time", "watch"}
        assert found.act is None or found.act in words.MAIN


def test_nothing_goes_on_while_all_is_paused_or_ended() -> None:
    for one, found in every_state():
        if one.consent.state != "granted":
            assert found.point in {"undecided", "paused", "declined", "withdrawn", "erasing", "erased"}


def test_every_state_has_a_sentence_in_every_language_and_every_sentence_a_state() -> None:
    found = list(every_state())
    closed = journey("none", (), None, None, "", "video")
    closed.invitation.state = "expired"
    found.append((closed, standing_of(closed, NOW, NOW)))
    over = journey("granted", ALLOWED[4], "released", "finished", SEEN, "video")
    found.append((over, standing_of(over, NOW + timedelta(days=300), NOW)))
    assert {standing.point for _, standing in found} == set(POINTS)
    sentences = {words.sentence_of(standing, one) for one, standing in found}
    for code in NAMES:
        spoken = language(code, LOCALE)
        said = {spoken.gettext(sentence) for sentence in sentences}
        assert len(said) == len(sentences)
        assert all(said)
        assert code == "en" or not said & sentences


@pytest.mark.parametrize(
    ("given", "point", "act", "waits_for"),
    [
        (("none", (), None, None, "", "video"), "undecided", "decide", "family"),
        (("granted", ALLOWED[1], None, None, "", "video"), "choose-time", "choose-time", "family"),
        (("granted", ALLOWED[4], None, "scheduled", "", "video"), "booked", "see-call", None),
        (("granted", ALLOWED[4], None, "passed", "", "video"), "time-passed", "see-call", "us"),
        (("granted", ALLOWED[4], "awaited", "finished", "", "video"), "preparing", None, "us"),
        (("granted", ALLOWED[1], None, "finished", "", "video"), "met", None, None),
        (("granted", ALLOWED[4], "held", "finished", "", "video"), "to-release", "watch", "family"),
        (("granted", ALLOWED[4], "released", "finished", SEEN, "video"), "shown", "watch", None),
        (("granted", ALLOWED[3], "released", "finished", SEEN, "video"), "shown-to-nobody", "change", None),
        (("granted", ALLOWED[4], "held", "finished", OTHER, "video"), "to-release", "watch", "family"),
        (("paused", ALLOWED[4], "released", "finished", SEEN, "video"), "paused", "resume", None),
        (("granted", ALLOWED[2], "held", "finished", "", "video"), "wider", "change", "us"),
        (("granted", ALLOWED[4], "of-a-newer-release", "finished", SEEN, "video"), "unclear", None, None),
        (("granted", ALLOWED[4], "withdrawn", "finished", SEEN, "video"), "recording-closed", "watch", None),
        (("granted", ALLOWED[1], "held", "finished", "", "video"), "recording-closed", "watch", None),
        (("granted", ALLOWED[6], "released", "finished", SEEN, "video"), "shown-to-nobody", "change", None),
        (("granted", ALLOWED[4], None, "cancelled family", "", "video"), "call-cancelled", "choose-time", None),
        (("granted", ALLOWED[4], None, "cancelled tutor", "", "video"), "call-called-off", "see-call", "us"),
        (("erasing", ALLOWED[4], "released", "finished", SEEN, "video"), "erasing", "see-certificate", "us"),
    ],
)
def test_what_comes_next_is(given: Any, point: str, act: str | None, waits_for: str | None) -> None:
    found = standing_of(journey(*given), NOW, NOW)
    assert (found.point, found.act, found.waits_for) == (point, act, waits_for)


def test_nobody_is_said_to_watch_once_the_time_of_consent_or_recording_is_over() -> None:
    one = journey("granted", ALLOWED[4], "released", "finished", SEEN, "video")
    assert one.recording
    assert one.consent.expires_at
    one.recording.expires_at = NOW + timedelta(days=100)
    assert standing_of(one, NOW, NOW).until == one.recording.expires_at
    assert standing_of(one, one.recording.expires_at, NOW).point == "recording-closed"
    assert standing_of(one, one.consent.expires_at, NOW).point == "ended"
