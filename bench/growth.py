"""What a deployment that has grown still takes: every list page, start-up, sweeps, memory, and the rate of chains.

    python -m bench.growth                                           100,000 contacts, 200,000 events; minutes
    python -m bench.growth --contacts 1000000 --events 10000000      by hand: an hour, 20 GB below --folder

Four institutions, one with 85 of 100 contacts, documents of all five services written through the port; events that no
handler waits for in the four streams of contacts. Then `firsthand up`, asked over HTTP as a coordinator of the big
institution and as a tutor of three of its sixty cases. What the portal's pages hold is checked against the seeds.

Aims: each list page 100 ms p95 and 64 KiB, ready within 5 s, chains within 20 % of an empty deployment.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import nats
import uvloop

from bench.people import People, prepare
from bench.seeded import BIG, INSTITUTIONS, Contact, Seeds, case_id, tutor_id, tutors_of
from firsthand.services.__main__ import SERVICES
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.clock import SystemClock
from firsthand.shared.copies import InstitutionCopy
from firsthand.shared.deployment import KEY_STORE_KINDS, Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.keys import Keys
from firsthand.shared.sessions import SessionIssuer
from firsthand.shared.settings import Settings
from firsthand.shared.store import AlreadyExists, Document, Store
from firsthand.shared.store.opened import open_key_store, open_store
from firsthand.shared.topology import STREAMS
from firsthand.shared.vault import Vault
from tests.e2e.system import all_in_one

_CLOCK: Final = SystemClock()
_TUTOR: Final = tutor_id(0)
_AT_ONCE: Final = 500  # documents written together, in one commit
_ASKED: Final = 40  # times each page
_CHAINS, _WARM, _CHAINS_AT_ONCE = 1000, 100, 500
_PAGE_MS, _PAGE_BYTES, _READY_S = 100, 64 * 1024, 5.0
# Of each stream of contacts an event that no handler waits for: it lies there as the millions do that are handled.
_SUBJECTS: Final = ("contact", "invitation", "meeting", "recording")


# -- seeding


async def seed(settings: Settings, seeds: Seeds) -> None:
    """Write every service's documents, one service after the other."""
    keys = Keys.load(settings.key_folder, create=True)
    for name in SERVICES:
        store = await open_store(settings, name, _CLOCK)
        key_store = await open_key_store(settings, name, _CLOCK)
        started = time.perf_counter()
        try:
            await store.prepare(SERVICES[name].documents)
            await key_store.prepare(KEY_STORE_KINDS)
            vault = Vault(key_store, keys.masters, _CLOCK, service=name)
            await _seed_ground(name, store, seeds)
            written = await _write(store, _documents(name, seeds, vault))
        finally:
            await store.close()
            await key_store.close()
        print(f"seeded {written:,} documents of {name} in {time.perf_counter() - started:.0f} s", flush=True)


async def _seed_ground(name: str, store: Store, seeds: Seeds) -> None:
    """The institutions and cases, as each service knows them."""
    kinds = SERVICES[name].documents
    ground: list[Document] = []
    for institution in INSTITUTIONS:
        state = InstitutionState(
            slug=institution, name="Bench", country="QA", zone="Asia/Qatar", languages=["en"],
            website="https://bench.example", active_contacts_a_case=500,
        )  # fmt: skip
        if InstitutionCopy in kinds:
            ground.append(InstitutionCopy(id=institution, institution=institution, state=state))
        for case, copy in seeds.cases(institution):
            ground += [one for one in (case, copy) if type(one) in kinds]
        if name == "portal":
            (kind,) = (kind for kind in kinds if kind.kind == "institution")
            ground.append(kind(id=institution, institution=institution, state=state))
    for document in ground:
        with suppress(AlreadyExists):
            await store.collection(type(document), document.institution).insert(document)


async def _documents(name: str, seeds: Seeds, vault: Vault) -> AsyncIterator[Document]:
    of: dict[str, Callable[[Contact], Document | None]] = {
        "portal": seeds.of_portal,
        "consent": seeds.of_consent,
        "scheduling": seeds.of_scheduling,
        "archive": seeds.of_archive,
    }
    for one in seeds.all():
        if name == "discovery":
            for lead in await seeds.leads_of(one, vault):
                yield lead
        elif name in of and (document := of[name](one)):
            yield document


async def _write(store: Store, documents: AsyncIterator[Document]) -> int:
    written, batch = 0, []
    async for document in documents:
        batch.append(store.collection(type(document), document.institution).insert(document))
        if len(batch) == _AT_ONCE:
            await asyncio.gather(*batch)
            written, batch = written + len(batch), []
    await asyncio.gather(*batch)
    return written + len(batch)


