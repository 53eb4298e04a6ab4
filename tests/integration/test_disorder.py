"""Events come late, twice and in any order, and processes die between any two writes: the end is the same."""

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firsthand.services.__main__ import SERVICES
from firsthand.services.archive.model import Recording
from firsthand.services.consent.model import Journey
from firsthand.services.discovery.model.people import Person
from firsthand.services.portal.model.journey import Journey as PortalJourney
from firsthand.services.scheduling.model import Meeting
from firsthand.services.webhooks.model import Recipients
from firsthand.shared.clock import ManualClock
from firsthand.shared.events import AnyEvent
from firsthand.shared.store import Document
from firsthand.shared.topology import durables_of
from tests.told import Alone, Died, Life, Told, alone, played

pytestmark = [pytest.mark.xdist_group("disorder"), pytest.mark.timeout(300)]

KINDS: dict[str, type[Document]] = {
    "archive": Recording, "consent": Journey, "discovery": Person, "portal": PortalJourney, "scheduling": Meeting,
    "webhooks": Recipients,
}  # fmt: skip
# Hundreds of stores are made, and none outlives a test.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
FILM = "film"  # the moment at which a recording is taken in
# What another process makes of the same facts: ids, times of work, and what was counted on the way.
_OF_THE_PROCESS = {
    "version", "applied", "moved_at", "changed_at", "erased_at", "voids", "file_sequence", "reschedules", "said_no_at"
}  # fmt: skip

Step = AnyEvent | str
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return asyncio.run(played(tmp_path_factory.mktemp("played")))


@asynccontextmanager
async def fresh(name: str, told: Told, contact: str) -> AsyncIterator[Alone]:
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    try:
        async with alone(name, folder, _clock(told)) as service:
            await service.known(told, contact)
            yield service
    finally:
        shutil.rmtree(folder)


def _clock(told: Told) -> ManualClock:
    return ManualClock(told.events[-1].time + timedelta(minutes=1))


def heard_by(name: str, told: Told, contact: str) -> list[Step]:
    """What this service is given of a contact's journey, in order; archive is brought a film after the meeting."""
    given = {event for durable in durables_of(name) for event in durable.events}
    steps: list[Step] = []
    for event in told.of(contact):
        if type(event) in given:
            steps.append(event)
            if name == "archive" and event.entity == "meeting":
                steps.append(FILM)
    return steps


async def go(service: Alone, told: Told, contact: str, step: Step) -> None:
    if isinstance(step, str):
        shas = [e.data.sha256 for e in told.of(contact) if e.event_type() == "firsthand.recording.archived.v1"]
        await service.film(contact, shas[0] if shas else "0" * 64, service.context.clock.now())
    else:
        await service.hear(step)


async def ends_as(service: Alone, contact: str) -> dict[str, Any]:
    (document,) = [d for d in await service.documents(KINDS[service.name]) if d.id == contact]
    ledger = await service.context.vault.erased(document.institution)
    return document.model_dump(exclude=_OF_THE_PROCESS) | {"ledger": sorted(ledger)}


async def through(name: str, told: Told, contact: str, steps: list[Step]) -> tuple[dict[str, Any], list[str]]:
    async with fresh(name, told, contact) as service:
        for step in steps:
            await go(service, told, contact, step)
        await service.look()
        return await ends_as(service, contact), await service.told()


def shuffled(steps: list[Step], seed: int) -> list[Step]:
    """Some of them twice, all of them in another order."""
    chance = random.Random(seed)
    again = [step for step in steps if chance.random() < 0.4]
    return chance.sample([*steps, *again], k=len(steps) + len(again))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_whatever_order_an_erased_journey_is_told_in_its_end_is_the_same(name: str, told: Told) -> None:
    steps = heard_by(name, told, told.whole)
    in_order, said = asyncio.run(through(name, told, told.whole, steps))
    final = set(_ANSWERS.values())

    @FEW
    @given(st.integers(0, 2**32))
    def any_order(seed: int) -> None:
        end, said_now = asyncio.run(through(name, told, told.whole, shuffled(steps, seed)))
        assert _essence(name, end) == _essence(name, in_order)
        short = [type_.removeprefix("firsthand.").removesuffix(".v1") for type_ in said_now]
        assert [one for one in short if one in final] == ([] if name == "portal" else [_ANSWERS[name]])
        if name != "portal":
            assert short[-1] == _ANSWERS[name], "nothing is told of a contact that is erased"

    assert name == "portal" or f"firsthand.{_ANSWERS[name]}.v1" in said
    any_order()


