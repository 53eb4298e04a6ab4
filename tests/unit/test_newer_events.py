"""What a newer release writes opens nothing: every named value of every event, found by walking the models."""

import json
from typing import Any

import pytest

from firsthand.services.archive.model import Learners, Media, Recording, Viewer
from firsthand.services.discovery.model.people import NO
from firsthand.services.portal.http.words import STAGES, happened
from firsthand.services.portal.model.journey import Journey
from firsthand.services.portal.model.today import task_of
from firsthand.shared.clock import ManualClock
from firsthand.shared.deployment import _revocation, _sign_out
from firsthand.shared.events import EVENTS, AnyEvent, UnknownEvent, UnreadableEvent, parse_event
from firsthand.shared.events.consent import ConsentRecordState, ConsentState, ConsentWithdrawnV1
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.portal import PersonChangedV1
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import SigningKey
from firsthand.shared.sessions import SessionIssuer, SessionVerifier
from tests.event_samples import AT, Path, named_values, put, sample

NEWER = "what-only-a-newer-release-knows"
QU = InstitutionId("example-dental")
VALUES = [(event, path) for event in EVENTS.values() for path in named_values(event)]
OF_CONTACTS = [(e, p) for e, p in VALUES if e.event_type() != "firsthand.person.changed.v1"]
IN_CONSENT = [(event, path) for event, path in VALUES if event.service == "consent" and path[:2] == ("data", "consent")]


def wire(raw: dict[str, Any]) -> bytes:
    return json.dumps(raw).encode()


def ids(value: Any) -> str:
    return ".".join(map(str, value)) if isinstance(value, tuple) else value.event_type()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(AT)


def test_the_walk_finds_the_named_values() -> None:
    found = {(event.event_type(), path) for event, path in VALUES}
    assert ("firsthand.consent.withdrawn.v1", ("data", "invitation", "closed_because")) in found
    assert ("firsthand.consent.granted.v1", ("data", "consent", "scopes", 0)) in found
    assert ("firsthand.person.changed.v1", ("data", "roles", 0)) in found
    assert len(VALUES) > 90


@pytest.mark.parametrize("event", EVENTS.values(), ids=ids)
def test_every_sample_is_a_whole_event(event: type[AnyEvent]) -> None:
    assert isinstance(parse_event(wire(sample(event))), event)


@pytest.mark.parametrize(("event", "path"), VALUES, ids=ids)
def test_a_value_that_a_newer_release_writes_is_read_and_kept(event: type[AnyEvent], path: Path) -> None:
    raw = put(sample(event), path, NEWER)
    read = parse_event(wire(raw))
    assert json.loads(read.wire())["data"] == raw["data"]


@pytest.mark.parametrize("event", EVENTS.values(), ids=ids)
@pytest.mark.parametrize("data", [{}, None, [], "text", {"contact": 7}], ids=str)
def test_known_types_with_other_data_are_unreadable_and_name_whom_they_concern(
    event: type[AnyEvent], data: object
) -> None:
    with pytest.raises(UnreadableEvent) as unreadable:
        parse_event(wire({**sample(event, sequence=7), "data": data}))
    envelope = unreadable.value.envelope
    assert (envelope.institution, envelope.subject, envelope.sequence) == (QU, "c1", 7)
    assert envelope.nats_subject == f"fh.v1.example-dental.{event.entity}.{event.name}"


def test_a_type_of_a_newer_release_is_unreadable() -> None:
    raw = sample(ConsentWithdrawnV1)
    for type_ in ("firsthand.consent.suspended.v1", "firsthand.consent.withdrawn.v2"):
        with pytest.raises(UnreadableEvent):
            parse_event(wire({**raw, "type": type_}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no event at all",
        b"[]",
        b"null",
        b'{"type": "firsthand.consent.ended.v9"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"type": ["firsthand.consent.withdrawn.v1"]}',
        *(
            json.dumps({**sample(ConsentWithdrawnV1), "data": 1, name: value}).encode()
            for name, value in {
                "institution": "../other",
                "subject": "",
                "sequence": "soon",
                "time": "yesterday",
                "id": None,
                "type": "consent.withdrawn",
                "source": "somewhere",
            }.items()
        ),
    ],
)
def test_what_names_nobody_is_rubbish(body: bytes) -> None:
    with pytest.raises(UnknownEvent):
        parse_event(body)


# -- the gate


def released() -> Recording:
    contact = ContactReference(contact_id="c1", case_id="k", reference="CLP-001", language="en", tutor_id="t")
    media = Media(
        file="f", has_video=True, mime="video/mp4", codecs=["h264"], duration_seconds=1, bytes=1, sha256="a" * 64,
        taken_in_at=AT, taken_in_by="t",
    )  # fmt: skip
    recording = Recording(id="c1", institution=QU, contact=contact, expected=True, media=media, changed_at=AT)
    allowed = ConsentRecordState(
        state="granted", scopes=["meet", "record-video", "share-cohort", "share-institution", "download"],
        released=True, released_sha256="a" * 64,
    )  # fmt: skip
    recording.obey(allowed, 1)
    recording.settle(AT)
    assert plays(recording)
    return recording


