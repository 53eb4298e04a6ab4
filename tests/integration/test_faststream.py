"""Handlers are FastStream's subscribers: tested, measured, traced and described as its documentation says."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar

import pytest
from faststream import BaseMiddleware
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream._internal.endpoint.subscriber.call_item import HandlerItem
from faststream.nats import JStream, NatsBroker, NatsRouter, TestNatsBroker
from faststream.nats.subscriber.usecases import LogicSubscriber, PullStreamSubscriber
from faststream.specification import AsyncAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_tracer_provider
from prometheus_client import CollectorRegistry

from firsthand.services.__main__ import SERVICES
from firsthand.services.archive.model import Recording
from firsthand.services.consent.model import Journey
from firsthand.services.discovery.model.people import Person
from firsthand.services.portal.model.journey import Journey as Board
from firsthand.services.scheduling.model import Meeting
from firsthand.shared.bus import Bus, BusSettings, Hopeless, NotBound
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.feeding import FedSubscriber, router_of
from firsthand.shared.bus.observing import event_metrics
from firsthand.shared.bus.spans import traces_with
from firsthand.shared.clock import ManualClock, SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.events import AnyEvent, State
from firsthand.shared.events.consent import ConsentGrantedV1, ConsentRecordState, ConsentState, InvitationState
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.events.discovery import ApprovalState, CaseChangedV1, CaseState, ContactDiscoveredV1, ContactState
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.events.scheduling import MeetingFinishedV1, MeetingState
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.metrics import Metrics
from firsthand.shared.service import Subscribers
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.topology import DEAD_LETTERS, Placement, durables_of
from firsthand.shared.tracing import traceparent
from tests.told import Alone, alone

SCHOOL = InstitutionId("oak-dental")
NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CONTACT = ContactReference(contact_id=new_id(), case_id=new_id(), reference="OAK-1", language="en", tutor_id=new_id())
INSTITUTION = InstitutionState(
    slug=SCHOOL, name="Oak", country="QA", zone="Asia/Qatar", languages=["en"], active_contacts_a_case=10
)
APPROVALS = [
    ApprovalState(kind=kind, number="1", expires_at=NOW + timedelta(days=90)) for kind in ("ethics", "data-protection")
]
CASE = CaseState(
    case_id=CONTACT.case_id, prefix="OAK", title="Cleft", condition={"en": "cleft"}, languages=["en"],
    cohorts=["year-3"], tutors=[CONTACT.tutor_id], approvals=APPROVALS, safeguarding_contact="x", state="open",
)  # fmt: skip

E = TypeVar("E", bound=AnyEvent)


def told(kind: type[E], data: State, subject: str = CONTACT.contact_id, sequence: int = 1) -> E:
    token = traceparent.set(f"00-{TRACE}-00f067aa0ba902b7-01")
    try:
        return kind.record(institution=SCHOOL, subject=subject, sequence=sequence, at=NOW, actor="system", data=data)
    finally:
        traceparent.reset(token)


def discovered() -> ContactDiscoveredV1:
    return told(ContactDiscoveredV1, ContactState(contact=CONTACT, platform="mastodon", state="discovered"))


def granted() -> ConsentGrantedV1:
    scopes = ["meet", "record-video", "record-audio", "share-cohort"]
    consent = ConsentRecordState(state="granted", scopes=scopes, granted_at=NOW)
    invitation = InvitationState(state="linked", answer="yes")
    return told(ConsentGrantedV1, ConsentState(contact=CONTACT, invitation=invitation, consent=consent), sequence=5)


def held() -> MeetingFinishedV1:
    state = MeetingState(contact=CONTACT, state="finished", recording="expected", held_until=NOW)
    return told(MeetingFinishedV1, state, sequence=4)


def school() -> InstitutionChangedV1:
    return told(InstitutionChangedV1, INSTITUTION, subject=SCHOOL)


def case() -> CaseChangedV1:
    return told(CaseChangedV1, CASE, subject=CONTACT.case_id)


# -- handler tests without a server


@asynccontextmanager
async def in_memory(service: str, folder: Path) -> AsyncIterator[tuple[Alone, NatsBroker]]:
    """A service whose handlers FastStream's test broker calls: real stores, no server, no settling."""
    async with alone(service, folder, ManualClock(NOW)) as one:
        broker = NatsBroker(apply_types=False)
        broker.include_router(SERVICES[service].handlers.router(one.context, Placement()))
        # FastStream would look for it in the source of its callers, which now and then cannot be parsed
        async with TestNatsBroker(broker, connect_only=False):
            yield one, broker