async def fill_streams(settings: Settings, events: int) -> None:
    """Publish events to all five streams, unsynced until the server ends, and see that all of them are there."""
    server = EmbeddedNats(settings.nats)
    server.sync_interval = "2m"
    await server.start()
    try:
        await apply(BusSettings(url=server.url))
        client = await nats.connect(server.url, pending_size=64 * 1024 * 1024)
        js = client.jetstream()
        before = await _messages(js)
        body, started = b'{"specversion":"1.0","data":"' + b"x" * 870 + b'"}', time.perf_counter()
        for number in range(events):
            entity = _SUBJECTS[number % len(_SUBJECTS)]
            institution = INSTITUTIONS[0 if number % 100 < 85 else 1 + number % 3]
            # Without an id, as events have that are older than the time in which a repeat is known.
            await client.publish(f"fh.v1.{institution}.{entity}.seeded", body)
            if number % 2000 == 1999:
                await client.flush(60)
                await _hold(js, before + number - 20_000)  # what the server has not yet written it keeps in memory
        await _hold(js, before + events)
        await client.close()
        memory = _megabytes(server.pid or 0)
    finally:
        await server.stop()
    took = time.perf_counter() - started
    print(f"published {events:,} events in {took:.0f} s; nats-server then has {memory:.0f} MB", flush=True)


async def _hold(js: Any, messages: int) -> None:
    """Wait until the streams hold so many."""
    async with asyncio.timeout(600):
        while await _messages(js) < messages:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def _messages(js: Any) -> int:
    return sum([(await js.stream_info(stream.name)).state.messages for stream in STREAMS.values()])


# -- asking


@dataclass
class Asked:
    """One address, asked many times."""

    who: str
    path: str
    times: list[float]
    spent: float  # seconds of the server's processor time each
    size: int

    def line(self) -> str:
        p50, p95 = statistics.median(self.times) * 1000, sorted(self.times)[int(len(self.times) * 0.95)] * 1000
        verdict = "met" if p95 <= _PAGE_MS and self.size <= _PAGE_BYTES else "MISSED"
        took = f"{p50:6.1f} {p95:6.1f} {self.spent * 1000:6.1f} ms"
        return f"  {self.who:<12} {self.path:<62} {took} {self.size / 1024:6.1f} KiB  {verdict}"


class Person:
    """One who asks: with a session made anew for each page, as it lasts ten minutes."""

    def __init__(self, http: httpx.AsyncClient, keys: Keys, role: str, person_id: str, server: int = 0) -> None:
        """`server`: the process that is asked, whose processor time is measured."""
        self.role, self.person_id, self.server = role, person_id, server
        self._http = http
        self._issuer = SessionIssuer({"staff": keys.signing["staff"]}, _CLOCK)

    async def get(self, path: str) -> httpx.Response:
        token = self._issuer.staff(BIG, self.person_id, roles=frozenset({self.role}))  # type: ignore[arg-type]
        answer = await self._http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return answer

    async def measure(self, path: str) -> Asked:
        times, size = [], 0
        before = _cpu_seconds(self.server)
        for _ in range(_ASKED):
            started = time.perf_counter()
            answer = await self.get(path)
            times.append(time.perf_counter() - started)
            size = len(answer.content)
        spent = (_cpu_seconds(self.server) - before) / _ASKED
        return Asked(self.role, path if len(path) <= 62 else f"{path[:59]}...", times, spent, size)


def _paths(case: str) -> list[str]:
    return [
        "/portal/today",
        "/portal/api/v1/today",
        "/portal/tasks/remind",
        "/portal/api/v1/tasks/remind",
        "/portal/journeys",
        "/portal/journeys?stage=released",
        "/portal/journeys?stage=discovered",
        f"/portal/journeys?case={case}",
        "/portal/api/v1/journeys",
        "/portal/api/v1/journeys?stage=sent&limit=200",
        "/discovery/leads",
        f"/discovery/leads?case={case}",
        "/discovery/api/v1/leads",
        "/consent/invitations",
        "/consent/invitations?show=waiting",
        "/consent/invitations?show=decided",
        "/consent/api/v1/invitations",
        "/scheduling/meetings",
        "/scheduling/api/v1/meetings",
        "/archive/recordings",
        "/archive/api/v1/recordings",
    ]


