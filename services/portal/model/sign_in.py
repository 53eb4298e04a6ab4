"""Signing in: a one-time link, and the sign-in that it begins. Pure. Only hashes of secrets are kept."""

import hashlib
from datetime import datetime, timedelta
from typing import ClassVar, Final

from pydantic import AwareDatetime

from firsthand.shared.sessions import STAFF_LIFE
from firsthand.shared.store import Document, Index

LINK_LIFE: Final = timedelta(minutes=15)
SIGN_IN_LIFE: Final = timedelta(hours=12)  # a working day


class SignInLink(Document):
    """A one-time link; id = SHA-256 of its secret. Its timer removes it."""

    kind: ClassVar[str] = "sign_in_link"

    person_id: str
    expires_at: AwareDatetime
    used_at: AwareDatetime | None = None

    def opens(self, at: datetime) -> bool:
        return self.used_at is None and at < self.expires_at

    def use(self, at: datetime) -> None:
        self.used_at = at


class SignIn(Document):
    """What a browser that signed in may renew its session by; id = SHA-256 of its secret. Its timer removes it when no
    token of it lives any more.
    """

    kind: ClassVar[str] = "sign_in"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("person_id"),)

    person_id: str
    began_at: AwareDatetime
    until: AwareDatetime

    def end(self, now: datetime) -> bool:
        """Let it renew nothing any more; False once none of its tokens lives. Its id is told as the session's."""
        if self.until + STAFF_LIFE <= now:
            return False
        self.until, self.due_at = min(self.until, now), now + STAFF_LIFE
        return True


def hashed(secret: str) -> str:
    """The id under which a secret of 256 random bits is found; it does not give the secret away."""
    return hashlib.sha256(secret.encode()).hexdigest()
