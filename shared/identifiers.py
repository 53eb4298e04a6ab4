"""The identifiers that cross every boundary: institutions, contacts, people, scopes."""

import secrets
import uuid
from typing import Annotated, Final, NewType

from pydantic import StringConstraints

# An institution (the tenant). A value of this type comes from a verified session, token or event, never from a raw
# request: `shared.web.access` and `shared.events` are the only places that make one (tests/contract checks it).
InstitutionSlug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,40}$")]
InstitutionId = NewType("InstitutionId", str)
# No institution, but where the ledger lies that spares people across all of them (marks, counts and times only).
# The portal lets nobody be called so.
DEPLOYMENT: Final = InstitutionId("deployment")

INSTITUTION_PATTERN = r"^[a-z0-9-]{2,40}$"
ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]


def new_id() -> str:
    """Make a random id: 32 hexadecimal digits (122 random bits, UUID version 4)."""
    return uuid.uuid4().hex


def new_secret() -> str:
    """Make a secret for a link: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)
