"""One durable, pulled: many events in work at once, one slow one holds no other, an idle one costs nothing.

FastStream's pull loop asks for a batch, handles it and asks again, and cannot tell a durable that is gone from one
that is quiet; docs/decisions/0019-faststream.md has the figures. This one keeps a long request open on the broker's own
connection and asks for more as room appears.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from firsthand.shared.bus.room import Room
from firsthand.shared.tasks import ended

ROOM: Final = 128  # events of one durable here at once; how many of all are in work, `Room` says
_EXPIRES: Final = 30.0  # seconds that one request stays open
_HEARTBEAT: Final = 10.0  # seconds; the server says so often that the request is still open
_SILENCE: Final = 2.5 * _HEARTBEAT  # seconds without a word, after which the request is taken for lost
_LOOK_AGAIN: Final = 1.0  # seconds between two looks for a durable that is gone
_FLUSH_WITHIN: Final = 5.0  # seconds


Deliver = Callable[[Msg], Coroutine[Any, Any, object]]


class Pull:
    """Consumes one durable until it is stopped."""

    def __init__(
        self, client: Client, stream: str, durable: str, deliver: Deliver, log: logging.Logger, *, room: Room
    ) -> None:
        """`room`: of the process, where each event waits for its place."""
        self._client = client
        self._stream = stream
        self._durable = durable
        self._deliver = deliver
        self._log = log
        self._room = room
        self._in_hand: dict[asyncio.Task[object], tuple[Msg, float]] = {}
        self._asked = 0  # events that the server may still send us without being asked again
        self._heard = 0.0
        self._last: Msg | None = None  # begun last
        self._doubt = False  # the server refused a request: look whether the durable is there
        self._wake = asyncio.Event()
        self._stopping = False
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._asking: asyncio.Task[None] | None = None
        self.missing = False

    @property
    def name(self) -> str:
        return self._durable

    async def start(self) -> None:
        self._subscription = await self._client.subscribe(self._inbox, cb=self._receive)
        self._asking = asyncio.create_task(self._keep_asking(), name=f"pull {self._durable}")

    async def stop(self, grace: float) -> None:
        """Ask for no more, give back what nobody has begun, finish what is in hand; after `grace` seconds cancel it."""
        self._stopping = True
        if self._asking:
            await ended([self._asking])
        if self._subscription:
            # What the server had sent before it heard of this passes through _receive, which gives it back.
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await asyncio.wait_for(self._subscription.drain(), _FLUSH_WITHIN)  # type: ignore[no-untyped-call]
        if self._in_hand:
            _, unfinished = await asyncio.wait(self._in_hand, timeout=grace)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    def asked_in_vain(self) -> None:
        """Forget open requests: the connection was lost and they with it."""
        self._asked = 0
        self._wake.set()

    def behind(self) -> int:
        """Tell how many events waited on the server when the last one in hand was given; 0 when none is in hand.

        A count, as times would be of two clocks. What is given again has waited for a reason and says nothing.
        """
        if self._last is None or not self._in_hand:
            return 0
        meta = self._last.metadata
        return meta.num_pending if meta.num_delivered == 1 else 0

    async def say_working(self, longer_than: float) -> None:
        """Tell the server of what is in hand for `longer_than` seconds, so that it does not take it back."""
        now = time.monotonic()
        for message, since in list(self._in_hand.values()):
            if now - since >= longer_than and not message.is_acked:
                await message.in_progress()

    async def _keep_asking(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._doubt:
                    await self._look_for_durable()
                await self._ask()
            except (nats.errors.Error, OSError, TimeoutError):
                self._asked = 0  # not connected; a reconnect wakes us
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN if self._doubt else _SILENCE):
                    await self._wake.wait()
            if time.monotonic() - self._heard >= _SILENCE:
                self._asked = 0

    async def _ask(self) -> None:
        room = ROOM - len(self._in_hand) - self._asked
        if self._doubt or room < (ROOM // 2 if self._asked else 1):
            return
        self._asked += room
        self._heard = time.monotonic()
        request = {"batch": room, "expires": int(_EXPIRES * 1e9), "idle_heartbeat": int(_HEARTBEAT * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=self._inbox)

    async def _look_for_durable(self) -> None:
        try:
            await self._client.jetstream().consumer_info(self._stream, self._durable)
        except nats.js.errors.NotFoundError:
            if not self.missing:
                self._log.error("durable is gone; nothing is consumed", extra={"durable": self._durable})
            self.missing = True
            return
        if self.missing:
            self._log.info("durable is there again", extra={"durable": self._durable})
        self.missing = self._doubt = False
        self._asked = 0

    async def _receive(self, message: Msg) -> None:
        self._heard = time.monotonic()
        if not message.reply:
            self._take_status(message.headers or {})
        elif self._stopping:
            await message.nak()
        else:
            self._asked = max(0, self._asked - 1)
            task = asyncio.create_task(self._work(message))
            self._in_hand[task] = (message, self._heard)
            task.add_done_callback(self._finished)

    async def _work(self, message: Msg) -> None:
        place = self._room.take()
        if place is None:
            try:
                place = await self._room.enter()
            except asyncio.CancelledError:
                await message.nak()
                raise
        try:
            if self._stopping:
                await message.nak()
            else:
                self._last = message
                await self._deliver(message)
        finally:
            self._room.leave(place)

    def _take_status(self, headers: dict[str, str]) -> None:
        """Act on what the server says of a request. 100: open; 404, 408: ended in peace; else refused."""
        status = headers.get("Status", "")
        if status == "100":
            return
        self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages", self._asked)))
        if status not in {"404", "408"}:
            self._asked = 0
            self._doubt = True
        self._wake.set()

    def _finished(self, task: asyncio.Task[object]) -> None:
        del self._in_hand[task]
        if not task.cancelled() and (error := task.exception()):
            # Settling itself failed, as when the connection closes: the server gives the event again after ACK_WAIT.
            self._log.warning("event was not settled", extra={"durable": self._durable, "error": type(error).__name__})
        if ROOM - len(self._in_hand) - self._asked >= ROOM // 2:
            self._wake.set()
