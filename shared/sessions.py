"""Sessions: who is asking, as a signed token (JWT, Ed25519), so that each service can tell by itself.

The portal signs staff sessions (and machine tokens), consent signs families'; the two have different keys and types,
and neither passes for the other. A token says which institution it is of: from nowhere else does a request get one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeVar, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firsthand.shared.clock import Clock
from firsthand.shared.events.portal import Role
from firsthand.shared.identifiers import Id, InstitutionId, InstitutionSlug, new_id
from firsthand.shared.keys import KeysError, SigningKey, Who

STAFF_LIFE: Final = timedelta(minutes=10)  # renewed by the portal
FAMILY_LIFE: Final = timedelta(minutes=15)  # renewed by the personal link
LONGEST_SESSION: Final = max(STAFF_LIFE, FAMILY_LIFE)
MACHINE_LIFE: Final = timedelta(days=90)  # the longest that may be chosen

_ALGORITHM: Final = "Ed25519"  # RFC 9864; `EdDSA` names the same signature less exactly
_AUDIENCE: Final = "firsthand"
_LEEWAY: Final = 5  # seconds by which two machines' clocks may differ
_TYPES: Final[Mapping[Who, str]] = {"staff": "fh-staff+jwt", "family": "fh-family+jwt"}
_REGISTRY: Final = JWSRegistry(algorithms=[_ALGORITHM])


@dataclass(frozen=True)
class Staff:
    """A person, or a machine, of an institution, as a verified session says."""

    institution: InstitutionId
    person_id: str
    roles: frozenset[Role]
    cohorts: frozenset[str]
    session_id: str = ""  # of one sign-in, over all its renewals; empty in a machine's token and in those of 0.1.0
    issued_at: int = field(default=0, compare=False)  # seconds since 1970


@dataclass(frozen=True)
class Family:
    """A family that opened its personal link, as a verified session says."""

    institution: InstitutionId
    contact_id: str
    language: str
    session_id: str = ""  # of one device, until it is locked; empty in tokens of 0.1.0
    issued_at: int = field(default=0, compare=False)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    aud: Literal["firsthand"]
    sub: Id
    inst: InstitutionSlug
    iat: int
    exp: int
    jti: Id
    sid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""


class _StaffClaims(_Claims):
    iss: Literal["portal"]
    roles: list[str]
    cohorts: list[str]

    @property
    def longest_life(self) -> timedelta:
        return MACHINE_LIFE if self.roles == ["machine"] else STAFF_LIFE


class _FamilyClaims(_Claims):
    iss: Literal["consent"]
    lang: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")]

    @property
    def longest_life(self) -> timedelta:
        return FAMILY_LIFE


_C = TypeVar("_C", _StaffClaims, _FamilyClaims)


class SessionIssuer:
    """Makes sessions with the keys that this process was given: the portal's for staff, consent's for families."""

    def __init__(self, signing: Mapping[Who, SigningKey], clock: Clock) -> None:
        self._keys = {who: _private(key) for who, key in signing.items()}
        self._clock = clock

    def staff(
        self,
        institution: InstitutionId,
        person_id: str,
        *,
        roles: frozenset[Role],
        cohorts: frozenset[str] = frozenset(),
        session_id: str = "",
    ) -> str:
        """Sign a session of 10 minutes for a person. `session_id` names the sign-in; with it, all its tokens end."""
        named = {"sid": session_id} if session_id else {}
        return self._sign(
            "staff", institution, person_id, STAFF_LIFE, roles=sorted(roles), cohorts=sorted(cohorts), **named
        )

    def machine(self, institution: InstitutionId, person_id: str, *, life: timedelta) -> str:
        """Sign a token for a machine, for at most 90 days (ValueError). It has the role `machine` and no other."""
        if not timedelta() < life <= MACHINE_LIFE:
            raise ValueError(f"A machine's token lives for at most {MACHINE_LIFE.days} days.")
        return self._sign("staff", institution, person_id, life, roles=["machine"], cohorts=[])

    def family(self, institution: InstitutionId, contact_id: str, *, language: str, session_id: str = "") -> str:
        """Sign a session of 15 minutes for a family that opened its personal link. `session_id`: as of staff."""
        named = {"sid": session_id} if session_id else {}
        return self._sign("family", institution, contact_id, FAMILY_LIFE, lang=language, **named)

    def _sign(
        self,
        who: Who,
        institution: InstitutionId,
        subject: str,
        life: timedelta,
        **claims: str | list[str] | list[Role],
    ) -> str:
        if (key := self._keys.get(who)) is None:
            raise KeysError(f"This process has no sign-{who} key: only the service that signs these sessions has it.")
        now = int(self._clock.now().timestamp())
        common: dict[str, str | int] = {
            "iss": {"staff": "portal", "family": "consent"}[who],
            "aud": _AUDIENCE,
            "sub": subject,
            "inst": institution,
            "iat": now,
            "exp": now + int(life.total_seconds()),
            "jti": new_id(),
        }
        header = {"alg": _ALGORITHM, "typ": _TYPES[who], "kid": key.kid}
        return jwt.encode(header, common | claims, key, registry=_REGISTRY)


class SessionVerifier:
    """Tells who is asking by the public keys, one or several of each kind while keys are being changed."""

    def __init__(self, verifying: Mapping[Who, Mapping[str, bytes]], clock: Clock) -> None:
        self._keys = {
            who: KeySet([_public(kid, key) for kid, key in keys.items()]) for who, keys in verifying.items() if keys
        }
        self._clock = clock
        self._void_before: dict[tuple[str, str], int] = {}
        self._ended: dict[tuple[str, str], int] = {}  # sessions, the longest ended first, with when they ended

    def staff(self, token: str) -> Staff | None:
        """The person of a staff session or machine token; None if it is not one, expired, or revoked."""
        claims = self._claims("staff", token, _StaffClaims)
        if claims is None:
            return None
        cohorts = frozenset(claims.cohorts)
        return Staff(InstitutionId(claims.inst), claims.sub, _known(claims.roles), cohorts, claims.sid, claims.iat)

    def family(self, token: str) -> Family | None:
        """The family of a family session; None if it is not one, expired, or of a link that was replaced."""
        claims = self._claims("family", token, _FamilyClaims)
        return Family(InstitutionId(claims.inst), claims.sub, claims.lang, claims.sid, claims.iat) if claims else None

    def revoke(self, institution: InstitutionId, subject: str, before: int) -> None:
        """Make the tokens of a person, a machine or a family issued before this time (seconds since 1970) void.

        Times only move forward; an earlier one than before changes nothing. Kept in memory: every replica listens to
        `person.changed` from the beginning, and to `invitation.linked` for as long as a family's session may live.
        """
        key = (institution, subject)
        self._void_before[key] = max(before, self._void_before.get(key, 0))

    def end(self, institution: InstitutionId, session_id: str) -> None:
        """Make the tokens of one session void: of a browser that signed out, or a device on which a page was locked.

        Kept in memory for as long as such a token may live; every replica listens to what tells of it for as long.
        """
        now = int(self._clock.now().timestamp())
        gone = now - int(LONGEST_SESSION.total_seconds()) - 2 * _LEEWAY
        while self._ended and (oldest := next(iter(self._ended))) and self._ended[oldest] < gone:
            del self._ended[oldest]
        self._ended[institution, session_id] = self._ended.pop((institution, session_id), now)

    def is_void(self, session: Staff | Family) -> bool:
        """Return whether a session that was verified has ended or was revoked since: for answers that take long."""
        subject = session.person_id if isinstance(session, Staff) else session.contact_id
        return self._is_void(session.institution, subject, session.issued_at, session.session_id)

    def _is_void(self, institution: str, subject: str, issued_at: int, session_id: str) -> bool:
        if (institution, session_id) in self._ended:
            return True
        return issued_at < self._void_before.get((institution, subject), 0)

    def _claims(self, who: Who, token: str, shape: type[_C]) -> _C | None:
        if who not in self._keys:
            return None
        try:
            read = jwt.decode(token, self._keys[who], registry=_REGISTRY)
            claims = shape.model_validate(read.claims)
        except (JoseError, ValidationError, ValueError, TypeError):
            return None
        now = int(self._clock.now().timestamp())
        lives = claims.iat - _LEEWAY <= now < claims.exp + _LEEWAY
        short = claims.exp - claims.iat <= claims.longest_life.total_seconds()
        void = self._is_void(claims.inst, claims.sub, claims.iat, claims.sid)
        return claims if read.header.get("typ") == _TYPES[who] and lives and short and not void else None


def _known(roles: Sequence[str]) -> frozenset[Role]:
    """The roles that this release knows; one that a newer portal gives opens nothing here."""
    return frozenset(role for role in get_args(Role) if role in roles)


def _private(key: SigningKey) -> OKPKey:
    private = Ed25519PrivateKey.from_private_bytes(key.private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return OKPKey.import_key(pem, {"kid": key.kid, "use": "sig"})


def _public(kid: str, key: bytes) -> OKPKey:
    pem = Ed25519PublicKey.from_public_bytes(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return OKPKey.import_key(pem, {"kid": kid, "use": "sig"})
