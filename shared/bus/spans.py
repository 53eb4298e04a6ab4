"""Spans of what handlers do, for OpenTelemetry. Imported only where traces are asked for: the SDK is no dependency.

The provider is ours alone. Were it OpenTelemetry's global one, others in this process would make spans too, and those
of requests hold addresses: a personal link is one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faststream.opentelemetry import TelemetryMiddleware, TelemetrySettingsProvider
from faststream.opentelemetry.consts import MESSAGING_DESTINATION_PUBLISH_NAME
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.trace import SpanAttributes
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from firsthand.shared.bus.delivery import reason_of
from firsthand.shared.bus.observing import template, template_of_subject

_SYSTEM = "nats"


def exporting(service: str, url: str) -> SdkTracerProvider:
    """Make a provider that sends spans to a collector by OTLP over HTTP. Its `shutdown` sends the last ones. Raises
    ImportError without the exporter.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = SdkTracerProvider(resource=Resource.create({"service.name": f"firsthand-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return provider


def traces_with(provider: TracerProvider) -> TelemetryMiddleware[Any]:
    """Make FastStream's middleware: spans join the trace of their event, and hold only what may leave the process."""
    said = _Said()
    return TelemetryMiddleware(
        settings_provider_factory=lambda _: said,
        tracer_provider=_Reticent(provider),
        meter_provider=NoOpMeterProvider(),
    )


class _Said(TelemetrySettingsProvider[Any]):
    """What a span says of a message. Without the correlation id, which is a contact's."""

    messaging_system = _SYSTEM

    def get_consume_attrs_from_message(self, msg: Any) -> dict[str, Any]:
        return {
            SpanAttributes.MESSAGING_SYSTEM: _SYSTEM,
            SpanAttributes.MESSAGING_MESSAGE_ID: msg.message_id,
            SpanAttributes.MESSAGING_MESSAGE_PAYLOAD_SIZE_BYTES: len(msg.body),
            MESSAGING_DESTINATION_PUBLISH_NAME: template(msg),
        }

    def get_consume_destination_name(self, msg: Any) -> str:
        return template(msg)

    def get_publish_attrs_from_cmd(self, cmd: Any) -> dict[str, Any]:
        name = template_of_subject(cmd.destination)
        return {SpanAttributes.MESSAGING_SYSTEM: _SYSTEM, SpanAttributes.MESSAGING_DESTINATION_NAME: name}

    def get_publish_destination_name(self, cmd: Any) -> str:
        return template_of_subject(cmd.destination)


class _Reticent(TracerProvider):
    """Gives tracers that say of an error what our logs say of it: its kind and place, never its text."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        return _ReticentTracer(self._provider.get_tracer(*args, **kwargs))


class _ReticentTracer(Tracer):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        return self._tracer.start_span(*args, **kwargs)

    @contextmanager
    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Iterator[Span]:  # type: ignore[override]
        kwargs |= {"record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span(*args, **kwargs) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, reason_of(error)))
                raise
