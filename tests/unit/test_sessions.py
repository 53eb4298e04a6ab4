import base64
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from firsthand.shared.clock import ManualClock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import KeysError, SigningKey
from firsthand.shared.sessions import LONGEST_SESSION, Family, SessionIssuer, SessionVerifier, Staff

QU = InstitutionId("qu-cdm")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAFF_KEY = SigningKey("1", bytes(range(32)))
FAMILY_KEY = SigningKey("1", bytes(range(1, 33)))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def issuer(clock: ManualClock) -> SessionIssuer:
    return SessionIssuer({"staff": STAFF_KEY, "family": FAMILY_KEY}, clock)


@pytest.fixture
def verifier(clock: ManualClock) -> SessionVerifier:
    return SessionVerifier({"staff": {"1": STAFF_KEY.public}, "family": {"1": FAMILY_KEY.public}}, clock)


def tutor(issuer: SessionIssuer) -> str:
    return issuer.staff(QU, "p1", roles=frozenset({"tutor", "student"}), cohorts=frozenset({"y3"}))


def part(token: str, index: int) -> dict[str, object]:
    text = token.split(".")[index]
    read = json.loads(base64.urlsafe_b64decode(text + "=="))
    assert isinstance(read, dict)
    return read


def signed(
    key: SigningKey, claims: dict[str, object], *, clock: ManualClock, who: str = "staff", **changes: object
) -> str:
    """A token whose claims were changed before it was signed with a good key."""
    issuer = SessionIssuer({"staff": key, "family": key}, clock)
    token = tutor(issuer) if who == "staff" else issuer.family(QU, "c1", language="ar")
    private = issuer._keys["staff"]
    return jwt.encode(part(token, 0) | changes, part(token, 1) | claims, private, algorithms=["Ed25519"])


def test_a_session_says_who_asks(issuer: SessionIssuer, verifier: SessionVerifier) -> None:
    assert verifier.staff(tutor(issuer)) == Staff(QU, "p1", frozenset({"tutor", "student"}), frozenset({"y3"}))
    assert verifier.family(issuer.family(QU, "c1", language="ar")) == Family(QU, "c1", "ar")


def test_a_session_names_its_type_algorithm_and_key(issuer: SessionIssuer) -> None:
    assert part(tutor(issuer), 0) == {"alg": "Ed25519", "typ": "fh-staff+jwt", "kid": "1"}
    assert part(issuer.family(QU, "c1", language="en"), 0)["typ"] == "fh-family+jwt"
    assert {"iss", "aud", "sub", "inst", "roles", "cohorts", "iat", "exp", "jti"} == set(part(tutor(issuer), 1))


def test_a_family_is_never_taken_for_staff_nor_staff_for_a_family(clock: ManualClock) -> None:
    # Even if both were signed with one key.
    issuer = SessionIssuer({"staff": STAFF_KEY, "family": STAFF_KEY}, clock)
    verifier = SessionVerifier({"staff": {"1": STAFF_KEY.public}, "family": {"1": STAFF_KEY.public}}, clock)
    assert verifier.family(tutor(issuer)) is None
    assert verifier.staff(issuer.family(QU, "c1", language="en")) is None


def test_the_type_counts_even_if_the_claims_fit(clock: ManualClock, verifier: SessionVerifier) -> None:
    assert verifier.staff(signed(STAFF_KEY, {}, clock=clock)) is not None
    for changed in ("JWT", "fh-family+jwt", ""):
        assert verifier.staff(signed(STAFF_KEY, {}, clock=clock, typ=changed)) is None


def test_a_staff_session_ends_after_ten_minutes_and_a_familys_after_fifteen(
    issuer: SessionIssuer, verifier: SessionVerifier, clock: ManualClock
) -> None:
    staff, family = tutor(issuer), issuer.family(QU, "c1", language="en")
    clock.advance(timedelta(minutes=10, seconds=4))
    assert verifier.staff(staff) is not None
    clock.advance(timedelta(seconds=1))
    assert verifier.staff(staff) is None
    assert verifier.family(family) is not None
    clock.advance(timedelta(minutes=5))
    assert verifier.family(family) is None


def test_a_session_from_the_future_is_refused(
    issuer: SessionIssuer, verifier: SessionVerifier, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=6))
    token = tutor(issuer)
    clock.set(NOON)
    assert verifier.staff(token) is None
    clock.advance(timedelta(seconds=1))
    assert verifier.staff(token) is not None


