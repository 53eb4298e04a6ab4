"""The deployment's secrets: where they come from, and what is derived from them.

A key is 32 bytes in base64url, one a file, in the folder `FIRSTHAND_KEYS_DIR`; or one an environment variable, whose
name is the file's (`institution-qu-cdm.key` is `FIRSTHAND_KEY_INSTITUTION_QU_CDM`). The environment wins.

    deployment.key              the master key: wraps contacts' keys, makes marks
    institution-<slug>.key      optional: an institution's own wrapping key, instead of one derived from the master's
    sign-staff-<number>.key     Ed25519 private key, portal only; the highest number signs
    sign-family-<number>.key    the same, consent only
    verify-staff-<number>.key   its public key, for the services that only check sessions
    verify-family-<number>.key  the same
"""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from firsthand.shared.files import write_whole
from firsthand.shared.identifiers import InstitutionId

KEY_BYTES: Final = 32
_ENVIRONMENT_PREFIX: Final = "FIRSTHAND_KEY_"
_NAME: Final = re.compile(
    r"deployment|institution-(?P<slug>[a-z0-9-]{2,40})|(?P<use>sign|verify)-(?P<who>staff|family)-(?P<kid>[0-9]{1,9})"
)

Who = Literal["staff", "family"]
_WHO: Final[tuple[Who, ...]] = ("staff", "family")
# Which service signs whose sessions; every other one only verifies.
SIGNS: Final[Mapping[str, Who]] = {"portal": "staff", "consent": "family"}


class KeysError(Exception):
    """A key is missing or unreadable; the message says which one and what to do, never its content."""


def derive(secret: bytes, purpose: str, salt: bytes | None = None) -> bytes:
    """Derive 32 bytes for one purpose from a secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, salt, purpose.encode()).derive(secret)


class Masters:
    """The master keys, from which all sealing and marking follows. Shows no secret when printed."""

    def __init__(self, deployment: bytes, institutions: Mapping[str, bytes] | None = None) -> None:
        if len(deployment) != KEY_BYTES:
            raise KeysError(f"the deployment key has {len(deployment)} bytes instead of {KEY_BYTES}")
        self._deployment = deployment
        self._institutions = dict(institutions or {})
        self.mark_key = derive(deployment, "firsthand mark v1")
        # Tells two deployment keys apart, and nothing else about them.
        self.fingerprint = derive(deployment, "firsthand fingerprint v1")[:8].hex()

    def wrapping_key(self, institution: InstitutionId) -> bytes:
        """The key that wraps the contacts' keys of one institution: its own, or one derived from the deployment's."""
        own = self._institutions.get(institution)
        return own or derive(self._deployment, f"firsthand institution v1 {institution}")

    def __repr__(self) -> str:
        return f"Masters({self.fingerprint}, own keys: {sorted(self._institutions)})"


@dataclass(frozen=True, repr=False)
class SigningKey:
    """An Ed25519 private key and the number by which tokens name it."""

    kid: str
    private: bytes  # 32 bytes, the seed

    @property
    def public(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    @classmethod
    def new(cls, kid: str = "1") -> Self:
        return cls(kid, secrets.token_bytes(KEY_BYTES))

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"


@dataclass(frozen=True)
class Keys:
    """What one process was given. `signing` holds only what it may sign; `verifying` all public keys, by number."""

    masters: Masters
    signing: Mapping[Who, SigningKey]
    verifying: Mapping[Who, Mapping[str, bytes]]

    @classmethod
    def load(cls, folder: Path | None, environment: Mapping[str, str] | None = None, *, create: bool = False) -> Self:
        """Read the keys of a folder and of the environment. Raises KeysError.

        With `create` (the embedded default only), missing keys are made, readable by this user alone. A deployment key
        is never made beside other keys: then it was lost, and a new one would open nothing.
        """
        named = _from_environment(os.environ if environment is None else environment)
        if folder is not None:
            if create:
                _create_missing(folder, set(named))
            named = _from_folder(folder) | named
        if "deployment" not in named:
            where = f"{folder}/deployment.key" if folder else "FIRSTHAND_KEYS_DIR"
            raise KeysError(f"There is no deployment key. Put it into {where} or into FIRSTHAND_KEY_DEPLOYMENT.")
        return cls._sorted_out(named)

    @classmethod
    def _sorted_out(cls, named: Mapping[str, bytes]) -> Self:
        institutions: dict[str, bytes] = {}
        signing: dict[Who, SigningKey] = {}
        verifying: dict[Who, dict[str, bytes]] = {who: {} for who in _WHO}
        for name, key in named.items():
            if (match := _NAME.fullmatch(name)) is None:
                raise KeysError(f"“{name}” names no key. The names are listed in the documentation for operators.")
            if slug := match["slug"]:
                institutions[slug] = key
            for who in _WHO:
                if match["who"] != who:
                    continue
                kid = match["kid"]
                if match["use"] == "verify":
                    verifying[who].setdefault(kid, key)
                    continue
                candidate = SigningKey(kid, key)
                verifying[who][kid] = candidate.public
                if who not in signing or int(kid) > int(signing[who].kid):
                    signing[who] = candidate
        return cls(Masters(named["deployment"], institutions), signing, verifying)


def rotate(folder: Path, who: Who) -> tuple[Path, Path]:
    """Make the pair of the next number, private and public; gives where they lie. The highest number signs."""
    keys = Keys.load(folder)
    number = 1 + max(map(int, keys.verifying[who]), default=0)
    key = SigningKey.new(str(number))
    private, public = folder / f"sign-{who}-{number}.key", folder / f"verify-{who}-{number}.key"
    try:
        if not _write(public, key.public) or not _write(private, key.private):
            raise KeysError(f"{public} or {private} is there already. Look which one is in use.")
    except OSError as error:
        raise KeysError(f"Keys cannot be made in {folder}: {error.strerror}.") from error
    return private, public


def exposed(folder: Path) -> list[str]:
    """Names of key files that others on this machine may read; `firsthand doctor` shows them."""
    return [path.name for path in sorted(folder.glob("*.key")) if path.stat().st_mode & 0o077]


def encode_key(key: bytes) -> str:
    """Write a key as its file holds it: base64url without padding."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def _decode_key(text: str, where: str) -> bytes:
    text = text.strip()
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeysError(f"{where} does not hold a key: {KEY_BYTES} bytes in base64url were expected.")
    return key