async def tell(broker: NatsBroker, *events: AnyEvent) -> None:
    for event in events:
        await broker.publish(event.wire(), event.nats_subject)


async def test_discovery_keeps_where_a_contact_stands(tmp_path: Path) -> None:
    person = Person(
        id=CONTACT.contact_id, institution=SCHOOL, case_id=CONTACT.case_id, reference="OAK-1", number=1,
        platform="mastodon", language="en", tutor_id="t", marks=["m"], on_deployment=[], lead_id="l", cleared_by="t",
        cleared_at=NOW,
    )  # fmt: skip
    async with in_memory("discovery", tmp_path) as (one, broker):
        await one.context.store.collection(Person, SCHOOL).insert(person)
        await tell(broker, school(), granted())
        (kept,) = await one.documents(Person)
        assert kept.applied == {f"consent/{CONTACT.contact_id}": 5}
        assert await one.documents(SERVICES["discovery"].documents[-1]) != []  # the institution's copy


async def test_consent_prepares_an_invitation_for_a_contact_that_was_discovered(tmp_path: Path) -> None:
    async with in_memory("consent", tmp_path) as (one, broker):
        await tell(broker, school(), case(), discovered(), discovered())
        (journey,) = await one.documents(Journey)
        assert journey.id == CONTACT.contact_id
        assert await one.told() == ["firsthand.invitation.prepared.v1"]


async def test_scheduling_offers_times_once_a_meeting_is_allowed(tmp_path: Path) -> None:
    async with in_memory("scheduling", tmp_path) as (one, broker):
        await tell(broker, school(), case(), granted())
        (meeting,) = await one.documents(Meeting)
        assert meeting.id == CONTACT.contact_id
        assert await one.told() == ["firsthand.meeting.offered.v1"]


async def test_archive_awaits_the_recording_of_a_meeting_that_was_held(tmp_path: Path) -> None:
    async with in_memory("archive", tmp_path) as (one, broker):
        await tell(broker, granted(), held())
        (recording,) = await one.documents(Recording)
        assert recording.id == CONTACT.contact_id
        assert await one.told() == ["firsthand.recording.awaited.v1"]


async def test_the_portal_enters_what_happened_to_a_contact_into_its_journey(tmp_path: Path) -> None:
    async with in_memory("portal", tmp_path) as (one, broker):
        await tell(broker, case(), discovered(), granted(), held())
        (board,) = await one.documents(Board)
        assert {entry.type for entry in board.timeline} == {
            "firsthand.contact.discovered.v1",
            "firsthand.consent.granted.v1",
            "firsthand.meeting.finished.v1",
        }


async def test_what_a_handler_raises_reaches_the_test(tmp_path: Path) -> None:
    async with in_memory("consent", tmp_path) as (one, broker):
        await one.context.store.close()
        with pytest.raises(StoreUnavailable):
            await tell(broker, discovered())


async def test_a_handler_runs_within_the_trace_of_its_event() -> None:
    found: list[str | None] = []

    async def note(_event: AnyEvent) -> None:
        found.append(traceparent.get())

    broker = NatsBroker(apply_types=False)
    broker.include_router(router_of("consent", {"prepare_invitation": note}, Placement()))
    async with TestNatsBroker(broker, connect_only=False):
        await tell(broker, discovered())
    assert found == [f"00-{TRACE}-00f067aa0ba902b7-01"]
    assert traceparent.get() is None


# -- declarations


