"""What a service tells Prometheus. Every label has few values, known beforehand: never a subject, id or institution."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """The metrics of one service in this process, in a registry of their own."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        # Found once: looking labels up costs several times what counting does, at every event.
        self._kept: dict[tuple[str, str], tuple[Counter, Histogram]] = {}  # by handler and outcome
        self._streams: dict[str, Counter] = {}
        self._handled = Counter(
            "firsthand_handled",
            "Deliveries by how they ended",
            ("service", "handler", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "firsthand_handler_seconds",
            "Seconds from receiving an event to having settled it",
            ("service", "handler"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._published = Counter(
            "firsthand_published", "Events published", ("service", "stream"), registry=self.registry
        )
        self._lag = Histogram(
            "firsthand_relay_lag_seconds",
            "Seconds from an event's time to its being published",
            ("service",),
            buckets=_SECONDS,
            registry=self.registry,
        ).labels(service)
        self._outbox = Gauge(
            "firsthand_outbox_entries",
            "Events waiting to be published, counted up to one batch",
            ("service",),
            registry=self.registry,
        ).labels(service)

        self._gate_shut = Gauge(
            "firsthand_gate_shut", "1 while archive plays nothing at all", ("service",), registry=self.registry
        )
        self._gate_closed = Gauge(
            "firsthand_gate_closed_contacts",
            "Contacts whose recordings do not play because what consent says of them is not understood",
            ("service",),
            registry=self.registry,
        )
        self._impaired = Gauge(
            "firsthand_impaired", "Things that the service cannot do for now", ("service",), registry=self.registry
        ).labels(service)

        self._clock_held = Gauge(
            "firsthand_clock_held",
            "1 while expiry and scheduled deletion are on hold because the clock is not believed",
            ("service",),
            registry=self.registry,
        ).labels(service)

        self._mail_failing = Gauge(
            "firsthand_mail_failing", "1 while no mail can be sent", ("service",), registry=self.registry
        ).labels(service)
        self._mail_waiting = Gauge(
            "firsthand_mail_waiting",
            "People who wait for mail that could not be sent so far",
            ("service",),
            registry=self.registry,
        ).labels(service)

        self._shed = Counter(
            "firsthand_shed",
            "Requests for bulk work that were answered with 429, because the process is behind",
            ("service",),
            registry=self.registry,
        ).labels(service)
        self._behind = Gauge(
            "firsthand_behind",
            "How far the process is behind, as a share of what is allowed; above 1, bulk work is put off",
            ("service", "measure"),
            registry=self.registry,
        )

    def handled(self, handler: str, outcome: str, seconds: float) -> None:
        """Count one delivery. `outcome`: done, conflict, delayed, unreadable, failed or dead."""
        kept = self._kept.get((handler, outcome))
        if kept is None:
            kept = self._handled.labels(self._service, handler, outcome), self._seconds.labels(self._service, handler)
            self._kept[handler, outcome] = kept
        count, time = kept
        count.inc()
        time.observe(seconds)

    def published(self, stream: str, lag_seconds: float) -> None:
        kept = self._streams.get(stream)
        if kept is None:
            kept = self._streams[stream] = self._published.labels(self._service, stream)
        kept.inc()
        self._lag.observe(max(0.0, lag_seconds))

    def outbox(self, entries: int) -> None:
        self._outbox.set(entries)

    def gate(self, *, shut: bool, closed_contacts: int) -> None:
        self._gate_shut.labels(self._service).set(shut)
        self._gate_closed.labels(self._service).set(closed_contacts)

    def clock(self, *, held: bool) -> None:
        self._clock_held.set(held)

    def impaired(self, count: int) -> None:
        self._impaired.set(count)

    def mail(self, *, failing: bool, waiting: int) -> None:
        self._mail_failing.set(failing)
        self._mail_waiting.set(waiting)

    def shed(self) -> None:
        self._shed.inc()

    def measure_load(self, names: Iterable[str], behind: Callable[[], Mapping[str, float]]) -> None:
        """Ask at each scrape how far the process is behind, by measure."""
        for name in names:
            self._behind.labels(self._service, name).set_function(partial(_of, behind, name))

    def render(self) -> bytes:
        """Write all of it in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


def _of(shares: Callable[[], Mapping[str, float]], name: str) -> float:
    return shares().get(name, 0.0)
