"""The vault: personal fields sealed under a key per owner (a contact or a lead) and service; erasing destroys that key.

Data keys live in a store of their own, which backups of the data leave out, so that a restored backup opens nothing
that was erased. Keys are read for every use and never cached, so that an erasure by another replica holds from the
moment that it is stored (opening a field takes some 20 microseconds with SQLite, key and all).
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import ClassVar, Final, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AwareDatetime

from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import KEY_BYTES, Masters, derive
from firsthand.shared.store import AlreadyExists, Conflict, Document, Index, Store

# A personal field as a document keeps it: `v1.<base64url of nonce and ciphertext>`. Only the vault makes one.
Sealed = NewType("Sealed", str)

_PREFIX: Final = "v1."
_NONCE_BYTES: Final = 12


class VaultError(Exception):
    """A field cannot be sealed or opened."""


class KeyErased(VaultError):  # noqa: N818 - the field's word
    """The owner's key was destroyed: what it sealed cannot be read by anybody any more."""


class KeyMissing(VaultError):  # noqa: N818 - says what is the case
    """The owner has no key here and none was erased: the key store is not the one that belongs to this data."""


class WrongMasterKey(VaultError):  # noqa: N818 - says what is the case
    """The master key given to this process is not the one under which the owner's key was wrapped."""


class SealBroken(VaultError):  # noqa: N818 - says what is the case
    """The sealed text was changed, or belongs to another owner, field or institution."""


class OwnerKey(Document):
    """The wrapped data key of one owner (the document's id), or, erased, the entry of the erasure ledger."""

    kind: ClassVar[str] = "owner_key"
    indexes: ClassVar[tuple[Index, ...]] = (Index.on("erased"),)

    wrapped: str = ""  # base64url of nonce and ciphertext; empty once erased
    master: str = ""  # fingerprint of the deployment key in use when it was made
    made_at: AwareDatetime
    erased: bool = False
    erased_at: AwareDatetime | None = None


class Vault:
    """Seals and opens the personal fields of one service."""

    def __init__(self, keys: Store, masters: Masters, clock: Clock, *, service: str) -> None:
        self._keys = keys
        self._masters = masters
        self._clock = clock
        self._service = service

    async def seal(self, institution: InstitutionId, owner: str, field: str, text: str) -> Sealed:
        """Seal one field; the owner's first one makes the key. Raises KeyErased: what was erased stays so."""
        return (await self.seal_many(institution, owner, {field: text}))[field]

    async def open(self, institution: InstitutionId, owner: str, field: str, sealed: Sealed) -> str:
        """Open one field. Raises KeyErased, KeyMissing, SealBroken, WrongMasterKey."""
        return (await self.open_many(institution, owner, {field: sealed}))[field]

    async def seal_many(self, institution: InstitutionId, owner: str, texts: Mapping[str, str]) -> dict[str, Sealed]:
        """Seal several fields of one owner, by field, reading the key once."""
        cipher = AESGCM(await self._key_or_new(institution, owner))
        return {
            field: Sealed(_PREFIX + _encrypt(cipher, text.encode(), _bound(institution, owner, field)))
            for field, text in texts.items()
        }

    async def open_many(self, institution: InstitutionId, owner: str, fields: Mapping[str, Sealed]) -> dict[str, str]:
        """Open several fields of one owner, by field, reading the key once."""
        cipher = AESGCM(await self._key(institution, owner))
        return {field: _open_field(cipher, sealed, (institution, owner, field)) for field, sealed in fields.items()}

    async def media_key(self, institution: InstitutionId, owner: str) -> bytes:
        """Give the 32 bytes under which the owner's media are sealed, made on first use. Raises KeyErased."""
        return derive(await self._key_or_new(institution, owner), "firsthand media v1")

    async def erase(self, institution: InstitutionId, owner: str) -> None:
        """Destroy the owner's key for good and note it in the ledger. Also without a key, also twice."""
        await destroy_key(self._keys, institution, owner, self._clock.now())
        await self._keys.compact()  # also when it was erased before: a crash may have come between the two

    async def erased(self, institution: InstitutionId) -> list[str]:
        """List the owners whose keys were destroyed: the erasure ledger, applied after a restore of data."""
        return [key.id async for key in erased_keys(self._keys, institution)]

    def mark(self, *parts: str) -> str:
        """Make a keyed mark (HMAC-SHA256, 64 hexadecimal digits): the same for the same parts, on this deployment."""
        return hmac.new(self._masters.mark_key, _bound(*parts), hashlib.sha256).hexdigest()

    async def check(self) -> list[str]:
        """Tell in plain sentences which institutions' keys the master keys do not fit; empty when all is well."""
        problems: list[str] = []
        for institution in await self._keys.institutions(OwnerKey):
            page = await self._keys.collection(OwnerKey, institution).find({"erased": False}, limit=1)
            for key in page.items:
                if key.master != self._masters.fingerprint:
                    problems.append(
                        f"The deployment key is not the one with which the keys of {institution} were made."
                    )
                    continue
                try:
                    self._unwrap(key)
                except WrongMasterKey as error:
                    problems.append(str(error))
        return problems

    async def _key(self, institution: InstitutionId, owner: str) -> bytes:
        key = await self._keys.collection(OwnerKey, institution).get(owner)
        if key is None:
            raise KeyMissing(f"there is no key for {owner} in the key store of {self._service}")
        return self._unwrap(key)

    async def _key_or_new(self, institution: InstitutionId, owner: str) -> bytes:
        keys = self._keys.collection(OwnerKey, institution)
        key = await keys.get(owner)
        if key is None:
            try:
                key = await keys.insert(self._new(institution, owner))
            except AlreadyExists:  # another replica was first: its key counts
                return await self._key(institution, owner)
        return self._unwrap(key)

    def _new(self, institution: InstitutionId, owner: str) -> OwnerKey:
        cipher = AESGCM(self._masters.wrapping_key(institution))
        wrapped = _encrypt(cipher, os.urandom(KEY_BYTES), _bound(institution, owner, self._service))
        return OwnerKey(
            id=owner,
            institution=institution,
            wrapped=wrapped,
            master=self._masters.fingerprint,
            made_at=self._clock.now(),
        )

    def _unwrap(self, key: OwnerKey) -> bytes:
        if key.erased:
            raise KeyErased(f"the key of {key.id} was erased")
        cipher = AESGCM(self._masters.wrapping_key(key.institution))
        try:
            return _decrypt(cipher, key.wrapped, _bound(key.institution, key.id, self._service))
        except InvalidTag:
            raise WrongMasterKey(
                f"The key of {key.institution} given to {self._service} does not open what it sealed before. "
                "Give back the deployment key, or the institution's own key, that was in use then."
            ) from None


