"""The identifiers that cross every boundary: institutions, contacts, people, scopes."""

import secrets
import string
import unicodedata
import uuid
from itertools import takewhile
from typing import Annotated, Final, NewType

from pydantic import BeforeValidator, StringConstraints

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


_SECRET_BYTES: Final = 32
_SECRET_LENGTH: Final = 43  # characters, of `_SECRET_BYTES` in base64
_OF_SECRETS: Final = frozenset(string.ascii_letters + string.digits + "-_")


def new_secret() -> str:
    """Make a secret for a link: 256 random bits, URL-safe."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def _pasted(value: object) -> object:
    """Take a secret out of what was pasted: without characters that cannot be seen, up to the first that is none."""
    if not isinstance(value, str):
        return value
    seen = (one for one in value if not one.isspace() and unicodedata.category(one) != "Cf")
    return "".join(takewhile(_OF_SECRETS.__contains__, seen))[:_SECRET_LENGTH]


# The secret of a link as it comes back from a person.
PastedSecret = Annotated[str, BeforeValidator(_pasted), StringConstraints(min_length=1, max_length=100)]
