"""The signing keys' rotation, as an operator does it."""

from pathlib import Path

import pytest

from firsthand.shared.clock import SystemClock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys, KeysError, rotate
from firsthand.shared.sessions import SessionIssuer, SessionVerifier

SCHOOL = InstitutionId("qu-cdm")


def session(keys: Keys) -> str:
    return SessionIssuer(keys.signing, SystemClock()).staff(SCHOOL, "p-1", roles=frozenset({"tutor"}))


def test_after_a_rotation_the_next_pair_signs_and_earlier_sessions_stay_good(tmp_path: Path) -> None:
    before = session(Keys.load(tmp_path, {}, create=True))
    made = rotate(tmp_path, "staff")
    keys = Keys.load(tmp_path, {})
    assert [path.name for path in made] == ["sign-staff-2.key", "verify-staff-2.key"]
    assert keys.signing["staff"].kid == "2"
    assert keys.signing["family"].kid == "1"
    verifier = SessionVerifier(keys.verifying, SystemClock())
    assert verifier.staff(before)
    assert verifier.staff(session(keys))


def test_a_service_that_has_only_the_public_halves_verifies_what_the_next_pair_signs(tmp_path: Path) -> None:
    Keys.load(tmp_path, {}, create=True)
    rotate(tmp_path, "staff")
    signed = session(Keys.load(tmp_path, {}))
    for private in tmp_path.glob("sign-*.key"):
        private.unlink()
    assert SessionVerifier(Keys.load(tmp_path, {}).verifying, SystemClock()).staff(signed)


def test_new_keys_are_for_this_user_alone(tmp_path: Path) -> None:
    Keys.load(tmp_path, {}, create=True)
    assert all(path.stat().st_mode & 0o077 == 0 for path in rotate(tmp_path, "family"))


def test_where_no_keys_are_nothing_is_rotated(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="no deployment key"):
        rotate(tmp_path, "staff")
    assert not [*tmp_path.iterdir()]