_ANSWERS = {
    "archive": "archive.erased", "scheduling": "scheduling.erased", "discovery": "discovery.erased",
    "consent": "erasure.completed", "webhooks": "webhooks.erased",
}  # fmt: skip


def _essence(name: str, end: dict[str, Any]) -> dict[str, Any]:
    """What of an erased contact's document may not depend on the order."""
    if name == "scheduling":  # which codes were erased depends on what was there
        return {key: end[key] for key in end if key not in {"erased", "language", "cancelled_by", "to_free", "letters"}}
    if name == "archive":  # a tombstone: the facts that no longer count are left as they came
        return {key: end[key] for key in ("state", "media", "audience", "allowed", "erasure_id", "due_at", "ledger")}
    if name == "consent":  # when each service answered is when it was heard
        return {key: end[key] for key in end if key not in {"answers", "receipt", "due_at"}} | {
            "answered": sorted(end["answers"])
        }
    return end


@pytest.mark.parametrize("which", ["undone", "declined"])
@pytest.mark.parametrize("name", ["archive", "discovery", "portal", "scheduling"])
def test_whatever_order_a_journey_is_told_in_its_last_word_counts(name: str, which: str, told: Told) -> None:
    contact = getattr(told, which)
    steps = heard_by(name, told, contact)
    in_order, _ = asyncio.run(through(name, told, contact, steps))

    @FEW
    @given(st.integers(0, 2**32))
    def any_order(seed: int) -> None:
        end, _ = asyncio.run(through(name, told, contact, shuffled(steps, seed)))
        if name == "scheduling":
            assert not end["allowed"]
            assert end["state"] in {"none", "cancelled"}
            assert not end["letters"]
            assert not end["to_free"]
        elif name == "archive":
            assert {**end, "allowed": []} == {**in_order, "allowed": []}  # scopes that nothing is in force of
        else:
            assert end == in_order

    any_order()


def test_no_order_publishes_a_recording_after_a_withdrawal_was_heard(told: Told) -> None:
    steps = heard_by("archive", told, told.whole)

    async def play(seed: int) -> None:
        async with fresh("archive", told, told.whole) as service:
            ended = False
            for step in shuffled(steps, seed):
                before = len(await service.told())
                await go(service, told, told.whole, step)
                if ended:
                    assert not [t for t in (await service.told())[before:] if "published" in t or "archived" in t]
                (recording,) = await service.documents(Recording) or [None]
                assert not (ended and recording.audience)  # type: ignore[union-attr]
                ended = ended or (
                    not isinstance(step, str) and step.event_type() in {
                        "firsthand.consent.withdrawn.v1", "firsthand.erasure.requested.v1"
                    }
                )  # fmt: skip

    @FEW
    @given(st.integers(0, 2**32))
    def any_order(seed: int) -> None:
        asyncio.run(play(seed))

    any_order()


@pytest.mark.parametrize(
    ("name", "which"),
    [*((name, "whole") for name in sorted(SERVICES)), *((name, "undone") for name in ("discovery", "scheduling"))],
)
def test_a_process_killed_before_or_after_any_write_loses_nothing_and_doubles_nothing(
    name: str, which: str, told: Told
) -> None:
    """Every moment is tried: what was in hand is given again after a restart, which applies the erasure ledger."""
    contact = getattr(told, which)
    steps = heard_by(name, told, contact)
    in_order, said = asyncio.run(through(name, told, contact, steps))

    async def dies_at(moment: int) -> bool:
        folder, clock, life = Path(tempfile.mkdtemp(dir=MEMORY)), _clock(told), Life(moment)
        left = list(steps)
        try:
            async with alone(name, folder, clock) as service:
                await service.known(told, contact)
            async with alone(name, folder, clock, life) as service:
                try:
                    while left:
                        await go(service, told, contact, left[0])
                        left.pop(0)
                    await service.look()
                except Died:
                    pass
                else:
                    return False
            async with alone(name, folder, clock) as service:
                for step in left:
                    await go(service, told, contact, step)
                await service.look()
                end, said_now = await ends_as(service, contact), await service.told()
        finally:
            shutil.rmtree(folder)
        assert _essence(name, end) == _essence(name, in_order), moment
        assert Counter(said_now) == Counter(said), moment
        return True

    async def every_moment() -> int:
        moment = 1
        while await dies_at(moment):
            moment += 1
        return moment

    assert asyncio.run(every_moment()) > 10
