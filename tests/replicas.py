"""Several replicas of a service in one process, before one database: here a SQLite file, opened once for all of them.

Each replica has the store as a process of its own would have it: it is told of its own saves and of nobody else's, and
closing it closes nothing for the others.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from firsthand.shared.clock import Clock
from firsthand.shared.events import AnyEvent
from firsthand.shared.settings import Settings
from firsthand.shared.store import Document, Store
from firsthand.shared.store.opened import open_key_store, open_store


class Seat:
    """One replica's place before a store that it shares."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.wakes: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def collection(self, kind: type[Document], institution: str) -> Any:
        return _Collection(self.store.collection(kind, institution), self)  # type: ignore[arg-type]

    def on_outbox(self, wake: Callable[[], None]) -> None:
        self.wakes.append(wake)

    async def close(self) -> None:
        """Leave; the others stay."""


class _Collection:
    def __init__(self, collection: Any, seat: Seat) -> None:
        self._collection = collection
        self._seat = seat

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert(self, document: Document, event: AnyEvent | None = None) -> Any:
        return self._told(await self._collection.insert(document, event), event)

    async def save(self, document: Document, event: AnyEvent | None = None) -> Any:
        return self._told(await self._collection.save(document, event), event)

    def _told(self, stored: Document, event: AnyEvent | None) -> Document:
        if event:
            for wake in self._seat.wakes:
                wake()
        return stored


@asynccontextmanager
async def shared_stores() -> AsyncIterator[None]:
    """Let all deployments that begin in here share a service's two stores."""
    opened: dict[tuple[str, str], Store] = {}

    def sharing(what: str, open_it: Any) -> Any:
        async def sit_down(settings: Settings, service: str, clock: Clock) -> Seat:
            if (what, service) not in opened:
                opened[what, service] = await open_it(settings, service, clock)
            return Seat(opened[what, service])

        return sit_down

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firsthand.shared.deployment.open_store", sharing("documents", open_store))
        patch.setattr("firsthand.shared.deployment.open_key_store", sharing("keys", open_key_store))
        try:
            yield
        finally:
            for store in opened.values():
                await store.close()
