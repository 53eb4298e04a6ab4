"""What a service's NATS user may do is what the service needs, and no more where it matters."""

import re

import pytest

from firsthand.shared.bus.permissions import OPERATOR, USERS, permissions_of
from firsthand.shared.events import EVENTS
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.topology import (
    CONSENT_PULSE,
    DEAD_LETTERS,
    DURABLES,
    LISTENINGS,
    STATUS_QUESTION,
    STREAMS,
    WATCHES_STATUS,
    Placement,
    dead_letter_subject,
    durables_of,
    listenings_of,
    replay_durable,
    status_answer,
)

SERVICES = tuple(STREAMS)
EVERYWHERE = Placement()
HERE = Placement("doha", (InstitutionId("qu-cdm"), InstitutionId("wcm-q")))


def matches(pattern: str, subject: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(expression, subject) is not None


def may(user: str, subject: str, placement: Placement = EVERYWHERE) -> bool:
    return any(matches(pattern, subject) for pattern in permissions_of(user, placement).publish)


@pytest.mark.parametrize("user", USERS)
def test_only_the_service_of_an_event_may_tell_it(user: str) -> None:
    for event in EVENTS.values():
        assert may(user, event.filter_subject("qu-cdm")) == (event.service == user)


@pytest.mark.parametrize("user", SERVICES)
def test_a_placement_tells_nothing_of_other_institutions(user: str) -> None:
    for event in STREAMS[user].events:
        assert may(user, event.filter_subject("qu-cdm"), HERE)
        assert not may(user, event.filter_subject("elsewhere"), HERE)
    told = [one for one in permissions_of(user, HERE).publish if one.startswith("fh.v1.")]
    assert told
    assert all(one.split(".")[2] in HERE.institutions for one in told)


@pytest.mark.parametrize("user", USERS)
def test_only_consent_beats_and_only_archive_hears_it(user: str) -> None:
    assert may(user, CONSENT_PULSE) == (user == "consent")
    heard = [one for one in permissions_of(user, EVERYWHERE).subscribe if matches(one, CONSENT_PULSE)]
    assert heard == ([CONSENT_PULSE] if user == "archive" else [])


@pytest.mark.parametrize("user", USERS)
def test_everybody_is_answered_in_a_place_of_his_own(user: str) -> None:
    heard = permissions_of(user, EVERYWHERE).subscribe
    assert [one for one in heard if one.startswith("_INBOX")] == [f"_INBOX_{user}.>"]


@pytest.mark.parametrize("user", USERS)
def test_only_the_operator_and_one_service_ask_how_services_are_and_each_answers_for_itself(user: str) -> None:
    asks = user in {OPERATOR, WATCHES_STATUS}
    assert may(user, STATUS_QUESTION) == asks
    assert [one for one in SERVICES if may(user, status_answer(one))] == ([user] if user in SERVICES else [])
    heard = permissions_of(user, EVERYWHERE).subscribe
    assert (STATUS_QUESTION in heard) == (user != OPERATOR)
    assert [one for one in SERVICES if any(matches(of, status_answer(one)) for of in heard)] == (
        list(SERVICES) if asks else []
    )


@pytest.mark.parametrize("user", SERVICES)
def test_a_service_touches_only_consumers_of_its_own_name_and_no_stream(user: str) -> None:
    """Names are literal: with a wildcard there, everybody's durables could be changed."""
    own = {EVERYWHERE.durable_name(durable) for durable in durables_of(user)} | {replay_durable("all", user)}
    hearing = {name for listening in listenings_of(user) for name in EVERYWHERE.listener_names(listening)}
    for subject in permissions_of(user, EVERYWHERE).publish:
        if not subject.startswith("$JS."):
            assert ">" not in subject
            continue
        shape = re.fullmatch(
            r"\$JS\.(?P<what>API\.STREAM\.INFO|API\.CONSUMER\.(?:MSG\.NEXT|INFO|CREATE|DELETE)|ACK|FC)"
            r"\.(?P<stream>FH_[A-Z]+)(?:\.(?P<name>[a-z0-9_]+))?(?P<rest>\..*)?",
            subject,
        )
        assert shape, subject
        what, name, rest = shape["what"], shape["name"], shape["rest"]
        if what == "API.STREAM.INFO":
            assert (name, rest) == (None, None)
        elif what in {"API.CONSUMER.CREATE", "API.CONSUMER.DELETE", "FC"}:
            assert name in hearing
        elif what == "API.CONSUMER.INFO":
            assert name in own | hearing
        else:
            assert name in own
        assert (rest == ".>") == (what in {"ACK", "FC"})


def test_a_consumer_of_one_subject_is_held_to_it() -> None:
    for listening in LISTENINGS:
        for stream in listening.streams:
            subjects = EVERYWHERE.heard_subjects(listening, stream)
            make = f"$JS.API.CONSUMER.CREATE.{stream.name}.{EVERYWHERE.listener_names(listening)[0]}"
            assert may(listening.service, make) == (len(subjects) > 1)
            assert may(listening.service, f"{make}.{subjects[0]}") == (len(subjects) == 1)


@pytest.mark.parametrize("user", SERVICES)
def test_dead_letters_are_left_by_who_could_not_take_the_event(user: str) -> None:
    for durable in DURABLES:
        assert may(user, dead_letter_subject(durable.service, durable.handler)) == (durable.service == user)
    assert not may(user, f"fh.replay.all.{user}.x")


def test_the_operator_tells_no_event_and_empties_no_stream() -> None:
    for name in (*(stream.name for stream in STREAMS.values()), DEAD_LETTERS):
        for what in ("DELETE", "PURGE", "SNAPSHOT", "RESTORE"):
            assert not may(OPERATOR, f"$JS.API.STREAM.{what}.{name}")
        assert may(OPERATOR, f"$JS.API.STREAM.MSG.DELETE.{name}") == (name == DEAD_LETTERS)
        assert may(OPERATOR, f"$JS.API.DIRECT.GET.{name}") == (name == DEAD_LETTERS)
        assert not may(OPERATOR, f"$JS.API.STREAM.MSG.GET.{name}")


@pytest.mark.parametrize("placement", [EVERYWHERE, HERE])
def test_no_consumer_has_the_name_of_another(placement: Placement) -> None:
    names = [placement.durable_name(durable) for durable in DURABLES]
    names += [replay_durable(placement.name, service) for service in SERVICES]
    names += [name for listening in LISTENINGS for name in placement.listener_names(listening)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9_-]+", name) for name in names)


def test_a_service_without_a_stream_of_its_own_tells_nothing_and_hears_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = {service: stream for service, stream in STREAMS.items() if service != "portal"}
    monkeypatch.setattr("firsthand.shared.bus.permissions.STREAMS", silent)
    assert not [one for one in permissions_of("portal", EVERYWHERE).publish if one.startswith("fh.v1.")]
    assert may("portal", "$JS.API.CONSUMER.MSG.NEXT.FH_CONSENT.portal_follow_consent_all")
    assert not may("portal", "$JS.API.STREAM.INFO.FH_PORTAL.x")


def test_there_is_no_user_of_another_name() -> None:
    with pytest.raises(KeyError):
        permissions_of("nobody", EVERYWHERE)
