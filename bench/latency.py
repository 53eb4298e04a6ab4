"""How long a hop takes: 20 and 100 journeys a second with all services in one process, 200 with each in its own.

    python -m bench.latency [seconds of each]

Aim at 100 a second: 5 ms for half of the hops and 25 ms for 99 of 100. A hop is from the event that a service takes to
the event that it causes, by the times at which NATS stored the two:

    contact.discovered -> invitation.prepared     consent.granted  -> meeting.offered
    calendar.changed   -> meeting.scheduled       meeting.finished -> recording.awaited

Journeys begin at times that are fixed beforehand, whatever the system does meanwhile. The first hop counts from the
time at which its journey was to begin, so that a stall of anything is in the figures; so does the whole journey, which
ends with `recording.awaited`. People answer in this process, at once; the services and the NATS server are processes of
their own, as `firsthand up` and `firsthand serve` start them. A rate that the services do not keep up with is told as
such, with the rate that they reached. How long the services' threads waited for a core says what else the machine did:
figures of a run in which they waited much are those of a busy machine.
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.people import People, setting
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.events import parse_event
from tests.e2e.system import System, all_in_one, apart

_SECONDS: Final = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
_WARM: Final = 3.0  # seconds of journeys before those that are counted
_KEPT_UP: Final = 2.0  # seconds after the last arrival within which the last journey has ended, else it is overloaded
_WITHIN: Final = 120.0  # seconds for all journeys to end
_AIM: Final = (5.0, 25.0)  # ms, for the half and for 99 of 100, at 100 a second in one process
_STREAMS: Final = ("FH_DISCOVERY", "FH_CONSENT", "FH_SCHEDULING", "FH_ARCHIVE")
# What a service tells, and what it was told before.
_HOPS: Final = {
    "firsthand.invitation.prepared.v1": "firsthand.contact.discovered.v1",
    "firsthand.meeting.offered.v1": "firsthand.consent.granted.v1",
    "firsthand.meeting.scheduled.v1": "firsthand.calendar.changed.v1",
    "firsthand.recording.awaited.v1": "firsthand.meeting.finished.v1",
}
_LAST: Final = "firsthand.recording.awaited.v1"


@dataclass
class Seen:
    """When each event of each journey was stored, in seconds of the machine's clock."""

    intended: dict[str, float] = field(default_factory=dict)
    stored: dict[tuple[str, str], float] = field(default_factory=dict)
    one_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, journey: str, kind: str, at: float) -> None:
        self.stored.setdefault((journey, kind), at)  # a second meeting.offered would not be this hop

    def hops(self, journeys: list[str]) -> dict[str, list[float]]:
        """Give the milliseconds of each hop of these journeys, by the event that it ends with."""
        found: dict[str, list[float]] = {}
        for effect, cause in _HOPS.items():
            first = cause == "firsthand.contact.discovered.v1"
            begun = {one: self.intended[one] if first else self.stored[one, cause] for one in journeys}
            found[effect] = [1000 * (self.stored[one, effect] - begun[one]) for one in journeys]
        return found

    def whole(self, journeys: list[str]) -> list[float]:
        return [1000 * (self.stored[one, _LAST] - self.intended[one]) for one in journeys]


async def _watch(client: Client, people: People, seen: Seen) -> None:
    """Let people answer what the services tell, and note when it was stored."""

    async def see(message: Msg) -> None:
        event = parse_event(message.data)
        seen.note(event.correlationid, event.event_type(), message.metadata.timestamp.timestamp())
        await people.see(message)
        if event.event_type() == _LAST:
            seen.one_ended.set()

    js = client.jetstream()
    for stream in _STREAMS:
        await js.subscribe("", stream=stream, cb=see, ordered_consumer=True)
    await client.flush()


