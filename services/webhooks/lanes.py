"""Lanes: each endpoint's deliveries go out by one replica at a time, so that none waits for another endpoint's.

A replica takes an endpoint's lane when there is something to deliver, by a lease that it renews, and gives it back once
nothing has been due for a while. The lane of a replica that died is taken when its lease ends. One lane keeps what was
chosen for its endpoint: so many attempts at once, so many a second, and one after the other for each contact.
"""

import asyncio
import contextlib
import importlib
from collections import deque
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from firsthand.services.webhooks.attempts import Sends, Target, attempt, guard_of
from firsthand.services.webhooks.model import Delivery, Endpoint, Lane
from firsthand.services.webhooks.repository import Deliveries, Endpoints, Lanes
from firsthand.services.webhooks.settings import TIME_LIMIT, webhook_settings
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.service import Context
from firsthand.shared.store import AlreadyExists, Conflict, StoreUnavailable

_LEASE: Final = timedelta(seconds=15)
_RENEWED_EVERY: Final = timedelta(seconds=5)
# A lane in which nothing is due is kept for so long, and looked at so often: other replicas put in it, too.
_LINGER: Final = timedelta(seconds=5)
_LOOK_EVERY: Final = 1.0  # seconds
# Attempts in hand may take so long when the service stops; shorter than `shared.tasks.ended` waits.
_GRACE: Final = 2.0  # seconds
_AHEAD: Final = 32  # deliveries that are known beforehand, so that not each attempt asks the store
_OLD: Final = timedelta(seconds=1)  # after so long they are looked for again: something urgent may have come
_NEW: Final = timedelta(milliseconds=100)  # so long what was found is not looked up again
_LONGEST_WAIT: Final = timedelta(hours=1)  # for which one busy answer holds up everything to an endpoint
_AGAIN_AFTER: Final = 1.0  # seconds after the store could not be asked
_ORDER_KEPT: Final = timedelta(milliseconds=1)  # so long after the one before it
# Attempts at once in this process, beside the first one of each lane: many that hang take no place from the others.
_MOST_MORE: Final = 256


