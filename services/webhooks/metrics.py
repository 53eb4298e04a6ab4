"""What webhooks tells Prometheus. Each replica tells of all that the store holds, and of the attempts of its own."""

import asyncio
from datetime import timedelta
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from firsthand.services.webhooks.model import Endpoint
from firsthand.services.webhooks.model.recipients import REMINDED_AFTER
from firsthand.services.webhooks.repository import AllRecipients, Deliveries, Endpoints
from firsthand.shared.service import Context
from firsthand.shared.store import StoreUnavailable

_EVERY: Final = 15.0  # seconds
_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
# An answer that is owed for longer than until the institution is reminded is overdue.
_OVERDUE: Final = REMINDED_AFTER[-1]
AGES: Final = {"0s": timedelta(), "1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
STATES: Final = ("active", "failing", "paused", "disabled")


class WebhookMetrics:
    """The metrics of webhooks, in the registry of its context."""

    def __init__(self, context: Context) -> None:
        registry = context.metrics.registry
        self._attempts = Counter(
            "firsthand_webhook_attempts", "Attempts by what became of them", ("result",), registry=registry
        )
        self._seconds = Histogram(
            "firsthand_webhook_attempt_seconds", "Seconds of one attempt", buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge(
            "firsthand_webhook_waiting", "Deliveries that wait for at least so long", ("age",), registry=registry
        )
        self._endpoints = Gauge(
            "firsthand_webhook_endpoints", "Endpoints by how they fare", ("state",), registry=registry
        )
        self._overdue = Gauge(
            "firsthand_webhook_answers_overdue",
            "Contacts for whom a consumer owes an answer for more than a week",
            registry=registry,
        )

    def attempted(self, result: str, seconds: float) -> None:
        """Count an attempt. `result`: `delivered`, `aborted`, or a word of `model.delivery.Failure`."""
        self._attempts.labels(result).inc()
        self._seconds.observe(seconds)

    async def look(self, context: Context) -> None:
        """Count what the store holds, of all institutions. Raises StoreUnavailable."""
        states, waiting, overdue = dict.fromkeys(STATES, 0), dict.fromkeys(AGES, 0), 0
        now = context.clock.now()
        for institution in await context.store.institutions(Endpoint):
            deliveries = Deliveries(context, institution)
            for endpoint in await Endpoints(context, institution).listed():
                states["failing" if endpoint.is_failing else endpoint.state] += 1
                for age, length in AGES.items():  # from the youngest on: where none waits, none waits for longer
                    if not (count := await deliveries.waiting(endpoint.id, made_by=now - length)):
                        break
                    waiting[age] += count
            overdue += await AllRecipients(context, institution).owing_since(now - _OVERDUE)
        for state, count in states.items():
            self._endpoints.labels(state).set(count)
        for age, count in waiting.items():
            self._waiting.labels(age).set(count)
        self._overdue.set(overdue)


def metrics_of(context: Context) -> WebhookMetrics:
    return context.own(WebhookMetrics)


async def keep_counting(context: Context) -> None:
    """Runs in the background."""
    while True:
        try:
            await metrics_of(context).look(context)
        except StoreUnavailable as error:
            context.log.warning("webhooks cannot be counted: %s", error)
        await asyncio.sleep(_EVERY)


__all__ = ["AGES", "STATES", "WebhookMetrics", "keep_counting", "metrics_of"]
