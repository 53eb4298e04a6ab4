"""The table of streams and durables agrees with itself and with the events."""

import re
from datetime import timedelta

import pytest

from firsthand.shared.events import EVENTS
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.topology import DURABLES, ERASURE_ANSWERS, STREAMS, Durable, Placement, durables_of


def test_every_event_has_a_stream_that_takes_it_and_no_other_does() -> None:
    for event in EVENTS.values():
        taking = [
            stream.name
            for stream in STREAMS.values()
            for subject in stream.subjects
            if re.fullmatch(
                subject.replace(".", r"\.").replace("*", r"[^.]+").replace(">", ".+"), event.filter_subject("qu-cdm")
            )
        ]
        assert taking == [f"FH_{event.service.upper()}"]


@pytest.mark.parametrize("durable", DURABLES, ids=lambda d: f"{d.service}-{d.handler}")
def test_a_durable_is_of_one_stream_and_its_names_fit_a_subject(durable: Durable) -> None:
    assert durable.stream in STREAMS.values()
    assert re.fullmatch(r"[a-z]+", durable.service)
    assert re.fullmatch(r"[a-z_]+", durable.handler)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", Placement().durable_name(durable))


def test_no_service_has_two_handlers_of_one_name() -> None:
    names = [(durable.service, durable.handler, durable.producer) for durable in DURABLES]
    assert len(names) == len(set(names))
    of_several = {name[:2] for name in names if name[2]}  # one handler of what several services produce
    assert not of_several & {name[:2] for name in names if not name[2]}


def test_a_placement_hears_of_its_institutions_only() -> None:
    here = Placement("doha", (InstitutionId("qu-cdm"), InstitutionId("wcm-q")))
    (durable,) = (d for d in durables_of("consent") if d.handler == "keep_case")
    assert here.filter_subjects(durable) == ("fh.v1.qu-cdm.case.changed", "fh.v1.wcm-q.case.changed")
    assert Placement().filter_subjects(durable) == ("fh.v1.*.case.changed",)
    assert here.durable_name(durable) == "consent_keep_case_doha"


def test_consent_hears_every_answer_that_an_erasure_waits_for() -> None:
    heard = {event.event_type() for durable in durables_of("consent") for event in durable.events}
    assert {f"firsthand.{service}.erased.v1" for service in ERASURE_ANSWERS} <= heard


def test_every_service_that_must_answer_an_erasure_hears_of_it() -> None:
    for service in ERASURE_ANSWERS:
        heard = {event.event_type() for durable in durables_of(service) for event in durable.events}
        assert "firsthand.erasure.requested.v1" in heard


def test_repeats_are_recognised_for_longer_than_any_outage_that_a_relay_sits_out_unnoticed() -> None:
    assert all(stream.duplicate_window >= timedelta(minutes=10) for stream in STREAMS.values())
