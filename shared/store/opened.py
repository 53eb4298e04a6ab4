"""Which adapter a service's documents and its contacts' keys are kept with: the one place that chooses."""

from pathlib import Path

from firsthand.shared.clock import Clock
from firsthand.shared.settings import Settings
from firsthand.shared.store import Store
from firsthand.shared.store.sqlite import SqliteStore


async def open_store(settings: Settings, service: str, clock: Clock) -> Store:
    """Open a service's documents: in MongoDB where an address is set, else in a file. Raises StoreUnavailable."""
    if settings.mongo_url:
        from firsthand.shared.store.mongo import MongoStore  # a driver that nobody loads who keeps files

        return await MongoStore.open(settings.mongo_url, service, clock)
    return await SqliteStore.open(store_file(settings, service), clock)


async def open_key_store(settings: Settings, service: str, clock: Clock) -> Store:
    """Open the keys of a service's contacts, which lie apart from what they open. Raises StoreUnavailable."""
    if url := settings.keys_mongo_url or settings.mongo_url:
        from firsthand.shared.store.mongo import MongoStore

        return await MongoStore.open(url, f"{service}_keys", clock)
    return await SqliteStore.open(key_store_file(settings, service), clock, remembers=False)


def store_file(settings: Settings, service: str) -> Path:
    return settings.databases / f"{service}.db"


def key_store_file(settings: Settings, service: str) -> Path:
    return settings.key_folder / f"{service}.db"


def has_key_store(settings: Settings, service: str) -> bool:
    """Tell whether opening the keys makes no new file. In MongoDB there is no such difference."""
    return bool(settings.keys_mongo_url or settings.mongo_url) or key_store_file(settings, service).exists()
