"""The recording's machine: whatever comes in whatever order, nothing plays that the family does not allow now."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthand.services.archive.http.playing import NotSatisfiable, Span, span_of
from firsthand.services.archive.model import Learners, Media, Recording, Viewer, is_shown_to_nobody
from firsthand.shared.events.archive import (
    RecordingArchivedV1,
    RecordingAwaitedV1,
    RecordingChangedV1,
    RecordingPublishedV1,
    RecordingWithdrawnV1,
)
from firsthand.shared.events.consent import ConsentRecordState
from firsthand.shared.events.contact import ContactReference, Scope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
QU = InstitutionId("qu-cdm")
CONTACT = ContactReference(contact_id="c1", case_id="case1", reference="CLP-001", language="en", tutor_id="tutor")
LEARNERS = Learners(cohorts=frozenset({"year-3"}), tutors=frozenset({"tutor"}))
STUDENT = Viewer(person_id="s1", cohorts=frozenset({"year-3"}))
OTHER = Viewer(person_id="s2", cohorts=frozenset({"year-6"}))
TUTOR = Viewer(person_id="tutor")
MACHINE = Viewer(person_id="m1", cohorts=frozenset({"year-3"}), human=False)
FAMILY = Viewer(family=True, person_id="c1")
FULL: list[Scope] = ["meet", "record-video", "record-audio", "share-cohort"]


def consent(state: Any = "granted", scopes: list[Scope] | None = None, **more: Any) -> ConsentRecordState:
    if state == "granted":
        more["scopes"] = FULL if scopes is None else scopes
    return ConsentRecordState(state=state, **more)


def media(sha: str = "a" * 64, *, has_video: bool = True, file: str = "f1", at: datetime = NOW) -> Media:
    return Media(
        file=file,
        has_video=has_video,
        mime="video/mp4",
        codecs=["h264"],
        duration_seconds=60,
        bytes=1000,
        sha256=sha,
        taken_in_at=at,
        taken_in_by="tutor",
    )


def fresh() -> Recording:
    return Recording(id="c1", institution=QU, contact=CONTACT, changed_at=NOW)


def awaited(**more: Any) -> Recording:
    one = fresh()
    one.obey(consent(**more), 1)
    one.expect(expected=True)
    assert one.settle(NOW) is RecordingAwaitedV1
    return one


def held(*, has_video: bool = True, **more: Any) -> Recording:
    one = awaited(**more)
    assert one.take_in(media(has_video=has_video), 730) is RecordingArchivedV1
    return one


def released(**more: Any) -> Recording:
    one = held(**more)
    one.obey(consent(released=True, released_sha256="a" * 64, **more), 2)
    assert one.settle(NOW) is RecordingPublishedV1
    return one


def _paused() -> Recording:
    one = awaited()
    one.obey(consent("paused"), 2)
    one.settle(NOW)
    return one


def _erased() -> Recording:
    one = released()
    one.erase("e1", NOW)
    return one


def test_a_recording_is_awaited_held_and_released_and_plays_only_then() -> None:
    one = awaited()
    assert not one.plays_to(STUDENT, LEARNERS, NOW)
    one = held()
    assert one.state == "held"
    assert not one.plays_to(STUDENT, LEARNERS, NOW)
    assert not one.plays_to(TUTOR, LEARNERS, NOW)
    assert one.plays_to(FAMILY, LEARNERS, NOW)
    one = released()
    assert one.told().audience == ["share-cohort"]
    assert one.plays_to(STUDENT, LEARNERS, NOW)
    assert one.plays_to(TUTOR, LEARNERS, NOW)
    assert not one.plays_to(OTHER, LEARNERS, NOW)
    assert not one.plays_to(MACHINE, LEARNERS, NOW)


def test_the_whole_institution_sees_what_is_shared_with_it() -> None:
    one = released(scopes=[*FULL, "share-institution"])
    assert one.plays_to(OTHER, LEARNERS, NOW)


def test_a_release_of_another_recording_opens_nothing() -> None:
    one = held()
    one.obey(consent(released=True, released_sha256="b" * 64), 2)
    assert one.settle(NOW) is None
    assert one.state == "held"


def test_a_video_where_only_sound_was_allowed_is_held_and_refused_for_release() -> None:
    sound_only: list[Scope] = ["meet", "record-audio", "share-cohort"]
    one = held(scopes=sound_only)
    assert one.told().refused_because == "wider-than-allowed"
    one.obey(consent(scopes=sound_only, released=True, released_sha256="a" * 64), 2)
    one.settle(NOW)
    assert one.state == "held"
    assert one.told().refused_because == "wider-than-allowed"
    assert not one.plays_to(STUDENT, LEARNERS, NOW)
    one.take_in(media("c" * 64, has_video=False, file="f2"), 730)
    assert one.told().refused_because is None


def test_a_narrower_consent_takes_a_released_video_back() -> None:
    one = released()
    one.obey(consent(scopes=["record-audio", "share-cohort"], released=True, released_sha256="a" * 64), 3)
    assert one.settle(NOW) is RecordingChangedV1
    assert one.told().refused_because == "wider-than-allowed"
    assert not one.plays_to(STUDENT, LEARNERS, NOW)


def test_a_changed_audience_is_told_and_obeyed() -> None:
    one = released()
    one.obey(consent(scopes=["record-video"], released=True, released_sha256="a" * 64), 3)
    assert one.settle(NOW) is RecordingChangedV1
    assert one.told().audience == []
    assert not one.plays_to(STUDENT, LEARNERS, NOW)


def test_while_the_family_pauses_nobody_but_the_family_sees_it() -> None:
    one = released()
    one.obey(consent("paused", released=True, released_sha256="a" * 64), 3)
    assert one.settle(NOW) is RecordingChangedV1
    assert one.state == "released"
    assert not one.plays_to(STUDENT, LEARNERS, NOW)
    assert one.plays_to(FAMILY, LEARNERS, NOW)


def test_a_withdrawal_closes_and_its_undoing_leads_back_to_what_was() -> None:
    one = released()
    before = one.told()
    one.obey(consent("withdrawn"), 3)
    assert one.settle(NOW) is RecordingWithdrawnV1
    assert not one.plays_to(STUDENT, LEARNERS, NOW)
    one.obey(consent(released=True, released_sha256="a" * 64), 4)
    assert one.settle(NOW) is RecordingPublishedV1
    assert one.told() == before


def test_a_withdrawal_that_comes_before_everything_else_wins_over_what_comes_later() -> None:
    one = fresh()
    one.obey(consent("withdrawn"), 9)
    assert one.settle(NOW) is None
    one.obey(consent(), 3)
    one.expect(expected=True)
    one.settle(NOW)
    assert one.state == "withdrawn"
    with pytest.raises(Refused) as refused:
        one.take_in(media(), 730)
    assert refused.value.code == "closed"


def test_without_any_record_scope_the_recording_is_closed() -> None:
    one = held()
    one.obey(consent(scopes=["meet", "share-cohort"]), 2)
    assert one.settle(NOW) is RecordingWithdrawnV1


def test_an_end_closes_the_recording_by_itself() -> None:
    end = NOW + timedelta(days=30)
    one = released(expires_at=end)
    assert one.due_at == end
    assert not one.plays_to(STUDENT, LEARNERS, end)
    assert one.settle(end) is RecordingWithdrawnV1
    assert one.due_at is None


def test_the_institutions_time_for_keeping_ends_it_too() -> None:
    one = released()
    assert one.expires_at == NOW + timedelta(days=730)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (fresh, "not-expected"),
        (released, "released"),
        (_paused, "not-allowed"),
        (_erased, "closed"),
    ],
)
def test_nothing_is_taken_in_that_is_not_to_be(make: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        make().admits_upload(NOW)
    assert refused.value.code == code


def test_what_was_erased_never_comes_back() -> None:
    one = _erased()
    one.obey(consent(released=True, released_sha256="a" * 64), 50)
    one.expect(expected=True)
    assert one.settle(NOW) is None
    assert one.state == "erased"
    assert not one.plays_to(FAMILY, LEARNERS, NOW)
    assert one.told().sha256 == ""


# -- whatever comes, in whatever order

# Each scope more often given than not, so that many paths end with a recording that plays.
SCOPES = st.builds(
    lambda withheld: [s for s in (*FULL, "share-institution", "share-public", "download") if s not in withheld],
    st.sets(st.sampled_from([*FULL, "share-institution", "share-public", "download"]), max_size=3),
)
CONSENTS = st.builds(
    lambda state, scopes, released, sha, days: ConsentRecordState(
        state=state,
        scopes=scopes if state == "granted" else [],
        released=released,
        released_sha256=sha if released else "",
        expires_at=NOW + timedelta(days=days) if days else None,
    ),
    st.sampled_from(["granted"] * 12 + ["none", "paused", "declined", "withdrawn", "erased"]),
    SCOPES,
    st.sampled_from([True, True, False]),
    st.sampled_from(["a" * 64, "a" * 64, "b" * 64]),
    st.sampled_from([0, 0, 5, 20]),
)
STEPS = st.one_of(
    st.tuples(st.just("expect"), st.booleans()),
    st.tuples(st.just("consent"), st.tuples(CONSENTS, st.integers(1, 12))),
    st.tuples(st.just("upload"), st.tuples(st.sampled_from(["a" * 64, "b" * 64]), st.booleans())),
    st.tuples(st.just("days"), st.integers(0, 8)),
)
ERASE = ("erase", None)
USUAL = [
    ("expect", True),
    ("consent", (ConsentRecordState(state="granted", scopes=FULL), 1)),
    ("upload", ("a" * 64, True)),
]
PATHS = st.builds(
    lambda usual, steps, erase: [*(USUAL if usual else []), *steps, *([ERASE] if erase else [])],
    st.booleans(),
    st.lists(STEPS, max_size=8),
    st.sampled_from([False] * 9 + [True]),
)


def _take_step(one: Recording, step: tuple[str, Any], at: datetime) -> datetime:
    what, value = step
    if what == "expect":
        one.expect(expected=value)
    elif what == "consent":
        one.obey(value[0], value[1])
    elif what == "upload":
        try:
            one.take_in(media(value[0], has_video=value[1], file=value[0][:4], at=at), 10)
        except Refused:
            return at
    elif what == "days":
        return at + timedelta(days=value)
    else:
        one.erase("e1", at)
    return at


@settings(max_examples=800, deadline=None)
@given(PATHS, CONSENTS, st.integers(8, 14))
def test_no_path_plays_without_every_scope_in_force(
    steps: list[tuple[str, Any]], live: ConsentRecordState, sequence: int
) -> None:
    one, at, newest = fresh(), NOW, (0, ConsentRecordState(state="none"))
    erased = False
    for step in steps:
        at = _take_step(one, step, at)
        if step[0] == "consent" and step[1][1] > newest[0]:
            newest = (step[1][1], step[1][0])
        erased = erased or step[0] == "erase"
        one.settle(at)
    # what the gate heard and the store does not know yet
    one = one.under(live, sequence, at)
    now = live if sequence > newest[0] else newest[1]

    shown = one.media
    fits = shown is not None and (
        "record-video" in now.scopes or ("record-audio" in now.scopes and not shown.has_video)
    )
    in_force = (
        now.state == "granted"
        and now.released
        and shown is not None
        and now.released_sha256 == shown.sha256
        and fits
        and (now.expires_at is None or at < now.expires_at)
        and at < shown.taken_in_at + timedelta(days=10)
        and not erased
    )
    for viewer, share in ((STUDENT, "share-cohort"), (TUTOR, "share-cohort"), (OTHER, "share-institution")):
        allowed = in_force and (share in now.scopes or "share-institution" in now.scopes)
        assert one.plays_to(viewer, LEARNERS, at) == allowed
    assert not one.plays_to(MACHINE, LEARNERS, at)
    assert one.plays_to(FAMILY, LEARNERS, at) == (shown is not None and not erased)
    for viewer in (STUDENT, TUTOR, OTHER, FAMILY):
        assert not (is_shown_to_nobody(now, viewer) and one.plays_to(viewer, LEARNERS, at))
    if now.state in ("withdrawn", "erased", "declined"):
        assert all(is_shown_to_nobody(now, viewer) for viewer in (STUDENT, TUTOR, OTHER))
        assert not any(one.plays_to(viewer, LEARNERS, at) for viewer in (STUDENT, TUTOR, OTHER))


@given(PATHS)
def test_settling_twice_tells_once(steps: list[tuple[str, Any]]) -> None:
    one, at = fresh(), NOW
    for step in steps:
        at = _take_step(one, step, at)
        one.settle(at)
        assert one.settle(at) is None


# -- ranges

SIZE, ETAG = 1000, '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Span(0, 1000, partial=False)),
        ("bytes=0-", Span(0, 1000, partial=True)),
        ("bytes=10-19", Span(10, 20, partial=True)),
        ("bytes=990-5000", Span(990, 1000, partial=True)),
        ("bytes=-10", Span(990, 1000, partial=True)),
        ("bytes=-5000", Span(0, 1000, partial=True)),
        ("bytes=0-1,5-6", Span(0, 1000, partial=False)),
        ("bytes=9-2", Span(0, 1000, partial=False)),
        ("bytes=-", Span(0, 1000, partial=False)),
        ("pages=1-2", Span(0, 1000, partial=False)),
    ],
)
def test_one_range_is_honoured_and_anything_else_means_the_whole(header: str | None, expected: Span) -> None:
    assert span_of(SIZE, header, None, ETAG) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=-0"])
def test_a_range_outside_is_refused(header: str) -> None:
    with pytest.raises(NotSatisfiable):
        span_of(SIZE, header, None, ETAG)


def test_a_range_of_another_recording_gives_the_whole() -> None:
    assert not span_of(SIZE, "bytes=5-", '"old"', ETAG).partial
    assert span_of(SIZE, "bytes=5-", ETAG, ETAG).partial