async def _enter(client: Client, people: People) -> None:
    """Tell of the institution and the case, and see one journey to its end: then all services know them."""
    js = client.jetstream()
    for event in setting():
        await js.publish(event.nats_subject, event.wire(), headers={"Nats-Msg-Id": event.id})
    await people.play(1)


async def _play(people: People, seen: Seen, rate: float, seconds: float) -> list[str]:
    """Begin journeys at times fixed beforehand; gives them in this order."""
    started = time.time() + 0.1
    journeys = []
    for number in range(round(rate * seconds)):
        intended = started + number / rate
        if (early := intended - time.time()) > 0:
            await asyncio.sleep(early)
        journey = await people.begin()
        seen.intended[journey] = intended
        journeys.append(journey)
    return journeys


def _processor(system: System) -> tuple[float, float]:
    """Seconds for which the services' threads had a core, and for which they waited for one: what others took."""
    had = waited = 0
    for program in system.programs.values():
        assert program.process
        for thread in Path(f"/proc/{program.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread of a pool may have ended
                ran, waiting, _ = thread.joinpath("schedstat").read_text().split()
                had, waited = had + int(ran), waited + int(waiting)
    return had / 1e9, waited / 1e9


async def _measure(system: System, url: str, rates: tuple[int, ...], where: str) -> None:
    client = await nats.connect(url)
    seen = Seen()
    people = People(client, at_once=1)
    await _watch(client, people, seen)
    await _enter(client, people)
    for rate in rates:
        await _play(people, seen, rate, _WARM)
        before = _processor(system)
        journeys = await _play(people, seen, rate, _SECONDS)
        last = time.time()
        had, waited = (after - then for after, then in zip(_processor(system), before, strict=True))
        in_time = len(people.finished & set(journeys))
        async with asyncio.timeout(_WITHIN):
            while not people.finished >= seen.intended.keys():
                seen.one_ended.clear()
                await seen.one_ended.wait()
        behind = max(seen.stored[journey, _LAST] for journey in journeys) - last
        print(f"latency  {rate} journeys a second, {where}")
        cores = f"had {had / _SECONDS:.2f} cores, and waited {waited / _SECONDS:.2f} of the time for one"
        print(f"         the services' threads {cores}", flush=True)
        if behind > _KEPT_UP:
            print(f"         OVERLOADED: {in_time / _SECONDS:.0f} a second ended; the last was {behind:.0f} s behind")
        _tell(seen, journeys, aim=rate == 100 and len(system.programs) == 1)
    await client.close()


def _tell(seen: Seen, journeys: list[str], *, aim: bool) -> None:
    hops = seen.hops(journeys)
    for effect, times in hops.items():
        entity, _, name = effect.removeprefix("firsthand.").removesuffix(".v1").partition(".")
        print(f"         to {f'{entity}.{name}':<20} {_half(times):7.1f} ms, p99 {_most(times):7.1f} ms")
    every = [took for times in hops.values() for took in times]
    half, most = _half(every), _most(every)
    print(f"         every hop               {half:7.1f} ms, p99 {most:7.1f} ms, at most {max(every):.0f} ms")
    whole = seen.whole(journeys)
    print(f"         the whole journey       {_half(whole):7.1f} ms, p99 {_most(whole):7.1f} ms", flush=True)
    if aim:
        told = "met" if half <= _AIM[0] and most <= _AIM[1] else "MISSED"
        print(f"         aim {_AIM[0]:.0f} ms, p99 {_AIM[1]:.0f} ms: {told}", flush=True)


def _half(times: list[float]) -> float:
    return statistics.median(times)


def _most(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.99))]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with all_in_one(Path(folder)) as system:
            url = address_of(system.data / "nats")
            assert url
            await _measure(system, url, (20, 100), "all services in one process")
    with tempfile.TemporaryDirectory() as folder:
        async with apart(Path(folder)) as system:
            assert system.nats
            await _measure(system, system.nats.url, (200,), "each service in a process of its own")


if __name__ == "__main__":
    uvloop.run(main())