def test_a_machine_has_one_role_and_a_life_of_at_most_ninety_days(
    issuer: SessionIssuer, verifier: SessionVerifier, clock: ManualClock
) -> None:
    token = issuer.machine(QU, "m1", life=timedelta(days=90))
    assert verifier.staff(token) == Staff(QU, "m1", frozenset({"machine"}), frozenset())
    clock.advance(timedelta(days=89))
    assert verifier.staff(token) is not None
    clock.advance(timedelta(days=1, seconds=5))
    assert verifier.staff(token) is None
    for life in (timedelta(days=91), timedelta(), timedelta(days=-1)):
        with pytest.raises(ValueError, match="at most 90 days"):
            issuer.machine(QU, "m1", life=life)


def test_a_life_longer_than_the_kind_allows_is_refused_though_well_signed(
    clock: ManualClock, verifier: SessionVerifier
) -> None:
    now = int(NOON.timestamp())
    assert verifier.staff(signed(STAFF_KEY, {"exp": now + 601}, clock=clock)) is None
    assert verifier.family(signed(FAMILY_KEY, {"exp": now + 901}, clock=clock, who="family")) is None
    beside = {"roles": ["machine", "coordinator"], "exp": now + 86400}
    assert verifier.staff(signed(STAFF_KEY, beside, clock=clock)) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"inst": "QU/../other"},
        {"inst": None},
        {"sub": ""},
        {"sub": 7},
        {"roles": "tutor"},
        {"aud": "elsewhere"},
        {"iss": "consent"},
        {"exp": "tomorrow"},
        {"iat": None},
    ],
)
def test_claims_of_another_shape_are_refused_though_well_signed(
    clock: ManualClock, verifier: SessionVerifier, claims: dict[str, object]
) -> None:
    assert verifier.staff(signed(STAFF_KEY, claims, clock=clock)) is None


def test_a_role_that_only_a_newer_portal_knows_gives_nothing(clock: ManualClock, verifier: SessionVerifier) -> None:
    staff = verifier.staff(signed(STAFF_KEY, {"roles": ["dean", "tutor"]}, clock=clock))
    assert staff is not None
    assert staff.roles == {"tutor"}


def test_only_the_pinned_algorithm_is_accepted(
    clock: ManualClock, issuer: SessionIssuer, verifier: SessionVerifier
) -> None:
    token = tutor(issuer)
    header, claims, _ = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"fh-staff+jwt","kid":"1"}').rstrip(b"=").decode()
    assert verifier.staff(f"{none}.{claims}.") is None
    assert verifier.staff(f"{header}.{claims}.") is None
    # The classic confusion: the public key taken as a shared secret.
    shared = OctKey.import_key(STAFF_KEY.public, {"kid": "1"})
    forged = jwt.encode(part(token, 0) | {"alg": "HS256"}, part(token, 1), shared, algorithms=["HS256"])
    assert verifier.staff(forged) is None


def test_another_key_of_the_same_number_signs_nothing(clock: ManualClock, verifier: SessionVerifier) -> None:
    assert verifier.staff(tutor(SessionIssuer({"staff": SigningKey("1", os.urandom(32))}, clock))) is None


def test_while_keys_change_old_and_new_sessions_are_good(clock: ManualClock) -> None:
    new = SigningKey("2", os.urandom(32))
    verifier = SessionVerifier({"staff": {"1": STAFF_KEY.public, "2": new.public}}, clock)
    tokens = [tutor(SessionIssuer({"staff": key}, clock)) for key in (STAFF_KEY, new)]
    assert all(verifier.staff(token) for token in tokens)
    after = SessionVerifier({"staff": {"2": new.public}}, clock)
    assert [after.staff(token) is not None for token in tokens] == [False, True]


def test_revoking_voids_a_persons_earlier_sessions_only(
    issuer: SessionIssuer, verifier: SessionVerifier, clock: ManualClock
) -> None:
    token, machine = tutor(issuer), issuer.machine(QU, "m1", life=timedelta(days=1))
    elsewhere = issuer.staff(InstitutionId("other"), "p1", roles=frozenset({"tutor"}))
    at = int(NOON.timestamp())
    verifier.revoke(QU, "p1", at)
    assert verifier.staff(token) is not None
    verifier.revoke(QU, "p1", at + 1)
    verifier.revoke(QU, "p1", at)  # a late, older message
    assert verifier.staff(token) is None
    assert verifier.staff(elsewhere) is not None
    assert verifier.staff(machine) is not None
    clock.advance(timedelta(seconds=1))
    assert verifier.staff(tutor(issuer)) is not None


