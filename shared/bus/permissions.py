"""What each user of the NATS server may publish and hear, made from the topology (docs/decisions/0009-nats-users.md).

A user has the name of its service; `operator` is the one of the commands. All are in the server's one default account,
so that the store of an embedded server can be taken over. Three rules of JetStream decide what may be given:

- a right to make or remove a consumer of any name is the right to change everybody's. Names are given, never `*`;
- a request's answer goes wherever the request asks, even where its sender may not publish. So a service is given no
  request whose answer it can shape: none that reads a stream's messages as they are (`DIRECT.GET`);
- what a consumer is given keeps the subject that it was published on, wherever it is sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from firsthand.shared.topology import (
    DEAD_LETTERS,
    PULSES,
    SERVICES,
    STATUS_QUESTION,
    STREAMS,
    WATCHES_STATUS,
    Placement,
    dead_letter_subject,
    durables_of,
    listenings_of,
    replay_durable,
    replay_subject,
    status_answer,
)

OPERATOR: Final = "operator"
USERS: Final = (*SERVICES, OPERATOR)

_API: Final = "$JS.API"


@dataclass(frozen=True)
class Permissions:
    """Subjects, sorted; what is not named is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(user: str) -> str:
    """Where a user is answered and given what it consumes; nobody else hears it."""
    return f"_INBOX_{user}"


def permissions_of(user: str, placement: Placement) -> Permissions:
    """Tell what a service, or the operator, may do. Raises KeyError for another name."""
    if user == OPERATOR:
        publish, subscribe = set(_operators()), {status_answer("*")}
    elif user not in SERVICES:
        raise KeyError(user)
    else:
        own = [STREAMS[user]] if user in STREAMS else []
        durables = [(durable.stream.name, placement.durable_name(durable)) for durable in durables_of(user)]
        durables.append((DEAD_LETTERS, replay_durable(placement.name, user)))
        seen = {*(stream.name for stream in own), *(stream for stream, _ in durables), *_listened(user)}
        publish = {
            *(
                event.filter_subject(institution)
                for stream in own
                for event in stream.events
                for institution in placement.institutions or ("*",)
            ),
            dead_letter_subject(user, "*"),
            *(subject for subject, (sender, _) in PULSES.items() if sender == user),
            status_answer(user),
            *({STATUS_QUESTION} if user == WATCHES_STATUS else ()),
            *(f"{_API}.STREAM.INFO.{stream}" for stream in seen),
            *(subject for stream, durable in durables for subject in _consuming(stream, durable)),
            *_listening(user, placement),
        }
        subscribe = {STATUS_QUESTION, *({status_answer("*")} if user == WATCHES_STATUS else ())}
        subscribe |= {*(subject for subject, (_, hearers) in PULSES.items() if user in hearers)}
    subscribe.add(f"{inbox_prefix(user)}.>")
    return Permissions(tuple(sorted(publish)), tuple(sorted(subscribe)))


def _consuming(stream: str, durable: str) -> Iterator[str]:
    """A durable that is there: ask for events, settle them, look how far it has come."""
    yield f"{_API}.CONSUMER.MSG.NEXT.{stream}.{durable}"
    yield f"{_API}.CONSUMER.INFO.{stream}.{durable}"
    yield f"$JS.ACK.{stream}.{durable}.>"


def _listened(service: str) -> set[str]:
    return {stream.name for listening in listenings_of(service) for stream in listening.streams}


def _listening(service: str, placement: Placement) -> Iterator[str]:
    """Consumers of a service's own replicas: make one, see how far it is, say that it may send more, remove it."""
    for listening in listenings_of(service):
        for stream in listening.streams:
            subjects = placement.heard_subjects(listening, stream)
            # The server holds a consumer to its one subject; with several, it takes any of that stream.
            only = f".{subjects[0]}" if len(subjects) == 1 else ""
            for name in placement.listener_names(listening):
                yield f"{_API}.CONSUMER.CREATE.{stream.name}.{name}{only}"
                yield f"{_API}.CONSUMER.DELETE.{stream.name}.{name}"
                yield f"{_API}.CONSUMER.INFO.{stream.name}.{name}"
                yield f"$JS.FC.{stream.name}.{name}.>"


def _operators() -> Iterator[str]:
    """The commands `topology`, `doctor` and `dead-letters`: no event, and no stream removed or emptied."""
    yield STATUS_QUESTION
    for stream in (*(stream.name for stream in STREAMS.values()), DEAD_LETTERS):
        for what in ("INFO", "CREATE", "UPDATE"):
            yield f"{_API}.STREAM.{what}.{stream}"
        yield f"{_API}.CONSUMER.LIST.{stream}"
        yield f"{_API}.CONSUMER.CREATE.{stream}.>"
        yield f"{_API}.CONSUMER.INFO.{stream}.*"
        yield f"{_API}.CONSUMER.DELETE.{stream}.*"
    yield f"{_API}.DIRECT.GET.{DEAD_LETTERS}"
    yield f"{_API}.DIRECT.GET.{DEAD_LETTERS}.>"
    yield f"{_API}.STREAM.MSG.DELETE.{DEAD_LETTERS}"
    yield replay_subject("*", "*", "*")