def _from_environment(environment: Mapping[str, str]) -> dict[str, bytes]:
    return {
        variable.removeprefix(_ENVIRONMENT_PREFIX).lower().replace("_", "-"): _decode_key(text, variable)
        for variable, text in environment.items()
        if variable.startswith(_ENVIRONMENT_PREFIX)
    }


def _from_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {path.stem: _decode_key(path.read_text("ascii"), str(path)) for path in sorted(folder.glob("*.key"))}
    except UnicodeDecodeError as error:
        raise KeysError(f"A file in {folder} is not text: keys are written in base64url.") from error
    except OSError as error:
        raise KeysError(f"A key in {folder} cannot be read: {error.strerror}.") from error


def _create_missing(folder: Path, given: set[str]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = given | {path.stem for path in folder.glob("*.key")}
        if "deployment" not in there:
            if there:
                raise KeysError(
                    f"{folder}/deployment.key is gone while other keys are there. Restore it from your backup."
                )
            _write(folder / "deployment.key", secrets.token_bytes(KEY_BYTES))
        for who in _WHO:
            if not any(name.startswith((f"sign-{who}-", f"verify-{who}-")) for name in there):
                key = SigningKey.new()
                if _write(folder / f"sign-{who}-{key.kid}.key", key.private):
                    _write(folder / f"verify-{who}-{key.kid}.key", key.public)
    except OSError as error:
        raise KeysError(f"Keys cannot be made in {folder}: {error.strerror}.") from error


def _write(path: Path, key: bytes) -> bool:
    """Write a key file. False if another process was first: then its key counts."""
    return write_whole(path, f"{encode_key(key)}\n".encode(), replace=False)