def test_a_service_without_the_key_signs_nothing_and_says_so(clock: ManualClock) -> None:
    with pytest.raises(KeysError, match="no sign-family key"):
        SessionIssuer({"staff": STAFF_KEY}, clock).family(QU, "c1", language="en")


def test_without_public_keys_nobody_is_let_in(issuer: SessionIssuer, clock: ManualClock) -> None:
    assert SessionVerifier({}, clock).staff(tutor(issuer)) is None


@given(st.text())
def test_no_text_makes_the_verifier_fail(text: str) -> None:
    verifier = SessionVerifier({"staff": {"1": STAFF_KEY.public}}, ManualClock(NOON))
    assert verifier.staff(text) is None
    assert verifier.staff(f"{text}.{text}.{text}") is None


@given(place=st.integers(min_value=0), bit=st.integers(0, 5))
def test_a_token_with_one_changed_character_is_no_session(place: int, bit: int) -> None:
    clock = ManualClock(NOON)
    token = tutor(SessionIssuer({"staff": STAFF_KEY}, clock))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place %= len(token) - 1  # the last character has unused bits
    if token[place] == ".":
        return
    changed = token[:place] + alphabet[alphabet.index(token[place]) ^ (1 << bit)] + token[place + 1 :]
    assert SessionVerifier({"staff": {"1": STAFF_KEY.public}}, clock).staff(changed) is None


def test_a_family_that_opened_a_link_before_the_newest_one_is_out(
    issuer: SessionIssuer, verifier: SessionVerifier, clock: ManualClock
) -> None:
    old = issuer.family(QU, "c1", language="en")
    clock.advance(timedelta(seconds=2))
    verifier.revoke(QU, "c1", int(clock.now().timestamp()))
    assert verifier.family(old) is None
    assert verifier.family(issuer.family(QU, "c1", language="en")) is not None
    assert verifier.family(issuer.family(QU, "c2", language="en")) is not None


def test_a_session_that_ended_opens_nothing_and_no_other_one_ends_with_it(
    clock: ManualClock, issuer: SessionIssuer, verifier: SessionVerifier
) -> None:
    def staff(session_id: str) -> Staff | None:
        return verifier.staff(issuer.staff(QU, "p1", roles=frozenset({"tutor"}), session_id=session_id))

    verifier.end(QU, "s1")
    clock.advance(timedelta(seconds=30))
    assert staff("s1") is None, "also one that was renewed meanwhile"
    assert (ours := staff("s2")) is not None
    assert ours.session_id == "s2"
    assert staff("") is not None, "as 0.1.0 signs them"
    assert verifier.family(issuer.family(QU, "c1", language="en", session_id="s1")) is None
    assert verifier.family(issuer.family(QU, "c1", language="en", session_id="s2")) is not None
    elsewhere = issuer.family(InstitutionId("akl-dent"), "c1", language="en", session_id="s1")
    assert verifier.family(elsewhere) is not None, "each institution's sessions are its own"


def test_what_ended_is_remembered_as_long_as_its_last_token_lives_and_then_forgotten(
    clock: ManualClock, issuer: SessionIssuer, verifier: SessionVerifier
) -> None:
    token = issuer.family(QU, "c1", language="en", session_id="s1")
    verifier.end(QU, "s1")
    clock.advance(LONGEST_SESSION)
    verifier.end(QU, "s2")
    assert verifier.family(token) is None
    clock.advance(timedelta(minutes=1))
    verifier.end(QU, "s3")
    assert [session_id for _, session_id in verifier._ended] == ["s2", "s3"]


def test_an_answer_that_takes_long_can_ask_whether_its_session_goes_on(
    clock: ManualClock, issuer: SessionIssuer, verifier: SessionVerifier
) -> None:
    asking = [
        verifier.staff(issuer.staff(QU, "p1", roles=frozenset({"student"}), session_id="s1")),
        verifier.staff(issuer.staff(QU, "p2", roles=frozenset({"student"}), session_id="s2")),
        verifier.family(issuer.family(QU, "c1", language="en", session_id="s3")),
    ]
    clock.advance(LONGEST_SESSION * 2)  # it began while the token lived, and goes on
    assert [one and verifier.is_void(one) for one in asking] == [False, False, False]
    verifier.end(QU, "s1")
    verifier.revoke(QU, "p2", int(clock.now().timestamp()))
    assert [one and verifier.is_void(one) for one in asking] == [True, True, False]
    verifier.end(QU, "s3")
    assert [one and verifier.is_void(one) for one in asking] == [True, True, True]
