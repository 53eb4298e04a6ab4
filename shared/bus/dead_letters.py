"""Events that a handler could not take: kept with the reason, listed, shown, given again, or discarded."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from firsthand.shared.bus.delivery import ORIGINAL_SUBJECT, published_on
from firsthand.shared.topology import DEAD_LETTERS, dead_letter_subject, replay_durable, replay_subject

_PREFIX = "Firsthand-"
_RUBBISH = "this is no dead letter of a handler"


@dataclass(frozen=True)
class DeadLetter:
    """One event of one handler. `number` names it in the commands."""

    number: int
    service: str
    handler: str
    placement: str
    reason: str
    stream: str  # where the event was
    sequence: int
    subject: str
    deliveries: int
    at: datetime  # when it was given up
    body: bytes


class NoSuchDeadLetter(LookupError):  # noqa: N818 - says what is the case
    """There is none of this number: it was replayed or discarded, or never was."""


async def bury(
    js: JetStreamContext, message: Msg, reason: str, *, placement: str, service: str, handler: str, at: datetime
) -> None:
    """Keep a message as a dead letter. Keeping the same delivery's message twice keeps it once."""
    meta = message.metadata
    headers = {
        "Nats-Msg-Id": f"{placement}.{service}.{handler}.{meta.stream}.{meta.sequence.stream}",
        f"{_PREFIX}Placement": placement,
        f"{_PREFIX}Reason": " ".join(reason.split()),
        f"{_PREFIX}Stream": meta.stream,
        f"{_PREFIX}Sequence": str(meta.sequence.stream),
        ORIGINAL_SUBJECT: published_on(message),
        f"{_PREFIX}Deliveries": str(meta.num_delivered),
        f"{_PREFIX}Time": at.isoformat(),
    }
    await js.publish(dead_letter_subject(service, handler), message.data, headers=headers, stream=DEAD_LETTERS)


class DeadLetters:
    """The dead letters of all services."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js

    async def list(self, service: str = "*") -> AsyncIterator[DeadLetter]:
        """Go through them, the oldest first; those of one service, or all."""
        number = 0
        while True:
            try:
                raw = await self._js.get_msg(
                    DEAD_LETTERS, seq=number + 1, subject=f"fh.dead.{service}.*", next=True, direct=True
                )
            except nats.js.errors.NotFoundError:
                return
            letter = _letter(raw)
            number = letter.number
            yield letter

    async def oldest(self) -> Sequence[tuple[DeadLetter, int]]:
        """Give the oldest of each handler, with how many it has."""
        info = await self._js.stream_info(DEAD_LETTERS, subjects_filter="fh.dead.>")
        found = []
        for subject, count in sorted((info.state.subjects or {}).items()):
            raw = await self._js.get_msg(DEAD_LETTERS, seq=1, subject=subject, next=True, direct=True)
            found.append((_letter(raw), count))
        return found

    async def show(self, number: int) -> DeadLetter:
        """Read one. Raises NoSuchDeadLetter."""
        if number < 1:  # the server takes 0 for “no number”
            raise NoSuchDeadLetter(f"There is no dead letter {number}.")
        try:
            raw = await self._js.get_msg(DEAD_LETTERS, seq=number, direct=True)
        except nats.js.errors.NotFoundError as error:
            raise NoSuchDeadLetter(f"There is no dead letter {number}.") from error
        if not (raw.subject or "").startswith("fh.dead."):
            raise NoSuchDeadLetter(f"There is no dead letter {number}.")
        return _letter(raw)

    async def replay(self, number: int) -> None:
        """Give it to its handler once more, which may make it a new dead letter. Raises NoSuchDeadLetter."""
        letter = await self.show(number)
        if not letter.subject:
            raise NoSuchDeadLetter(f"Dead letter {number} was left by nobody's handler; it can only be discarded.")
        try:
            await self._js.consumer_info(DEAD_LETTERS, replay_durable(letter.placement, letter.service))
        except nats.js.errors.NotFoundError as error:
            raise NoSuchDeadLetter(
                f"Nobody would be given dead letter {number}: its placement {letter.placement} has been removed. Apply "
                "the topology for that placement again, or discard the letter."
            ) from error
        subject = replay_subject(letter.placement, letter.service, letter.handler)
        headers = {"Nats-Msg-Id": f"replay.{number}", ORIGINAL_SUBJECT: letter.subject}
        await self._js.publish(subject, letter.body, headers=headers, stream=DEAD_LETTERS)
        await self.discard(number)

    async def discard(self, number: int) -> None:
        """Remove it for good. Raises NoSuchDeadLetter."""
        await self.show(number)
        await self._js.delete_msg(DEAD_LETTERS, number)


def _letter(raw: RawStreamMsg) -> DeadLetter:
    """Read one. A user of the server can leave anything among them; it must hide nothing."""
    headers = raw.headers or {}
    service, handler, *_ = [*(raw.subject or "").split(".")[2:], "", ""]
    try:
        return DeadLetter(
            number=raw.seq or 0,
            service=service,
            handler=handler,
            placement=headers[f"{_PREFIX}Placement"],
            reason=headers[f"{_PREFIX}Reason"],
            stream=headers[f"{_PREFIX}Stream"],
            sequence=int(headers[f"{_PREFIX}Sequence"]),
            subject=headers[ORIGINAL_SUBJECT],
            deliveries=int(headers[f"{_PREFIX}Deliveries"]),
            at=datetime.fromisoformat(headers[f"{_PREFIX}Time"]),
            body=raw.data or b"",
        )
    except (KeyError, ValueError):
        never = datetime.fromtimestamp(0, UTC)
        return DeadLetter(raw.seq or 0, service, handler, "", _RUBBISH, "", 0, "", 0, never, raw.data or b"")