class Dispatch:
    """The lanes that this replica holds."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.id = new_id()
        self._sender: asyncio.Task[Sends] | None = None
        self.more_left = _MOST_MORE
        self._held: dict[str, _HeldLane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def sender(self) -> Sends:
        """Give what sends requests; it is loaded when there is something to send."""
        if self._sender is None or (self._sender.done() and self._sender.exception()):
            self._sender = asyncio.create_task(_sender(self.context), name="loading what sends webhooks")
        return await asyncio.shield(self._sender)

    async def wake(self, institution: InstitutionId, endpoint_id: str, *, urgent: bool = False) -> None:
        """Something was put into an endpoint's lane: deliver it here, unless another replica does. `urgent`: before
        what is known to wait.
        """
        if held := self._held.get(endpoint_id):
            held.wake(urgent=urgent)
        elif not self._stopping:
            await self._take(institution, endpoint_id)

    async def look(self, lane: Lane) -> None:
        """The timer of a lane: something is due in it, or the replica that held it is gone."""
        if held := self._held.get(lane.id):
            held.renew_now()  # a clock that was set ended the lease
        elif not self._stopping:
            await self._take(lane.institution, lane.id)

    async def _take(self, institution: InstitutionId, endpoint_id: str) -> None:
        lanes, now = Lanes(self.context, institution), self.context.clock.now()
        lane = await lanes.get(endpoint_id)
        if lane.is_held(now):
            return
        lane.hold(self.id, now, _LEASE)
        try:
            lane = await lanes.put(lane)
        except (Conflict, AlreadyExists):  # another replica took it, or another task here
            return
        held = self._held[endpoint_id] = _HeldLane(self, lane)
        task = asyncio.create_task(held.run(), name=f"lane {endpoint_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def give_back(self, lane: Lane) -> None:
        """Release a lane, and take it again if something came in between."""
        self._held.pop(lane.id, None)
        try:
            await self._give_back(lane)
        except StoreUnavailable as error:  # then it is taken when its lease ends
            self.context.log.warning("a lane was not given back: %s", error)

    async def _give_back(self, lane: Lane) -> None:
        lanes, deliveries = Lanes(self.context, lane.institution), Deliveries(self.context, lane.institution)
        active = await self._is_active(lane)
        lane.release(await deliveries.next_at(lane.id) if active else None)
        with contextlib.suppress(Conflict):  # the lease had ended: it is another replica's now
            await lanes.put(lane)
        # Whoever put something in, or resumed the endpoint, before this saw it held and left it to us.
        if await self._is_active(lane) and await deliveries.due(lane.id, self.context.clock.now(), 1):
            await self.wake(lane.institution, lane.id)

    async def _is_active(self, lane: Lane) -> bool:
        endpoint = await Endpoints(self.context, lane.institution).get(lane.id)
        return endpoint is not None and endpoint.state == "active"

    async def run(self) -> None:
        """Stand by until the service stops; then finish what is in hand, and give every lane back."""
        try:
            await asyncio.Event().wait()
        finally:
            self._stopping = True
            lanes = list(self._held.values())
            for held in lanes:
                held.stop()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GRACE)
            for held in lanes:
                held.abandon()
            if self._tasks:
                await asyncio.wait(self._tasks)
            if self._sender:
                with contextlib.suppress(Exception):  # none was made: the attempts said why
                    await (await self._sender).close()


class _HeldLane:
    """One endpoint's deliveries while this replica holds its lane."""

    def __init__(self, dispatch: Dispatch, lane: Lane) -> None:
        self._dispatch = dispatch
        self._context = dispatch.context
        self._lane = lane
        self._deliveries = Deliveries(dispatch.context, lane.institution)
        self._endpoints = Endpoints(dispatch.context, lane.institution)
        self._ahead: deque[Delivery] = deque()
        self._found_at = timedelta(0)  # when those ahead were, elapsed time
        self._target: Target | None = None
        self._contacts: dict[str, str] = {}  # deliveries in hand, with their contacts
        self._attempts: set[asyncio.Task[None]] = set()
        self._more = 0  # attempts beside the first one
        self._ended = False
        self._renew_at = self._elapsed() + _RENEWED_EVERY
        self._next_start = timedelta(0)  # by the rate limit, elapsed time
        self._wait_until = timedelta(0)  # the receiver asked for it, elapsed time
        self.woken = asyncio.Event()

    def stop(self) -> None:
        self._ended = True
        self.woken.set()

    def wake(self, *, urgent: bool) -> None:
        if urgent:
            self._ahead.clear()
        self.woken.set()

    def renew_now(self) -> None:
        self._renew_at = timedelta(0)
        self.woken.set()

    def abandon(self) -> None:
        """End the attempts in hand: they are made again, by whoever takes the lane."""
        for task in self._attempts:
            task.cancel()

    async def run(self) -> None:
        """Deliver what is due until nothing was for a while, then give the lane back."""
        try:
            idle_since = self._elapsed()
            while not self._ended and self._elapsed() - idle_since < _LINGER:
                self.woken.clear()
                try:
                    if await self._start_due() or self._attempts or self._elapsed() < self._held_off():
                        idle_since = self._elapsed()
                    await self._renew()
                except StoreUnavailable as error:
                    self._context.log.warning("deliveries wait for the store: %s", error)
                    await asyncio.sleep(_AGAIN_AFTER)
                    continue
                await self._pause()
            if self._attempts:
                await asyncio.wait(self._attempts)
        except Exception:  # the timer takes the lane again
            self._context.log.exception("a lane failed", extra={"endpoint": self._lane.id})
        finally:
            self.abandon()
            await self._dispatch.give_back(self._lane)

    async def _pause(self) -> None:
        """Wait for an attempt that ends, for something new, or for the next look."""
        left = (self._held_off() - self._elapsed()).total_seconds()
        within = min(_LOOK_EVERY, left) if left > 0 else _LOOK_EVERY
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.woken.wait(), within)

    def _held_off(self) -> timedelta:
        """Until when the receiver, or its rate limit, lets nothing begin, in elapsed time."""
        return max(self._wait_until, self._next_start)

    async def _start_due(self) -> bool:
        """Begin as many attempts as may run now. Returns whether any began. Raises StoreUnavailable."""
        endpoint = await self._endpoints.get(self._lane.id)
        if endpoint is None or endpoint.state != "active":
            self._ended = True  # paused, disabled or removed: what waits, waits, or goes with it
            return False
        began = False
        while len(self._attempts) < endpoint.parallel and self._elapsed() >= self._wait_until:
            if endpoint.a_second and self._elapsed() < self._next_start:
                break
            if (delivery := await self._next(endpoint)) is None:
                break
            if self._attempts and not self._dispatch.more_left:  # asked last, as other lanes take of it meanwhile
                self._ahead.appendleft(delivery)
                break
            if endpoint.a_second:
                self._next_start = max(self._next_start, self._elapsed()) + timedelta(seconds=1 / endpoint.a_second)
            self._begin(endpoint, delivery)
            began = True
        return began

    def _begin(self, endpoint: Endpoint, delivery: Delivery) -> None:
        self._contacts[delivery.id] = delivery.contact_id
        task = asyncio.create_task(self._attempt(endpoint, delivery), name=f"attempt {delivery.id}")
        self._attempts.add(task)
        task.add_done_callback(self._end)
        self._count_more()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._attempts.discard(task)
        self._count_more()
        self.woken.set()

    def _count_more(self) -> None:
        """Take, or give back, what this lane has in hand beside its first attempt."""
        more = max(0, len(self._attempts) - 1)
        self._dispatch.more_left += self._more - more
        self._more = more

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery) -> None:
        try:
            outcome = await attempt(self._context, endpoint, delivery, partial(self._means, endpoint))
            if outcome.wait:
                self._wait_until = self._elapsed() + min(outcome.wait, _LONGEST_WAIT)
        except StoreUnavailable as error:
            # It was sent and not noted, so it is sent again; not at once, or a full disk would send it without end.
            self._wait_until = self._elapsed() + timedelta(seconds=error.retry_after)
            self._context.log.warning("an attempt could not be kept, it is made again: %s", error)
        finally:
            self._contacts.pop(delivery.id, None)

    async def _means(self, endpoint: Endpoint) -> tuple[Sends, Target]:
        """Give what sends, and what is sealed in an endpoint, opened once for each version while the lane is held."""
        if self._target is None or self._target.endpoint.version != endpoint.version:
            self._target = await Target.of(self._context, endpoint)
        return await self._dispatch.sender(), self._target

    async def _next(self, endpoint: Endpoint) -> Delivery | None:
        """The next delivery that may go out now. Raises StoreUnavailable."""
        if not self._ahead or self._elapsed() - self._found_at > _OLD:
            in_hand = frozenset(self._contacts)  # now: one that ends while we look may be read as it was before
            due = await self._deliveries.due(endpoint.id, self._now(), _AHEAD + len(in_hand), but=in_hand)
            self._ahead = deque(due)
            self._found_at = self._elapsed()
        while self._ahead:
            known = self._ahead.popleft()
            if known.id in self._contacts:
                continue
            # It may have been erased, put off, or sent before its turn, since it was found.
            new = not endpoint.ordered and self._elapsed() - self._found_at < _NEW
            current = known if new else await self._deliveries.get(known.id)
            if current is None or current.next_at is None or current.next_at > self._now():
                continue
            if not endpoint.ordered:
                return current
            if (first := await self._first_of(current)) is not None:
                return first
        return None

    async def _first_of(self, delivery: Delivery) -> Delivery | None:
        """What is to go out now of a delivery's contact: itself, or what happened before it. None when that waits for
        its next attempt, or is in hand; the delivery then waits as well.
        """
        if delivery.contact_id in self._contacts.values():
            return None
        first = await self._deliveries.first_waiting(delivery.endpoint_id, delivery.contact_id)
        if first is None or first.id == delivery.id:
            return delivery
        if first.next_at is None or first.next_at <= self._now():
            return first
        delivery.next_at = first.next_at + _ORDER_KEPT
        with contextlib.suppress(Conflict):
            await self._deliveries.save(delivery)
        return None

    async def _renew(self) -> None:
        """Say that the lane is still held here. Raises StoreUnavailable."""
        if self._elapsed() < self._renew_at:
            return
        self._renew_at = self._elapsed() + _RENEWED_EVERY
        self._lane.hold(self._dispatch.id, self._now(), _LEASE)
        try:
            self._lane = await Lanes(self._context, self._lane.institution).put(self._lane)
        except Conflict:  # we were too slow, and another replica took it
            self._ended = True

    def _now(self) -> datetime:
        return self._context.clock.now()

    def _elapsed(self) -> timedelta:
        return self._context.clock.elapsed()


async def _sender(context: Context) -> Sends:
    # Loading aiohttp takes 0.2 s, in which the event loop goes on.
    sending = await asyncio.to_thread(importlib.import_module, "firsthand.services.webhooks.sending")
    settings = webhook_settings()
    sender: Sends = sending.Sender(
        guard_of(context), proxy=settings.proxy, ca_file=settings.ca_file, time_limit=TIME_LIMIT
    )
    return sender


def dispatch_of(context: Context) -> Dispatch:
    return context.own(Dispatch)


async def keep_delivering(context: Context) -> None:
    """Runs in the background."""
    await dispatch_of(context).run()


async def look_at_lane(context: Context, lane: Lane) -> None:
    """The timer of lanes."""
    await dispatch_of(context).look(lane)


__all__ = ["Dispatch", "dispatch_of", "keep_delivering", "look_at_lane"]
