"""FastStream's own metrics of the bus, for operators who collect them: off unless a setting asks for them.

They, and the spans of `shared/bus/spans.py`, name events by a template such as `fh.v1.*.meeting.finished`. A NATS
subject would name the institution, a correlation id the contact, and an error's text may repeat what it was about: none
of these is in a label or span.
"""

from typing import Any, Final

from faststream.nats.prometheus.provider import BaseNatsMetricsSettingsProvider
from faststream.prometheus import ConsumeAttrs, PrometheusMiddleware
from prometheus_client import CollectorRegistry

from firsthand.shared.bus.delivery import EventMessage
from firsthand.shared.events import EVENTS
from firsthand.shared.events.envelope import SUBJECT_ROOT

UNREAD: Final = "unread"  # what a message is called that is no event, or only a newer release's
_ELSEWHERE: Final = "elsewhere"  # where FastStream publishes to, other than an event's subject
_TEMPLATES: Final = {(event.entity, event.name): event.filter_subject() for event in EVENTS.values()}


def event_metrics(registry: CollectorRegistry, service: str) -> Any:
    """Make the middleware that counts and times what a service's handlers are given: `faststream_...`, whose label
    `handler` is the event's template.
    """
    names = _MetricNames()
    return PrometheusMiddleware(settings_provider_factory=lambda _: names, registry=registry, app_name=service)


def template(message: object) -> str:
    """Name the kind of event that a message holds, for whatever institution."""
    event = message.event if isinstance(message, EventMessage) else None
    return event.filter_subject() if event is not None else UNREAD


def template_of_subject(subject: str) -> str:
    """Name the kind of event that is published on a subject."""
    head, _, rest = subject.removeprefix(f"{SUBJECT_ROOT}.").partition(".")
    return _TEMPLATES.get((rest.partition(".")[0], rest.partition(".")[2]), _ELSEWHERE) if head else _ELSEWHERE


class _MetricNames(BaseNatsMetricsSettingsProvider[Any]):
    def get_consume_attrs_from_message(self, msg: Any) -> ConsumeAttrs:
        return {"destination_name": template(msg), "message_size": len(msg.body), "messages_count": 1}

    def get_publish_destination_name_from_cmd(self, cmd: Any) -> str:
        return template_of_subject(cmd.destination)