# Lists whose answers name a following page, and the same one far into the list.
_DEEP: Final = ("/portal/api/v1/journeys", "/portal/api/v1/tasks/remind", "/discovery/api/v1/leads",
                "/consent/api/v1/invitations", "/scheduling/api/v1/meetings", "/archive/api/v1/recordings")  # fmt: skip
_PAGES_IN: Final = 5


async def ask(url: str, keys: Keys, server: int, only: str) -> list[Asked]:
    asked: list[Asked] = []
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        for role, person_id in (("coordinator", "c" * 32), ("tutor", _TUTOR)):
            person = Person(http, keys, role, person_id, server)
            for path in _paths(case_id(0)):
                if not path.startswith(only):
                    continue
                try:
                    asked.append(await person.measure(path))
                except AssertionError as error:  # a release may not have that page
                    print(f"  {role:<12} {path:<62} not measured: {error.args[0][1]}")
                    continue
                print(asked[-1].line(), flush=True)
                if path in _DEEP:
                    asked += await _deeper(person, path)
    return asked


async def _deeper(person: Person, path: str) -> list[Asked]:
    after = ""
    for _ in range(_PAGES_IN):
        page = (await person.get(f"{path}?after={after}" if after else path)).json()
        if not page.get("next"):
            return []
        after = page["next"]
    found = await person.measure(f"{path}?after={after}")
    found.path = f"{path} ({_PAGES_IN} pages on)"
    print(found.line(), flush=True)
    return [found]


# -- checking


async def check(url: str, keys: Keys, seeds: Seeds) -> None:
    """See that the portal's lists hold what was seeded: who sees what, in order, complete pages, true numbers."""
    sees: dict[str, list[Contact]] = {"coordinator": [], "tutor": []}
    cases = {case for case in range(60) if _TUTOR in tutors_of(case)}
    for one in seeds.all():
        if one.institution == BIG:
            sees["coordinator"].append(one)
            if one.case in cases or one.tutor == _TUTOR:
                sees["tutor"].append(one)
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        for role, seen in sees.items():
            person = Person(http, keys, role, _TUTOR if role == "tutor" else "c" * 32)
            await _check_board(person, seen)
            guided = [one for one in seen if role == "coordinator" or one.tutor == _TUTOR]
            await _check_today(person, seeds, guided)
    print("checked: both boards and days hold the right rows in the right order, and count them rightly")


async def _check_board(person: Person, seen: Sequence[Contact]) -> None:
    numbers = Counter(one.fate for one in seen)
    for stage in ("", "sent", "erased"):
        wanted = [one for one in seen if stage in ("", one.fate)]
        wanted.sort(key=lambda one: (one.moved_at, one.id), reverse=True)
        rows: list[str] = []
        after = ""
        while len(rows) < min(300, len(wanted)):
            asked = {"limit": "100", "after": after, "stage": stage}
            query = urlencode({name: value for name, value in asked.items() if value})
            page = (await person.get(f"/portal/api/v1/journeys?{query}")).json()
            assert page["counts"] == {name: numbers.get(name, 0) for name in page["counts"]}, page["counts"]
            assert len(page["items"]) == 100 or page["next"] is None
            rows += [row["contact_id"] for row in page["items"]]
            after = page["next"] or ""
        assert rows[:300] == [one.id for one in wanted[: len(rows[:300])]], (person.role, stage)


async def _check_today(person: Person, seeds: Seeds, guided: Iterable[Contact]) -> None:
    now = datetime.now(UTC)
    waits = {"remind": timedelta(days=5), "more-times": timedelta(days=3)}
    numbers: Counter[str] = Counter()
    for one in guided:
        journey = seeds.of_portal(one)
        if journey.todo == "meeting":
            assert journey.todo_since
            numbers["meeting" if journey.todo_since <= now + timedelta(days=1) else "coming"] += 1
        elif journey.todo_since and journey.todo_since + waits.get(str(journey.todo), timedelta()) <= now:
            numbers[str(journey.todo)] += 1
    told = (await person.get("/portal/api/v1/today")).json()["numbers"]
    for kind, number in told.items():
        assert abs(number - numbers[kind]) <= 2, (kind, number, numbers[kind])  # time goes on while this counts


# -- the rest


async def sweeps(settings: Settings) -> None:
    """Time what each service looks for every second: what is due, and what waits to be published."""
    for name, service in SERVICES.items():
        store = await open_store(settings, name, _CLOCK)
        try:
            kinds = [kind for kind in service.documents if kind in service.timers]
            due = {kind.kind: await _took(partial(store.due, kind, _CLOCK.now())) for kind in kinds}
            outbox = await _took(store.outbox)
            said = "  ".join(f"{kind} {took * 1e6:.0f} us" for kind, took in due.items())
            print(f"  {name:<12} due: {said or '-'}   outbox {outbox * 1e6:.0f} us")
        finally:
            await store.close()


