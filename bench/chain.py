"""Chains a second over the four hops between services, beside the bare driver in the same run.

Aim: 0.6 of the floor that publishes singly, 0.35 of the one that publishes in atomic batches.

A hop is: take an event, write one document durably, publish the event that it causes.

    contact.discovered -> invitation.prepared      consent     prepare_invitation
    consent.granted    -> meeting.offered          scheduling  follow_consent
    calendar.changed   -> meeting.scheduled        scheduling  make_meeting
    meeting.finished   -> recording.awaited        archive     await_recording

Ours: the real handlers of the three services in one process, with vault, store, outbox and relay. What people do
between the hops (answer, decide, choose a time, close the meeting) is published by a process of their own; it is as
many events again. Everything else that the three services handle of these events (consent follows the meeting, archive
follows the consent) runs as well.

Floors: `bench.bare`.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import nats
import uvloop

from bench.bare import Bare
from bench.people import check, prepare
from firsthand.services.archive.app import SERVICE as ARCHIVE
from firsthand.services.consent.app import SERVICE as CONSENT
from firsthand.services.scheduling.app import SERVICE as SCHEDULING
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.topology_apply import apply
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.settings import Settings

_CHAINS = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
_AT_ONCE = 500  # chains begun and not yet finished
_SERVICES = (CONSENT, SCHEDULING, ARCHIVE)


async def floor(server: EmbeddedNats, folder: Path, *, atomic: bool) -> float:
    """Four bare consumers, one after another; gives chains a second."""
    client = await nats.connect(server.url)
    bare = Bare(client, folder, atomic=atomic)
    await bare.start()
    started = time.perf_counter()
    await bare.play(_CHAINS)
    took = time.perf_counter() - started
    await bare.stop(_CHAINS)
    await client.close()
    return _CHAINS / took


async def ours(server: EmbeddedNats, folder: Path) -> float:
    """The real services; gives chains a second."""
    await apply(BusSettings(url=server.url))
    settings = Settings(data=folder / "data", nats_url=server.url)
    async with Deployment.started(settings, _SERVICES, create_keys=True) as deployment:
        await prepare(deployment)
        people = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.people", server.url, str(_CHAINS), str(_AT_ONCE),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await people.communicate()
        assert people.returncode == 0
        await check(deployment, _SERVICES, _CHAINS)
    return _CHAINS / float(told)


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = EmbeddedNats(folder / "nats")
        await server.start()
        bare = await floor(server, folder, atomic=False)
        batched = await floor(server, folder, atomic=True)
        real = await ours(server, folder)
        await server.stop()
    print(f"chain  floor {bare:.0f} chains/s, in atomic batches {batched:.0f}   ours {real:.0f}")
    print(f"       ratios {real / bare:.2f} (aim 0.6) and {real / batched:.2f} (aim 0.35)")


if __name__ == "__main__":
    uvloop.run(main())
