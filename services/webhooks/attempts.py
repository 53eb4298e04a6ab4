"""One attempt: an event is signed, sent, and what became of it is kept.

An attempt is made under a lease (`lanes.py`), noted after the answer. A process that dies in between has sent what
another one sends again, with the same `webhook-id`: at least once, as consumers are told.
"""

import importlib.metadata
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from firsthand.services.webhooks.guard import Guard
from firsthand.services.webhooks.metrics import metrics_of
from firsthand.services.webhooks.model import Attempt, Delivery, Endpoint
from firsthand.services.webhooks.model.delivery import Answer
from firsthand.services.webhooks.model.signatures import sign
from firsthand.services.webhooks.repository import Deliveries, Endpoints
from firsthand.services.webhooks.settings import webhook_settings
from firsthand.shared.events.webhooks import EndpointDisabledV1
from firsthand.shared.inputs import length_of
from firsthand.shared.service import Context, use_case
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.vault import Sealed

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
ANSWER_TO: Final = "firsthand-answer-to"
_AGENT: Final = f"Firsthand/{importlib.metadata.version('firsthand')} (webhooks)"
_GONE: Final = 410
_ASKS_TO_WAIT: Final = frozenset({429, 503})
_ABORT: Final = "abort-message"  # in the answer's header `webhook-delivery`, as Svix has it


class Sends(Protocol):
    """What carries a request out of the house (`sending.Sender`)."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What an attempt means for the endpoint: whether anything was taken, and how long it asks to be left alone."""

    taken: bool
    wait: timedelta | None = None


@dataclass(frozen=True)
class Target:
    """One version of an endpoint, with what is sealed in it opened."""

    endpoint: Endpoint
    opened: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)  # the institution's own

    @classmethod
    async def of(cls, context: Context, endpoint: Endpoint) -> "Target":
        """Raises KeyMissing, StoreUnavailable."""
        names = ("url", "secret", "key", "secret_before", "key_before", "headers")
        sealed: dict[str, Sealed] = {name: value for name in names if (value := getattr(endpoint, name)) is not None}
        opened = await context.vault.open_many(endpoint.institution, endpoint.id, sealed)
        return cls(endpoint, opened, json.loads(opened.get("headers", "{}")))

    def request(self, context: Context, delivery: Delivery, at: datetime) -> tuple[str, dict[str, str]]:
        """Give the address and the headers with which a delivery goes out at this moment."""
        valid = ("", "_before") if self.endpoint.previous_holds(at) else ("",)
        signed = sign(
            [self.opened["secret" + one] for one in valid],
            [self.opened["key" + one] for one in valid],
            id=delivery.event_id,
            at=at,
            body=delivery.payload,
        )
        asks = {ANSWER_TO: answer_address(context, self.endpoint, delivery)} if delivery.asks else {}
        headers = {**self.headers, "content-type": CONTENT_TYPE, "user-agent": _AGENT, **asks, **signed}
        return self.opened["url"], headers


async def attempt(
    context: Context, endpoint: Endpoint, delivery: Delivery, means: Callable[[], Awaitable[tuple[Sends, Target]]]
) -> Outcome:
    """Make one attempt and keep it, also when it is our own fault that it failed. Raises StoreUnavailable.

    `means`: gives what sends it, and the endpoint opened.
    """
    began = context.clock.now()
    try:
        sends, target = await means()
        url, headers = target.request(context, delivery, began)
        answer = await sends.send(url, headers, delivery.payload)
    except StoreUnavailable:
        raise
    except Exception:  # or it would be made again at once, and again
        context.log.exception("an attempt failed", extra={"endpoint": endpoint.id, "event": delivery.event_id})
        answer = Answer(error="internal")
    return await _note(context, endpoint, delivery, answer, began)


def guard_of(context: Context) -> Guard:
    """Give what says where this deployment sends webhooks to."""
    return context.own(_guard)


def _guard(context: Context) -> Guard:
    settings = webhook_settings()
    return Guard(settings.allowed, ports=frozenset(settings.ports), loopback=context.settings.address_is_loopback)


def answer_address(context: Context, endpoint: Endpoint, delivery: Delivery) -> str:
    """Give the address to which the consumer posts what it did; whoever has it may answer for this contact only."""
    place = (endpoint.institution, delivery.contact_id, endpoint.id)
    path = "/".join([*place, context.vault.mark("webhook answer", *place)])
    return f"{context.settings.address}/webhooks/api/v1/answers/{path}"


async def _note(context: Context, endpoint: Endpoint, delivery: Delivery, answer: Answer, began: datetime) -> Outcome:
    taken = answer.status is not None and 200 <= answer.status < 300  # noqa: PLR2004
    gone = answer.status == _GONE
    aborted = not taken and (gone or answer.headers.get("webhook-delivery", "").strip().lower() == _ABORT)
    ended = began + answer.duration
    wait = retry_after(answer, ended)
    made = Attempt(
        at=began,
        status=answer.status,
        milliseconds=int(answer.duration / timedelta(milliseconds=1)),
        error=answer.error or ("" if taken else "status"),
        answer=answer.text,
    )
    result = "delivered" if taken else "aborted" if aborted else made.error
    metrics_of(context).attempted(result, answer.duration.total_seconds())
    deliveries = Deliveries(context, delivery.institution)
    first = [delivery]

    @use_case
    async def note() -> None:
        # What was read before the attempt is what is stored, unless somebody changed it meanwhile.
        current = first.pop() if first else await deliveries.get(delivery.id)
        if current is None:
            return  # erased meanwhile
        if taken:
            current.note_taken(made)
        elif aborted:
            current.note_aborted(made)
        else:
            current.note_failed(made, ended_at=ended, wait=wait)
        await deliveries.save(current)

    await note()
    await _note_endpoint(context, endpoint, ended, taken=taken or (aborted and not gone), gone=gone)
    return Outcome(taken, wait if answer.status in _ASKS_TO_WAIT else None)


async def _note_endpoint(context: Context, endpoint: Endpoint, at: datetime, *, taken: bool, gone: bool) -> None:
    """Note a change of an endpoint's health; most attempts change nothing."""
    if taken and endpoint.failing_since is None and endpoint.taken_at is not None:
        return
    endpoints = Endpoints(context, endpoint.institution)

    @use_case
    async def note() -> None:
        current = await endpoints.get(endpoint.id)
        if current is None or not current.listed:
            return
        before = current.state
        noted = current.note_gone if gone else current.note_taken if taken else current.note_failed
        if noted(at):
            await endpoints.save(current, EndpointDisabledV1 if current.state != before else None)

    await note()


def retry_after(answer: Answer, at: datetime) -> timedelta | None:
    """Read how long a receiver that is busy asks to wait (RFC 9110: seconds, or a date); None if it does not say."""
    told = answer.headers.get("retry-after", "").strip()
    if answer.status not in _ASKS_TO_WAIT or not told:
        return None
    if (seconds := length_of(told)) is not None:
        return timedelta(seconds=min(seconds, 10**6))
    try:
        until = parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(until - at, timedelta()) if until.tzinfo else None


__all__ = ["ANSWER_TO", "CONTENT_TYPE", "Outcome", "Sends", "Target", "answer_address", "attempt", "retry_after"]