async def _took(call: Callable[[], Awaitable[Any]]) -> float:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


async def chains(folder: Path) -> tuple[float, float]:
    """Chains a second of all five services in this process on the data of `folder`, which play the people as well, and
    milliseconds of its processor time a chain.
    """
    settings = Settings(data=folder / "data")
    server = EmbeddedNats(settings.nats)
    await server.start()
    try:
        await apply(BusSettings(url=server.url))
        settings = settings.model_copy(update={"nats_url": server.url})
        client = await nats.connect(server.url)
        async with Deployment.started(settings, list(SERVICES.values()), create_keys=True) as deployment:
            await prepare(deployment)
            people = People(client, at_once=_CHAINS_AT_ONCE)
            await people.watch()
            await people.play(_WARM)
            started, spent = time.perf_counter(), time.process_time()
            await people.play(_CHAINS)
            took, spent = time.perf_counter() - started, time.process_time() - spent
            assert len(people.finished) == _WARM + _CHAINS
        await client.close()
    finally:
        await server.stop()
    return _CHAINS / took, spent / _CHAINS * 1000


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _size(folder: Path) -> float:
    """Gigabytes below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


# -- all of it


async def main(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=given.folder.parent if given.folder else None) as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(data=folder / "data")
        seeds = await _seeded(folder, settings, given)
        print(f"databases {_size(settings.databases):.2f} GB, streams {_size(settings.nats):.2f} GB")
        print("sweeps, median of 50:")
        await sweeps(settings)
        os.sync()
        started = time.perf_counter()
        async with all_in_one(folder) as system:
            ready = time.perf_counter() - started
            print(f"ready after {ready:.2f} s (aim {_READY_S:.0f} s): {'met' if ready <= _READY_S else 'MISSED'}")
            assert system.everything.process
            pid = system.everything.process.pid
            print("pages: p50 and p95 of 40, the server's processor time each, bytes; aims 100 ms and 64 KiB:")
            asked = await ask(system.url, system.keys, pid, given.only)
            if not given.no_check:
                await check(system.url, system.keys, seeds)
            (server,) = _children(pid)
            ours, its = _megabytes(pid), _megabytes(server)
            print(f"memory after all pages: firsthand up {ours:.0f} MB, nats-server {its:.0f} MB")
        missed = [one for one in asked if "MISSED" in one.line()]
        print(f"pages that missed: {len(missed)} of {len(asked)}")
        if not given.no_chains:
            await _compare_chains(folder, Path(temporary))


async def _seeded(folder: Path, settings: Settings, given: argparse.Namespace) -> Seeds:
    """Seed the folder, or take it as it is when that was done before."""
    mark = folder / "seeded.json"
    if mark.exists():
        kept = json.loads(mark.read_text())
        print(f"{folder} holds {kept['contacts']:,} contacts and {kept['events']:,} events already")
        return Seeds(kept["contacts"], datetime.fromisoformat(kept["now"]))
    seeds = Seeds(given.contacts, datetime.now(UTC))
    await seed(settings, seeds)
    await fill_streams(settings, given.events)
    mark.write_text(json.dumps({"contacts": given.contacts, "events": given.events, "now": seeds.now.isoformat()}))
    return seeds


async def _compare_chains(folder: Path, temporary: Path) -> None:
    rates: dict[str, list[tuple[float, float]]] = {"empty": [], "grown": []}
    for turn in range(3):
        rates["empty"].append(await chains(temporary / f"empty{turn}"))
        rates["grown"].append(await chains(folder))
    for name, found in rates.items():
        print(f"chains, {name}: " + ", ".join(f"{rate:.0f}/s {spent:.1f} ms each" for rate, spent in found))
    empty, grown = (statistics.median(rate for rate, _ in rates[name]) for name in ("empty", "grown"))
    verdict = "met" if grown >= 0.8 * empty else "MISSED"
    print(f"chains of the grown deployment: {grown / empty:.2f} of an empty one's (aim 0.8): {verdict}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.growth")
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="keeps what is seeded, for the next run")
    parser.add_argument("--only", default="", help="measure the pages below this path only")
    parser.add_argument("--no-chains", action="store_true")
    parser.add_argument("--no-check", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(_arguments()))
