"""What can be seen of all clocks from here: this machine's, NATS's, and those by which the services go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import nats.errors

from firsthand.shared.bus.connection import NoServer, connected
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.bus.times import Times, times_of
from firsthand.shared.clock import SystemClock
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.settings import Settings
from firsthand.shared.status_survey import Asked, ask
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.opened import has_key_store, open_key_store
from firsthand.shared.topology import STREAMS
from firsthand.shared.trusted_clock import TOLERANCE, Reading, TrustedClock, spelled


@dataclass(frozen=True)
class ServiceClock:
    """One service's clock, as the service itself says; or this machine's, judged as that service would at a start."""

    service: str
    runs: bool
    reading: Reading


@dataclass(frozen=True)
class Survey:
    """All clocks at one moment."""

    now: datetime  # by this machine
    nats: Times
    services: list[ServiceClock]  # without those that neither answer nor can be looked at

    @property
    def amiss(self) -> dict[str, list[str]]:
        """What is amiss, each sentence once, with the services that say it."""
        found: dict[str, list[str]] = {}
        for one in self.services:
            if one.reading.sentence:
                names = found.setdefault(one.reading.sentence, [])
                names += [one.service] if one.service not in names else []  # of several replicas
        return found

    @property
    def apart(self) -> str:
        """How this machine's clock and the NATS server's differ; empty when they agree."""
        server = self.nats.server
        if server is None or abs(self.now - server) <= TOLERANCE:
            return ""
        way = "ahead of" if self.now > server else "behind"
        return f"This machine's clock is {spelled(abs(self.now - server))} {way} NATS's server. Correct one of them."


async def survey(settings: Settings, services: Sequence[str], asked: Asked | None = None) -> Survey:
    """Look at everything that answers; changes nothing. `asked`: what the services answered already."""
    times = await _times(settings)
    asked = asked or await ask(settings, services)
    found: list[ServiceClock] = []
    for service in services:
        clocks = [status.clock for status in asked.of(service) if status.clock]
        found += [ServiceClock(service, True, Reading(**clock.model_dump())) for clock in clocks]
        if not clocks and (judged := await _judged(settings, service, times)):
            found.append(ServiceClock(service, False, judged))
    return Survey(SystemClock().now(), times, found)


async def _times(settings: Settings) -> Times:
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        return Times()
    try:
        async with connected(bus_settings(settings.model_copy(update={"nats_url": url}))) as client:
            return await times_of(client, [stream.name for stream in STREAMS.values()])
    except (NoServer, nats.errors.Error, TimeoutError, OSError):
        return Times()  # that it does not answer is found elsewhere


async def _judged(settings: Settings, service: str, times: Times) -> Reading | None:
    """What a service would say of this machine's clock if it started now, by the mark in its key store."""
    from firsthand.shared.deployment import KEY_STORE_KINDS  # and with it all that runs a service

    if not has_key_store(settings, service):
        return None
    clock = SystemClock()
    try:
        keys = await open_key_store(settings, service, clock)
        try:
            await keys.prepare(KEY_STORE_KINDS)
            trusted = TrustedClock(clock, keys)
            await trusted.load(times)
            return trusted.read()
        finally:
            await keys.close()
    except StoreUnavailable:  # it runs, and holds the file
        return None


__all__ = ["ServiceClock", "Survey", "survey"]
