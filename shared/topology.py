"""The one table of streams, durables, what is listened to, and limits. `firsthand topology apply` brings a server to
it; services only check. `shared/bus/permissions.py` makes of it what each service may do on the server.

A durable is named `<service>_<handler>_<placement>`, with the producer after the handler if it hears several.
Replicas of a service share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from firsthand.shared.events import EVENTS, AnyEvent, archive, consent, discovery, portal, scheduling, webhooks
from firsthand.shared.events.envelope import SUBJECT_ROOT
from firsthand.shared.identifiers import InstitutionId

VERSION: Final = 5

# Every service, whether or not it has a stream of its own.
SERVICES: Final = ("portal", "discovery", "consent", "scheduling", "archive", "webhooks")
# The services that must answer an erasure before it is complete (consent erases its own last).
ERASURE_ANSWERS: Final = ("archive", "discovery", "scheduling", "webhooks")


@dataclass(frozen=True)
class Stream:
    """What one service produces. File storage, limits retention."""

    service: str
    max_age: timedelta
    duplicate_window: timedelta = timedelta(minutes=20)  # must exceed the worst relay lag

    @property
    def name(self) -> str:
        return f"FH_{self.service.upper()}"

    @property
    def events(self) -> tuple[type[AnyEvent], ...]:
        return tuple(event for event in EVENTS.values() if event.service == self.service)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(f"fh.v1.*.{entity}.>" for entity in sorted({event.entity for event in self.events}))


@dataclass(frozen=True)
class Durable:
    """One handler of one service: which events of one producing service it is given."""

    service: str
    handler: str
    events: tuple[type[AnyEvent], ...]
    # The handler is also given what newer releases tell of these entities, which it cannot understand: there it waits,
    # instead of being passed over. For what must not go on without it, such as playing under a consent.
    entities: tuple[str, ...] = ()
    producer: str = ""  # named if the handler hears several; then it has a durable for each

    @property
    def stream(self) -> Stream:
        (producer,) = {event.service for event in self.events}
        return STREAMS[producer]

    @classmethod
    def of_each(cls, service: str, handler: str, events: Sequence[type[AnyEvent]]) -> "tuple[Durable, ...]":
        """One handler of what several services produce: it gets each one's events in their order, and no order between
        them.
        """
        return tuple(
            cls(service, handler, tuple(event for event in events if event.service == producer), producer=producer)
            for producer in sorted({event.service for event in events})
        )


@dataclass(frozen=True)
class Listening:
    """What every replica of a service hears for itself, by consumers of its own that go when it goes."""

    service: str
    name: str
    events: tuple[type[AnyEvent], ...]
    entities: tuple[str, ...] = ()  # as of a durable
    letters: str = ""  # a handler of the service whose dead letters are read, instead of events
    replays: str = ""  # ... or what it is given once more

    @property
    def streams(self) -> tuple["Stream", ...]:
        if self.letters or self.replays:
            return (Stream("dead", DEAD_LETTERS_MAX_AGE),)
        return tuple(STREAMS[producer] for producer in sorted({event.service for event in self.events}))


@dataclass(frozen=True)
class Placement:
    """The institutions that a process serves: all, or named ones, so that data stays where an institution wants it."""

    name: str = "all"
    institutions: tuple[InstitutionId, ...] = ()  # empty: all

    def filter_subjects(self, durable: Durable) -> tuple[str, ...]:
        return self._subjects(durable.events, durable.entities)

    def _subjects(self, events: Sequence[type[AnyEvent]], entities: Sequence[str]) -> tuple[str, ...]:
        served = self.institutions or ("*",)
        single = [event for event in events if event.entity not in entities]
        return (
            *(event.filter_subject(institution) for event in single for institution in served),
            *(f"{SUBJECT_ROOT}.{institution}.{entity}.>" for entity in entities for institution in served),
        )

    def durable_name(self, durable: Durable) -> str:
        which = f"{durable.handler}_{durable.producer}" if durable.producer else durable.handler
        return f"{durable.service}_{which}_{self.name}"

    def heard_subjects(self, listening: Listening, stream: Stream) -> tuple[str, ...]:
        """The subjects of one stream that are listened to."""
        if listening.letters:
            return (dead_letter_subject(listening.service, listening.letters),)
        if listening.replays:
            return (replay_subject(self.name, listening.service, listening.replays),)
        events = [event for event in listening.events if event.service == stream.service]
        entities = {event.entity for event in events}
        return self._subjects(events, [entity for entity in listening.entities if entity in entities])

    def listener_names(self, listening: Listening) -> tuple[str, ...]:
        """The names of the consumers through which replicas listen, of which each replica takes one.

        They are fixed, because the right to make a consumer of any name is the right to change everybody's.
        """
        return tuple(f"{listening.service}_{listening.name}_{self.name}_{n}" for n in range(1, LISTENING_REPLICAS + 1))


# Ten years: a consent is proved, and a new consumer starts from the beginning. Nothing personal is in them.
_LONG: Final = timedelta(days=3653)

# Of the services that publish something.
STREAMS: Final[dict[str, Stream]] = {
    service: Stream(service, _LONG)
    for service in SERVICES
    if any(event.service == service for event in EVENTS.values())
}


def _of(module: object) -> tuple[type[AnyEvent], ...]:
    return tuple(event for event in EVENTS.values() if event.__module__ == getattr(module, "__name__", ""))


# What is told of a contact; that a page was locked names none.
_CONSENT = tuple(event for event in _of(consent) if event is not consent.PageLockedV1)
_CONSENT_RULES = (
    consent.ConsentGrantedV1,
    consent.ConsentDeclinedV1,
    consent.ConsentChangedV1,
    consent.ConsentReleasedV1,
    consent.ConsentWithdrawnV1,
    consent.ErasureRequestedV1,
)
_MEETINGS = (
    scheduling.MeetingOfferedV1,
    scheduling.MeetingScheduledV1,
    scheduling.MeetingFinishedV1,
    scheduling.MeetingCancelledV1,
)
_SCHEDULING = tuple(event for event in _of(scheduling) if event is not scheduling.MeetingToldV1)
_RECORDINGS = (
    archive.RecordingAwaitedV1,
    archive.RecordingArchivedV1,
    archive.RecordingPublishedV1,
    archive.RecordingChangedV1,
    archive.RecordingWithdrawnV1,
)

# What tells operators how the deployment is. Its institution is `deployment`.
_SERVICES = (webhooks.ServiceImpairedV1, webhooks.ServiceRecoveredV1)
# What a deployment's operators may have delivered, of all institutions: nothing of a contact.
OPERATIONAL: Final = (
    *_SERVICES, webhooks.EndpointDisabledV1, webhooks.EndpointTestedV1, portal.InstitutionChangedV1,
)  # fmt: skip

# What institutions may have delivered to systems of their own: all but what ends sessions, what is about staff, what
# one service tells only itself, and what is the operators'.
DELIVERED: Final = tuple(
    event
    for event in EVENTS.values()
    if event
    not in (
        portal.PersonChangedV1,
        portal.SessionEndedV1,
        consent.PageLockedV1,
        scheduling.CalendarChangedV1,
        *_SERVICES,
    )
)

DURABLES: Final[tuple[Durable, ...]] = (
    Durable("discovery", "keep_institution", (portal.InstitutionChangedV1,)),
    Durable("discovery", "follow_consent", _CONSENT),
    Durable("consent", "keep_institution", (portal.InstitutionChangedV1,)),
    Durable("consent", "keep_case", (discovery.CaseChangedV1,)),
    Durable("consent", "prepare_invitation", (discovery.ContactDiscoveredV1,)),
    Durable("consent", "follow_meeting", _MEETINGS),
    Durable("consent", "follow_recording", _RECORDINGS),
    Durable("consent", "note_discovery_erased", (discovery.DiscoveryErasedV1,)),
    Durable("consent", "note_scheduling_erased", (scheduling.SchedulingErasedV1,)),
    Durable("consent", "note_archive_erased", (archive.ArchiveErasedV1,)),
    Durable("consent", "note_webhooks_erased", (webhooks.WebhooksErasedV1,)),
    Durable("consent", "follow_obligations", (webhooks.ObligationOpenedV1, webhooks.ObligationAnsweredV1)),
    Durable("scheduling", "keep_institution", (portal.InstitutionChangedV1,)),
    Durable("scheduling", "keep_case", (discovery.CaseChangedV1,)),
    Durable("scheduling", "follow_consent", _CONSENT_RULES, ("consent", "erasure")),
    Durable("scheduling", "follow_recording", (archive.RecordingArchivedV1, archive.RecordingChangedV1)),
    Durable("scheduling", "make_meeting", (scheduling.CalendarChangedV1,)),
    Durable("archive", "keep_institution", (portal.InstitutionChangedV1,)),
    Durable("archive", "keep_case", (discovery.CaseChangedV1,)),
    Durable("archive", "follow_consent", _CONSENT_RULES, ("consent", "erasure")),
    Durable("archive", "await_recording", (scheduling.MeetingFinishedV1,)),
    Durable("portal", "follow_discovery", _of(discovery)),
    Durable("portal", "follow_consent", _CONSENT),
    Durable("portal", "follow_scheduling", _SCHEDULING),
    # Of its own: 0.1 does not know this event, and shares the durables that it knows.
    Durable("portal", "follow_telling", (scheduling.MeetingToldV1,)),
    Durable("portal", "follow_archive", _of(archive)),
    Durable("webhooks", "keep_institution", (portal.InstitutionChangedV1,)),
    Durable("webhooks", "keep_case", (discovery.CaseChangedV1,)),
    *Durable.of_each("webhooks", "fan_out", (*DELIVERED, *_SERVICES)),
)


# Everything that happens to a contact: all that the portal is given but for a case's and a tutor's.
_CONTACTS = tuple(
    event
    for durable in DURABLES
    if durable.service == "portal"
    for event in durable.events
    if event not in (discovery.CaseChangedV1, scheduling.CalendarChangedV1)
)

# Every service ends sessions at once: of a person who was signed out, of a browser that signed out or was locked, and
# of whoever opened a link that was replaced.
LISTENINGS: Final[tuple[Listening, ...]] = (
    *(Listening(service, "note_sign_out", (portal.PersonChangedV1,), ("person",)) for service in SERVICES),
    *(
        Listening(service, "note_session_end", (portal.SessionEndedV1, consent.PageLockedV1), ("session", "page"))
        for service in SERVICES
    ),
    *(Listening(service, "note_new_link", (consent.InvitationLinkedV1,)) for service in SERVICES),
    Listening("archive", "watch_consent", _of(consent), ("invitation", "consent", "erasure")),
    # The urgent ones of them a second time, so that none waits behind what others tell.
    Listening("archive", "watch_withdrawals", tuple(event for event in _of(consent) if event.urgent)),
    # What archive could not take of consent closes the contacts that it names, also at a replica that starts.
    Listening("archive", "read_dead_letters", (), letters="follow_consent"),
    Listening("archive", "read_replays", (), replays="follow_consent"),
    Listening("portal", "show_live", _CONTACTS),
    # Read from a point in time on, and left again: what an endpoint is sent that was added later.
    Listening("webhooks", "replay_consents", _CONSENT_RULES, ("consent", "erasure")),
    Listening("webhooks", "replay_events", (*DELIVERED, *_SERVICES)),
)
# So many replicas of one service may listen at once, in one placement; the next one finds no place and is not ready.
LISTENING_REPLICAS: Final = 16

# Consent's sign of life, once a second on core NATS: who sends it on which subject, and who hears it.
CONSENT_PULSE: Final = "fh.pulse.consent"
PULSES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {CONSENT_PULSE: ("consent", ("archive",))}

# The operator asks on the one subject, over core NATS; every replica of a service answers on that of its service. One
# service asks as well, to tell the operators' webhooks.
STATUS_QUESTION: Final = "fh.status.question"
WATCHES_STATUS: Final = "webhooks"


def status_answer(service: str) -> str:
    """Name the subject on which the replicas of a service answer how they are; `*` for all services."""
    return f"fh.status.answer.{service}"


def listenings_of(service: str) -> tuple[Listening, ...]:
    return tuple(listening for listening in LISTENINGS if listening.service == service)


def durables_of(service: str) -> tuple[Durable, ...]:
    return tuple(durable for durable in DURABLES if durable.service == service)


# What a handler could not take, and what is given to it again, is kept in one stream beside the services' own.
DEAD_LETTERS: Final = "FH_DEAD"
DEAD_LETTERS_MAX_AGE: Final = _LONG
DUPLICATE_WINDOW: Final = timedelta(minutes=20)

# The server takes an event back when it has heard nothing of it for so long; a living handler says every third of it
# that it works on it, so it bounds how long a killed process's work waits and not how long a handler may take.
ACK_WAIT: Final = timedelta(seconds=10)
# So many events of one durable may be in work, or wait for their next attempt, over all replicas.
MAX_ACK_PENDING: Final = 1000

# Under this key streams and durables carry the version of this table, and durables their placement.
VERSION_KEY: Final = "firsthand-topology"
PLACEMENT_KEY: Final = "firsthand-placement"
# Under this one with a placement's name the stream of dead letters carries the institutions that the placement stores.
STORES_KEY: Final = "firsthand-stores-"
# Under this one the stream of dead letters carries the time that an operator confirmed last (`shared.bus.times`).
CLOCK_KEY: Final = "firsthand-clock-confirmed"


def dead_letter_subject(service: str, handler: str) -> str:
    return f"fh.dead.{service}.{handler}"


def replay_subject(placement: str, service: str, handler: str) -> str:
    """Name the subject on which a dead letter is given to its handler once more."""
    return f"fh.replay.{placement}.{service}.{handler}"


def replay_durable(placement: str, service: str) -> str:
    """Name the durable through which one service is given its replays."""
    return f"{service}_replays_{placement}"
