"""The erasure ledger as a file: whose keys were destroyed, so that keys restored from a backup are destroyed again.

One JSON object a line: {"service", "institution", "owner", "erased_at"}. Ids and times, nothing personal.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import InstitutionId, InstitutionSlug
from firsthand.shared.settings import Settings
from firsthand.shared.store.opened import has_key_store, open_key_store
from firsthand.shared.vault import OwnerKey, destroy_key, erased_keys


class Entry(BaseModel):
    """One erasure by one service."""

    model_config = ConfigDict(frozen=True)

    service: str
    institution: InstitutionSlug
    owner: str
    erased_at: AwareDatetime


class NoLedger(Exception):  # noqa: N818 - says what is the case
    """There is no ledger, or the file is none; the message says where. Nothing was applied."""


def read(lines: Iterable[str], services: Sequence[str]) -> list[Entry]:
    """Read a ledger whole before any of it is applied. Raises NoLedger."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = Entry.model_validate_json(line)
        except ValidationError as error:
            raise NoLedger(f"line {number} is no entry of a ledger: {error.errors()[0]['msg']}") from error
        if entry.service not in services:
            raise NoLedger(f"line {number} is of a service “{entry.service}”, which there is not")
        entries.append(entry)
    return entries


async def erasures(settings: Settings, services: Sequence[str], clock: Clock) -> AsyncIterator[Entry]:
    """Go through all erasures that the key stores know. Raises StoreUnavailable, NoLedger where no key store lies."""
    there = [service for service in services if has_key_store(settings, service)]
    if not there:
        raise NoLedger(f"no key store lies in {settings.key_folder}: is FIRSTHAND_KEYS_DIR right?")
    for service in there:
        keys = await open_key_store(settings, service, clock)
        try:
            await keys.prepare([OwnerKey])
            for institution in await keys.institutions(OwnerKey):
                async for key in erased_keys(keys, institution):
                    at = key.erased_at or key.made_at
                    yield Entry(service=service, institution=institution, owner=key.id, erased_at=at)
        finally:
            await keys.close()


async def apply(entries: Sequence[Entry], settings: Settings, clock: Clock) -> int:
    """Destroy the keys that the ledger names and that are here again; gives how many. Raises StoreUnavailable."""
    destroyed = 0
    for service in sorted({entry.service for entry in entries}):
        keys = await open_key_store(settings, service, clock)
        try:
            await keys.prepare([OwnerKey])
            for entry in entries:
                if entry.service == service:
                    destroyed += await destroy_key(keys, InstitutionId(entry.institution), entry.owner, entry.erased_at)
            await keys.compact()
        finally:
            await keys.close()
    return destroyed