def test_a_handler_that_the_topology_does_not_have_is_refused_where_it_is_declared() -> None:
    with pytest.raises(NotBound, match="archive: the topology has no handler make_meeting"):
        Subscribers("archive").subscriber("make_meeting")


@pytest.mark.parametrize("service", SERVICES)
def test_every_durable_of_the_topology_is_a_subscriber(service: str) -> None:
    placement = Placement("doha", (SCHOOL,))
    router = SERVICES[service].handlers.router(None, placement)  # type: ignore[arg-type]  # nothing is handled
    assert isinstance(router, NatsRouter)
    found = {}
    for one in router.subscribers:
        assert isinstance(one, FedSubscriber)
        found[one.config.durable_name] = (one.stream.name, tuple(one.config.filter_subjects or ()))
    assert found == {
        placement.durable_name(durable): (durable.stream.name, placement.filter_subjects(durable))
        for durable in durables_of(service)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_faststreams_own_asyncapi_types_each_handler_by_the_events_of_its_durable(service: str) -> None:
    broker = NatsBroker(apply_types=False)
    broker.include_router(SERVICES[service].handlers.router(None, Placement()))  # type: ignore[arg-type]
    document = json.loads(AsyncAPI(broker).to_specification().to_json())
    for durable in durables_of(service):
        messages = {
            name.partition(":SubscribeMessage")[0]: message
            for name, message in document["components"]["messages"].items()
            if name.startswith(": ".join(filter(None, (service, durable.handler, durable.producer))) + ":")
        }
        assert messages, durable.handler
        for message in messages.values():
            kinds = set(_models(document, message["payload"]))
            assert kinds == {event.__name__ for event in durable.events}, durable.handler


def _models(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """The events that a payload may be."""
    if "$ref" not in schema:
        for choice in schema["anyOf"]:
            yield from _models(document, choice)
        return
    name = schema["$ref"].rpartition("/")[2].replace("%20", " ")
    found = document["components"]["schemas"][name]
    if "anyOf" in found:
        yield from _models(document, found)
    else:
        yield name


# -- what is not promised


def test_faststream_still_has_inside_what_feeding_relies_on() -> None:
    """When this fails after an upgrade, read `shared/bus/feeding.py` beside the new `usecase.py`."""
    made = NatsRouter().subscriber("s", stream=JStream("S", declare=False), durable="d", pull_sub=True)
    assert type(made) is PullStreamSubscriber  # how the class of a subscriber is chosen
    for name in ("start", "stop", "process_message", "_create_subscription", "get_log_context"):
        assert callable(getattr(LogicSubscriber, name)), name
    assert callable(vars(SubscriberUsecase)["_SubscriberUsecase__build__middlewares_stack"])
    assert "_create_subscription" in LogicSubscriber.start.__code__.co_names
    assert {"_outer_config", "lock", "_SubscriberUsecase__build__middlewares_stack", "calls", "get_log_context"} <= set(
        SubscriberUsecase.process_message.__code__.co_names
    )
    item = HandlerItem.call.__code__.co_names
    assert {"handler", "call_wrapped"} <= set(item)
    assert {"parser", "decoder", "set_decoder"} <= set(HandlerItem.is_suitable.__code__.co_names)
    assert set(vars(type(made._outer_config))) >= {"context", "logger", "extra_context", "broker_middlewares"}


def test_another_kind_of_subscriber_is_not_taken_for_one_that_can_be_fed() -> None:
    pushed = NatsRouter().subscriber("s", stream=JStream("S", declare=False))
    with pytest.raises(TypeError, match="PushStreamSubscriber, which cannot be fed"):
        FedSubscriber.made_of(pushed, durables_of("archive")[0])


class Spy(BaseMiddleware[Any, Any]):
    """Notes what passes, and what FastStream promises middlewares: the hooks in order, the message in the context."""

    seen: ClassVar[list[str]] = []

    async def on_receive(self) -> None:
        self.seen.append("received")

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        message = self.context.get_local("message")
        self.seen.append(f"{message.handler} {self.context.get_local('handler_').durable.handler}")
        try:
            return await call_next(msg)
        except Exception as error:
            self.seen.append(type(error).__name__)
            raise

    async def after_processed(self, exc_type: Any = None, exc_val: Any = None, exc_tb: Any = None) -> bool | None:
        self.seen.append(f"processed {exc_type}")
        return await super().after_processed(exc_type, exc_val, exc_tb)


@asynccontextmanager
async def consuming(settings: BusSettings, *middlewares: Any, fails: bool = False) -> AsyncIterator[Bus]:
    """Consent's bus, whose handlers do nothing or find all hopeless, measured or traced."""
    bus = Bus("consent", settings, clock=SystemClock(), metrics=Metrics("consent"))
    for middleware in middlewares:
        bus.broker.add_middleware(middleware)

    async def call(event: AnyEvent) -> None:
        if fails:
            raise Hopeless(f"{event.institution} {event.subject}")

    bus.include(router_of("consent", {d.handler: call for d in durables_of("consent")}, settings.placement))
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


async def published(settings: BusSettings, *bodies: tuple[str, bytes]) -> None:
    async with connected(settings) as client:
        for subject, body in bodies:
            await client.jetstream().publish(subject, body)


async def dead(settings: BusSettings, count: int) -> None:
    """Wait for so many dead letters."""
    async with asyncio.timeout(10), connected(settings) as client:
        letters = await client.jetstream().subscribe("fh.dead.>", stream=DEAD_LETTERS, ordered_consumer=True)
        for _ in range(count):
            await letters.next_msg(timeout=10)


async def test_a_middleware_sees_what_a_handler_raises_and_the_event_is_settled_all_the_same(
    bus_settings: BusSettings,
) -> None:
    Spy.seen.clear()
    async with consuming(bus_settings, Spy, fails=True) as bus:
        event = discovered()
        await published(bus_settings, (event.nats_subject, event.wire()))
        await dead(bus_settings, 1)
        assert await bus.letters_kept("prepare_invitation") == 1
    handler = "prepare_invitation"
    assert Spy.seen == ["received", f"{handler} {handler}", "Hopeless", "processed None"]


async def test_without_other_middlewares_an_event_is_settled_the_same_way_in_fewer_steps(
    bus_settings: BusSettings,
) -> None:
    async with consuming(bus_settings, fails=True) as bus:
        fed = [one for one in bus.broker.subscribers if isinstance(one, FedSubscriber)]
        assert all(one.settling for one in fed)
        event = discovered()
        rubbish = f"fh.v1.{SCHOOL}.contact.discovered"
        await published(bus_settings, (event.nats_subject, event.wire()), (rubbish, b"rubbish"))
        await dead(bus_settings, 2)
        assert await bus.letters_kept("prepare_invitation") == 2
    async with consuming(bus_settings, Spy) as bus:
        assert not any(one.settling for one in bus.broker.subscribers if isinstance(one, FedSubscriber))


# -- measured and traced


async def test_metrics_name_kinds_of_events_and_neither_institution_nor_contact_nor_rubbish(
    bus_settings: BusSettings,
) -> None:
    registry = CollectorRegistry()
    event = discovered()
    async with consuming(bus_settings, event_metrics(registry, "consent"), fails=True):
        rubbish = f"fh.v1.{SCHOOL}.contact.discovered"
        await published(bus_settings, (event.nats_subject, event.wire()), (rubbish, b"rub-bish"))
        await dead(bus_settings, 2)
    found = {
        (sample.name, sample.labels.get("handler"), sample.labels.get("exception_type"))
        for metric in registry.collect()
        for sample in metric.samples
        if sample.value and sample.name.endswith("_total")
    }
    name = "faststream_received_processed_messages_exceptions_total"
    assert {(name, "fh.v1.*.contact.discovered", "Hopeless"), (name, "unread", "UnknownEvent")} <= found
    labels = {value for m in registry.collect() for sample in m.samples for value in sample.labels.values()}
    assert not [value for value in labels if SCHOOL in value or CONTACT.contact_id in value or "rub" in value]
    assert "consent" in labels


def tracing() -> tuple[Any, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return traces_with(provider), exporter


async def acknowledged(bus: Bus, handler: str) -> None:
    async with asyncio.timeout(10):
        while await bus.acknowledged(handler) < 1:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_a_span_joins_the_trace_of_its_event_and_names_neither_institution_nor_contact(
    bus_settings: BusSettings,
) -> None:
    event = discovered()
    traces, exporter = tracing()
    async with consuming(bus_settings, traces) as bus:
        await published(bus_settings, (event.nats_subject, event.wire()))
        await acknowledged(bus, "prepare_invitation")
    (span,) = exporter.get_finished_spans()
    assert span.name == "fh.v1.*.contact.discovered process"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert (span.attributes or {})["messaging.message.id"] == event.id
    assert span.status.is_unset
    _says_nothing_personal(span)


async def test_a_span_says_the_kind_of_an_error_and_never_its_text() -> None:
    event = discovered()
    traces, exporter = tracing()

    async def fail(event: AnyEvent) -> None:
        raise ValueError(f"{event.institution} {event.subject}")

    broker = NatsBroker(apply_types=False)
    broker.add_middleware(traces)
    broker.include_router(router_of("consent", {"prepare_invitation": fail}, Placement()))
    async with TestNatsBroker(broker, connect_only=False):
        with pytest.raises(ValueError, match=SCHOOL):
            await tell(broker, event)
    spans = exporter.get_finished_spans()
    (span,) = (one for one in spans if one.name.endswith(" process"))
    assert (span.status.description or "").startswith("ValueError in ")
    for one in spans:  # what the test published, too
        assert not one.events
        _says_nothing_personal(one)


def _says_nothing_personal(span: ReadableSpan) -> None:
    said = span.to_json()
    assert SCHOOL not in said
    assert CONTACT.contact_id not in said


async def test_operators_turn_metrics_and_traces_on(
    bus_settings: BusSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = InMemorySpanExporter()
    collectors: list[str] = []

    def exporter(endpoint: str) -> InMemorySpanExporter:
        collectors.append(endpoint)
        return sent

    # The exporter is what operators install; the SDK before it is the real one.
    monkeypatch.setitem(sys.modules, EXPORTER, SimpleNamespace(OTLPSpanExporter=exporter))
    quiet = Settings(data=tmp_path, nats_url=bus_settings.url, port=0)
    loud = quiet.model_copy(update={"event_metrics": True, "event_traces_url": "http://127.0.0.1:4318/v1/traces"})
    service = [SERVICES["archive"]]
    async with Deployment.started(quiet, service, create_keys=True) as deployment:
        assert b"faststream_" not in deployment.contexts["archive"].metrics.render()
    async with Deployment.started(loud, service) as deployment:
        context = deployment.contexts["archive"]
        event = held()
        await published(bus_settings, (event.nats_subject, event.wire()))
        await acknowledged(context.bus, "await_recording")
        labels = b'{app_name="archive",broker="nats",handler="fh.v1.*.meeting.finished"}'
        assert b"faststream_received_messages_total" + labels in context.metrics.render()
    assert collectors == ["http://127.0.0.1:4318/v1/traces"]
    (span,) = sent.get_finished_spans()  # sent when the service stopped, at the latest
    assert span.name == "fh.v1.*.meeting.finished process"
    assert span.resource.attributes["service.name"] == "firsthand-archive"
    # A global provider would have FastAPI make spans of requests, with the addresses of personal links in them.
    assert not isinstance(get_tracer_provider(), TracerProvider)


async def test_without_an_exporter_a_service_that_is_to_send_spans_says_what_to_install(
    bus_settings: BusSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, EXPORTER, None)
    settings = Settings(
        data=tmp_path, nats_url=bus_settings.url, port=0, event_traces_url="http://127.0.0.1:1/v1/traces"
    )
    with pytest.raises(CannotStart, match="pip install opentelemetry-exporter-otlp-proto-http"):
        async with Deployment.started(settings, [SERVICES["archive"]], create_keys=True):
            pass
