"""Signatures of deliveries, as Standard Webhooks has them: `v1` by a shared secret, `v1a` by a key pair.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: what is signed is
`id.timestamp.body`; the header holds every signature, so that receivers change secrets at their own time.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SHARED: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_BYTES: Final = 32  # the specification asks for 24 to 64
_RAW: Final = serialization.Encoding.Raw


def new_secret() -> str:
    """Make a secret for `v1` (HMAC-SHA256)."""
    return _SHARED + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def new_key() -> str:
    """Make a private key for `v1a` (ed25519)."""
    return _PRIVATE + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def public_key(key: str) -> str:
    """Give the key with which receivers check `v1a` signatures; it needs no secrecy."""
    raw = _signer(key).public_key().public_bytes(_RAW, serialization.PublicFormat.Raw)
    return _PUBLIC + base64.b64encode(raw).decode()


def sign(secrets_: Sequence[str], keys: Sequence[str], *, id: str, at: datetime, body: bytes) -> dict[str, str]:  # noqa: A002
    """Give the headers of a delivery: one signature for each secret and key, those in use first.

    Some 15 us for a secret, 100 us for a key.
    """
    seconds = str(int(at.timestamp()))
    content = b".".join((id.encode(), seconds.encode(), body))
    signed = [f"v1,{_encoded(_hmac(secret, content))}" for secret in secrets_]
    signed += [f"v1a,{_encoded(_signer(key).sign(content))}" for key in keys]
    return {"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": " ".join(signed)}


def _hmac(secret: str, content: bytes) -> bytes:
    return hmac.digest(base64.b64decode(secret.removeprefix(_SHARED)), content, hashlib.sha256)


def _encoded(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


@lru_cache(maxsize=512)
def _signer(key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(key.removeprefix(_PRIVATE)))


__all__ = ["new_key", "new_secret", "public_key", "sign"]