async def erased_keys(keys: Store, institution: InstitutionId) -> AsyncIterator[OwnerKey]:
    """Go through the tombstones of one institution, in flat memory."""
    after: str | None = None
    while True:
        page = await keys.collection(OwnerKey, institution).find({"erased": True}, limit=500, after=after)
        for key in page.items:
            yield key
        if (after := page.next) is None:
            return


async def destroy_key(keys: Store, institution: InstitutionId, owner: str, at: datetime) -> bool:
    """Put a tombstone in the place of an owner's key, also of none. False if one stands there already.

    The store's `compact` is to follow.
    """
    of_institution = keys.collection(OwnerKey, institution)
    while True:
        key = await of_institution.get(owner)
        try:
            if key is None:
                tombstone = OwnerKey(id=owner, institution=institution, made_at=at, erased=True, erased_at=at)
                await of_institution.insert(tombstone)
            elif key.erased:
                return False
            else:
                await of_institution.save(key.model_copy(update={"wrapped": "", "erased": True, "erased_at": at}))
        except (AlreadyExists, Conflict):  # another replica sealed or erased at this moment: look again
            continue
        return True


def _bound(*parts: str) -> bytes:
    """Join parts so that no two different lists give the same bytes: each one after its length."""
    encoded = (part.encode() for part in parts)
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _encrypt(cipher: AESGCM, plain: bytes, bound: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.urlsafe_b64encode(nonce + cipher.encrypt(nonce, plain, bound)).rstrip(b"=").decode()


def _decrypt(cipher: AESGCM, text: str, bound: bytes) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
    except (binascii.Error, ValueError) as error:  # not even of the right shape
        raise InvalidTag from error


def _open_field(cipher: AESGCM, sealed: Sealed, bound: tuple[str, str, str]) -> str:
    if not sealed.startswith(_PREFIX):
        raise SealBroken(f"the field {bound[2]} of {bound[1]} is not sealed in a known way")
    try:
        return _decrypt(cipher, sealed.removeprefix(_PREFIX), _bound(*bound)).decode()
    except InvalidTag:
        raise SealBroken(f"the field {bound[2]} of {bound[1]} was changed or belongs elsewhere") from None
