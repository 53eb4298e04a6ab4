"""Publishing: many events as one atomic batch of the server's, few of them singly, all in flight at once.

An atomic batch (nats-server 2.12 and later, streams with `allow_atomic`) is in the stream as a whole or not at all. It
costs the server about 3 ms, whatever its size, so it pays from some 24 events: docs/decisions/0022-relay-by-batches.md.
It is refused when one of its ids is known already. So whatever may be in the stream goes singly: there the server says
for each event that it has it.

nats-py publishes no batches, and its futures never hear of a refusal: the error is raised where nobody waits for it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic_core import from_json

from firsthand.shared.identifiers import new_id
from firsthand.shared.store import OutboxEntry

CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_FROM: Final = 24  # events
_BATCH_BYTES: Final = 4 * 1024 * 1024  # what is larger goes singly
_WITHIN: Final = 5.0  # seconds for an answer
_BREATHE_EVERY: Final = 32  # events, after which others have the event loop
_LOOK_AGAIN: Final = 60.0  # seconds for which it is believed whether the stream takes batches
# Seconds without batches after a refusal, or no answer: something in the outbox is known to the server, as when another
# replica publishes the same one, and would be refused again.
_APART: Final = 5.0
_NO_RESPONDERS: Final = "503"


@dataclass(frozen=True)
class Answer:
    """What the server said. `sequence` None: it does not have the event, and `refusal` says why; or nobody knows."""

    sequence: int | None = None
    refusal: str = ""
    count: int = 1  # events of a batch; 1 from a server that knows no batches


_UNKNOWN: Final = Answer()


class Publisher:
    """Publishes one service's events to its stream."""

    def __init__(self, client: Client, stream: str, log: logging.Logger, *, batch_from: int = BATCH_FROM) -> None:
        """`batch_from`: so many events, or more, go together."""
        self._batch_from = batch_from
        self._client = client
        self._stream = stream
        self._log = log
        self._inbox = client.new_inbox()
        self._subscribing: asyncio.Task[Subscription] | None = None
        self._waiting: dict[str, asyncio.Future[Answer]] = {}  # by the token in the answer's subject
        self._number = 0
        self._losses = 0  # of the connection
        self._takes_batches = False
        self._looked_at = -_LOOK_AGAIN
        self._apart_until = 0.0

    async def publish(self, entries: Sequence[OutboxEntry]) -> list[int | None]:
        """Publish in this order; tells for each its stream sequence, None where it is not known to be in the stream."""
        await self._subscribed()
        if len(entries) >= self._batch_from and await self._may_go_together(entries):
            sequences = await self._together(entries)
            if sequences is not None:
                return sequences
        return await self._singly(entries)

    def disconnected(self) -> None:
        """Wait for no answer any more: none comes. And send nothing after what was lost, which would overtake it."""
        self._losses += 1
        for future in self._waiting.values():
            future.cancel()

    async def _subscribed(self) -> None:
        """Hear answers. Two may ask at once; one that could not be answered asks again."""
        if self._subscribing is None or (self._subscribing.done() and self._subscribing.exception()):
            self._subscribing = asyncio.create_task(self._client.subscribe(f"{self._inbox}.*", cb=self._take))
        await asyncio.shield(self._subscribing)

    async def _may_go_together(self, entries: Sequence[OutboxEntry]) -> bool:
        now = time.monotonic()
        if now < self._apart_until or sum(len(entry.body) for entry in entries) > _BATCH_BYTES:
            return False
        if now - self._looked_at >= _LOOK_AGAIN:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                config = (await self._client.jetstream().stream_info(self._stream)).config
                self._takes_batches, self._looked_at = bool(config.allow_atomic), now
        return self._takes_batches

    async def _together(self, entries: Sequence[OutboxEntry]) -> list[int | None] | None:
        """Publish all or nothing. None when they are to go singly: the server has none of them, or knows no batches."""
        batch, last, losses = new_id(), len(entries), self._losses
        answer: asyncio.Future[Answer] | None = None
        with contextlib.suppress(nats.errors.Error, OSError):
            for number, entry in enumerate(entries, 1):
                if self._losses > losses or not self._client.is_connected:
                    return [None] * last  # uncommitted, the server forgets it
                headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                if number == last:
                    answer = await self._send(entry, headers | {"Nats-Batch-Commit": "1"}, answered=True)
                else:
                    await self._send(entry, headers)
                if number % _BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
        if answer is None:
            return [None] * last
        (told,) = await self._answers([answer])
        if told.sequence is not None and told.count == last:
            return [told.sequence - last + number for number in range(1, last + 1)]
        if told.sequence is not None:  # a server of an older release: it took each message by itself
            self._takes_batches = False
            return None
        self._apart_until = time.monotonic() + _APART
        if told is _UNKNOWN:
            return [None] * last
        self._log.info("a batch goes singly", extra={"stream": self._stream, "reason": told.refusal})
        return None

    async def _singly(self, entries: Sequence[OutboxEntry]) -> list[int | None]:
        futures: list[asyncio.Future[Answer]] = []
        losses = self._losses
        with contextlib.suppress(nats.errors.Error, OSError):
            for number, entry in enumerate(entries, 1):
                if self._losses > losses or not self._client.is_connected:
                    break  # else it is kept in memory and sent when we are back, whoever published it meanwhile
                answer = await self._send(entry, {}, answered=True)
                assert answer
                futures.append(answer)
                if number % _BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
        answers = await self._answers(futures)
        if refusals := [answer.refusal for answer in answers if answer.refusal]:
            self._log.error("the server refuses events", extra={"stream": self._stream, "reason": refusals[-1]})
        sequences = [answer.sequence for answer in answers]
        return [*sequences, *[None] * (len(entries) - len(sequences))]

    async def _send(
        self, entry: OutboxEntry, headers: dict[str, str], *, answered: bool = False
    ) -> asyncio.Future[Answer] | None:
        headers |= {
            "Nats-Msg-Id": entry.event_id,
            "Nats-Expected-Stream": self._stream,
            "Content-Type": CONTENT_TYPE,
        }
        if not answered:
            await self._client.publish(entry.nats_subject, entry.body, headers=headers)
            return None
        self._number += 1
        token = str(self._number)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        future.add_done_callback(lambda _: self._waiting.pop(token, None))
        try:
            await self._client.publish(entry.nats_subject, entry.body, reply=f"{self._inbox}.{token}", headers=headers)
        except BaseException:
            future.cancel()
            raise
        return future

    async def _answers(self, futures: Sequence[asyncio.Future[Answer]]) -> list[Answer]:
        try:
            if futures:
                await asyncio.wait(futures, timeout=_WITHIN)
        finally:
            known = [future.result() if future.done() and not future.cancelled() else _UNKNOWN for future in futures]
            for future in futures:
                future.cancel()
        return known

    async def _take(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(_answer_in(message))


def _answer_in(message: Msg) -> Answer:
    if (message.headers or {}).get("Status") == _NO_RESPONDERS:
        return Answer(refusal="there is no such stream")
    try:
        told: dict[str, Any] = from_json(message.data)
        if "error" in told:
            error = told["error"]
            return Answer(refusal=f"{error.get('description', '')} ({error.get('err_code', error.get('code'))})")
        return Answer(int(told["seq"]), count=int(told.get("count", 1)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(refusal="an answer that cannot be read")


__all__ = ["BATCH_FROM", "CONTENT_TYPE", "Answer", "Publisher"]
