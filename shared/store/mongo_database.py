"""One service's database in MongoDB at work: every operation passes here, is counted, and fails in our words."""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from typing import Any, Final

import pymongo.errors as mongo_errors
from bson.errors import InvalidDocument

from firsthand.shared.clock import Clock
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.mongo_client import Address, Driver, disconnect, in_our_words
from firsthand.shared.store.mongo_shape import URGENT_BELOW

# A kept count (`Document.counts`) of fewer documents is counted each time, some milliseconds of an index.
COUNTED_EACH_TIME: Final = 5_000
_REMEMBERED_FOR: Final = 10.0  # seconds, and ten times what the counting took if that is longer
_REMEMBERED_MOST: Final = 1_000  # the oldest is forgotten first


class Database:
    """The connections to one database from here to `close`; other processes may hold it as well."""

    def __init__(self, address: Address, name: str, clock: Clock, driver: Driver) -> None:
        self.address = address
        self.name = name
        self._clock = clock
        self._driver = driver
        self._client = address.connect(driver)
        self._wakes: list[Callable[[], None]] = []
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._order = 0
        self._counts: OrderedDict[Hashable, _Remembered] = OrderedDict()

    @contextlib.contextmanager
    def work(self) -> Iterator[Any]:
        """Give the driver's database for one operation. Raises StoreUnavailable; ValueError for what is too large."""
        if self._closed:
            raise StoreUnavailable(f"{self.name} is closed")
        self._in_hand += 1
        self._idle.clear()
        try:
            yield self._client[self.name]
        except mongo_errors.DuplicateKeyError:
            raise
        except InvalidDocument as error:
            raise ValueError("the document is larger than the 16 MiB that MongoDB takes") from error
        except mongo_errors.PyMongoError as error:
            raise in_our_words(error, self.address.hosts) from error
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def patient_work(self) -> AsyncIterator[Any]:
        """Give the database without a limit of time, for making indexes. Raises StoreUnavailable."""
        client = self.address.connect(self._driver, patient=True)
        try:
            with self.work():
                yield client[self.name]
        finally:
            await disconnect(client)

    def next_order(self, *, urgent: bool) -> int:
        """Give a save its place in the order of saves, later than any that this process gave before."""
        self._order = max(self._order + 1, int(self._clock.now().timestamp() * 1_000_000))
        return max(1, self._order - URGENT_BELOW) if urgent else self._order

    async def remembered(self, question: Hashable, count: Callable[[], Awaitable[int]]) -> int:
        """Give a large count as this process last counted it; counted again when that is some seconds ago, once for
        all who ask meanwhile.
        """
        found = self._counts.get(question)
        if found is None or found.until < time.monotonic() or found.failed():
            found = _Remembered(asyncio.ensure_future(self._timed(count)))
            self._counts[question] = found
            self._counts.move_to_end(question)
            while len(self._counts) > _REMEMBERED_MOST:
                self._counts.popitem(last=False)
        number, took = await asyncio.shield(found.counting)
        found.until = min(found.until, found.began + took + max(_REMEMBERED_FOR, 10 * took))
        return number

    async def _timed(self, count: Callable[[], Awaitable[int]]) -> tuple[int, float]:
        began = time.monotonic()
        return await count(), time.monotonic() - began

    def on_event_left(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def event_left(self) -> None:
        for wake in self._wakes:
            wake()

    async def close(self) -> None:
        """Take no more work, finish what is in hand, close."""
        if self._closed:
            return
        self._closed = True
        await self._idle.wait()
        await disconnect(self._client)


class _Remembered:
    """A count under way, or counted."""

    def __init__(self, counting: "asyncio.Future[tuple[int, float]]") -> None:
        self.counting = counting
        self.began = time.monotonic()
        self.until = math.inf  # until it is counted

    def failed(self) -> bool:
        return self.counting.done() and (self.counting.cancelled() or self.counting.exception() is not None)