def plays(recording: Recording) -> bool:
    return recording.plays_to(Viewer(person_id="s", cohorts=frozenset({"y3"})), Learners(frozenset({"y3"})), AT)


@pytest.mark.parametrize(("event", "path"), IN_CONSENT, ids=ids)
def test_no_value_of_a_newer_consent_opens_a_recording(event: type[AnyEvent], path: Path) -> None:
    raw = sample(event, sequence=2)
    raw["data"]["consent"] |= {
        "state": "granted", "scopes": ["meet", "record-video", "share-institution"],
        "released": True, "released_sha256": "a" * 64, "expires_at": None,
    }  # fmt: skip
    assert plays(released().under(parse_event(wire(raw)).data.consent, 2, AT))
    if path[2] == "scopes":  # the one that opened it is now called otherwise
        raw["data"]["consent"]["scopes"] = ["share-institution", "meet", "record-video"]
    told: ConsentState = parse_event(wire(put(raw, path, NEWER))).data
    recording = released().under(told.consent, 2, AT)
    if path[2] in {"state", "scopes"}:
        assert not plays(recording)
        assert not recording.audience
        assert not recording.downloads_to(Viewer(person_id="s"))
    else:  # who signed decides nothing
        assert plays(recording)
    assert recording.state not in {"withdrawn", "erased"}  # and nothing is destroyed for it either


# -- sign-out


@pytest.mark.parametrize("path", named_values(PersonChangedV1), ids=ids)
async def test_an_unknown_role_hides_no_sign_out(path: Path, clock: ManualClock) -> None:
    raw = put(sample(PersonChangedV1, subject="p1"), path, NEWER)
    raw["data"]["signed_out_before"] = int(clock.now().timestamp()) + 1
    context, token = _signed_in(clock)
    await _revocation(context)(parse_event(wire(raw)), 1)
    assert context.verifier.staff(token) is None


async def test_what_cannot_be_read_of_a_person_ends_every_session_from_before(clock: ManualClock) -> None:
    context, token = _signed_in(clock)
    assert context.verifier.staff(token) is not None
    raw = {**sample(PersonChangedV1, subject="p1"), "data": {"roles": 7}, "time": clock.now().isoformat()}
    with pytest.raises(UnreadableEvent) as unreadable:
        parse_event(wire(raw))
    await _sign_out(context)(unreadable.value.envelope, 1)
    assert context.verifier.staff(token) is None


KEY = SigningKey("1", bytes(32))


class _SignedIn:
    """As much of a context as a sign-out needs: the verifier of a service."""

    def __init__(self, clock: ManualClock) -> None:
        self.verifier = SessionVerifier({"staff": {"1": KEY.public}}, clock)


def _signed_in(clock: ManualClock) -> tuple[Any, str]:
    return _SignedIn(clock), SessionIssuer({"staff": KEY}, clock).staff(QU, "p1", roles=frozenset({"tutor"}))


# -- the journeys page


@pytest.mark.parametrize(("event", "path"), OF_CONTACTS, ids=ids)
def test_the_journeys_page_shows_what_it_does_not_know(event: type[AnyEvent], path: Path) -> None:
    journey = Journey(id="c1", institution=QU, moved_at=AT)
    for number, known in enumerate(EVENTS.values(), start=1):
        if known.service == event.service and known.event_type() != "firsthand.case.changed.v1":
            journey.enter(parse_event(wire(sample(known, sequence=number))))
    journey.enter(parse_event(wire(put(sample(event, sequence=99), path, NEWER))))
    assert STAGES[journey.stage].text
    assert all(happened(entry).text for entry in journey.timeline)
    task_of(journey, AT, reminder_after=AT - AT)
    if path[-1] == "state" and path[1] in {"consent", "invitation"}:
        assert journey.stage in {"unclear", "withdrawn", "declined", "erased", "consented"} or path[1] == "invitation"


@pytest.mark.parametrize(
    "path", [("consent", "state"), ("invitation", "state"), ("invitation", "closed_because")], ids=ids
)
def test_a_state_or_reason_of_a_newer_release_makes_what_consent_says_unknown(path: tuple[str, str]) -> None:
    told: ConsentState = parse_event(wire(put(sample(ConsentWithdrawnV1), ("data", *path), NEWER))).data
    assert not told.is_known


def test_a_no_stays_a_no_whatever_a_newer_release_says() -> None:
    told = parse_event(wire(sample(ConsentWithdrawnV1))).data
    newer = told.model_copy(update={"consent": told.consent.model_copy(update={"state": NEWER})})
    assert not newer.is_known
    assert "withdrawn" in NO


def test_an_event_that_comes_again_is_read_once_and_what_cannot_be_read_each_time() -> None:
    body = wire(sample(ConsentWithdrawnV1))
    assert parse_event(body) is parse_event(bytes(bytearray(body)))
    for unread, error in ((b"{}", UnknownEvent), (body.replace(b".v1", b".v2"), UnreadableEvent)):
        for _ in range(2):
            with pytest.raises(error):
                parse_event(unread)
