"""What `firsthand doctor` examines, each finding one sentence that says what to do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import nats.errors
import nats.js.errors

from firsthand.shared.bucket import BucketUnavailable, bucket_of
from firsthand.shared.bus.connection import BusSettings, NoServer, NotPermitted, connected
from firsthand.shared.bus.dead_letters import DeadLetters
from firsthand.shared.bus.placements import overlaps, recorded, spelled
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.bus.topology_apply import drift
from firsthand.shared.certificates import NotReached, TlsServer, certificate_of
from firsthand.shared.clock import SystemClock
from firsthand.shared.clock_survey import survey
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.keys import Keys, KeysError, exposed
from firsthand.shared.mail import MailRefused, MailUnavailable, SmtpMailer, mailer_of
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.status import COUNTED_UP_TO, DiskStatus, Status, disks_of, host, version
from firsthand.shared.status_survey import Asked, ask
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.opened import open_store, store_file

if TYPE_CHECKING:
    from firsthand.shared.service import Service

Level = Literal["ok", "warning", "fault"]

_SOON: Final = timedelta(days=14)  # a certificate that renews itself has been renewed by then
_PUBLISHED_WITHIN: Final = timedelta(seconds=30)  # an event that waits for longer waits for a reason
# Bytes. Below the first nothing is safe to be written; below the second there is time to act.
_NO_ROOM: Final = 1 << 30
_LITTLE_ROOM: Final = 5 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A warning becomes a fault if nobody acts; a fault makes the exit code 1."""

    check: str
    level: Level
    text: str


async def examine(settings: Settings, services: "Mapping[str, Service]") -> list[Finding]:
    """Look at everything that can be seen from here without changing anything.

    `services` by name; only one that does not run, and whose database can be looked at, is taken from there, and so
    loaded.
    """
    asked = await ask(settings, list(services))
    now = SystemClock().now()
    return [
        *_address(settings),
        *_keys(settings),
        *_running(asked, now),
        *await _stores(settings, services, asked),
        *_disks(settings, asked),
        *await _bucket(settings),
        *await _mail(settings),
        *await examine_certificates(settings, now),
        *await _nats(settings, asked),
        *await _clocks(settings, services, asked),
    ]


def _address(settings: Settings) -> list[Finding]:
    if settings.address_is_loopback:
        told = f"{settings.address} is this machine only: no link can be copied for a real family yet."
        return [Finding("address", "ok", told)]
    if not settings.address.startswith("https://"):
        told = f"{settings.address} is not encrypted. Put a reverse proxy with TLS before it."
        return [Finding("address", "fault", told)]
    return [Finding("address", "ok", f"families reach us at {settings.address}")]


def _keys(settings: Settings) -> list[Finding]:
    folder = settings.key_folder
    try:
        keys = Keys.load(folder)
    except KeysError as error:
        return [Finding("keys", "fault", str(error))]
    found = [Finding("keys", "ok", f"keys in {folder}: deployment key {keys.masters.fingerprint}")]
    found += [Finding("keys", "fault", f"{folder}/{name} can be read by others: chmod 600") for name in exposed(folder)]
    if folder.is_relative_to(settings.data):
        told = f"the keys lie inside the data folder: leave {folder} and {settings.mail} out of data backups"
        found.append(Finding("keys", "ok", told))
    return found


def _running(asked: Asked, now: datetime) -> list[Finding]:
    """What each replica that runs says of itself."""
    found = [
        Finding("services", "fault", f"{name} is there but does not finish its answer: look at its log and its load")
        for name in asked.silent
    ]
    for status in asked.statuses:
        name = _named(status, asked)
        found += [Finding("services", "fault", f"{name} is not ready: {one}") for one in status.problems]
        found += [
            Finding("services", "warning", f"{name} is impaired: {one}")
            for one in status.impaired
            if not (status.clock and one == status.clock.sentence)  # told among the clocks
        ]
        if status.version and status.version != version():
            told = f"{name} is of release {status.version}, this command of {version()}: upgrade the older one"
            found.append(Finding("services", "warning", told))
        found += [Finding("services", "fault", f"{name}: {one}. Restart it.") for one in status.drift or ()]
        if status.waiting and status.waiting_since and now - status.waiting_since > _PUBLISHED_WITHIN:
            many = f"{status.waiting} or more" if status.waiting >= COUNTED_UP_TO else str(status.waiting)
            since = _at(status.waiting_since)
            told = f"{name}: {many} events wait to be published since {since}. Look at NATS and at its log"
            found.append(Finding("services", "fault", told))
        if not status.problems:
            placed = f", placement {status.placement}" if status.placement not in {"", "all"} else ""
            found.append(Finding("services", "ok", f"{name} runs and is ready{placed}"))
    return found


def _named(status: Status, asked: Asked) -> str:
    """A service's name, with its host where several replicas answered."""
    several = len(asked.of(status.service)) > 1
    return f"{status.service} on {status.host}" if several and status.host else status.service


async def _stores(settings: Settings, services: "Mapping[str, Service]", asked: Asked) -> list[Finding]:
    """Look at the servers, and into the databases of services that do not run. A running one was asked."""
    try:
        found = await _servers(settings)
    except StoreUnavailable as error:
        return [Finding("stores", "fault", str(error))]
    for name in services:
        if asked.of(name) or name in asked.silent:
            continue
        if not settings.mongo_url and not store_file(settings, name).exists():
            told = f"{name} does not run, and has no database here yet; it is created at the first start"
            found.append(Finding("stores", "ok", told))
            continue
        try:
            store = await open_store(settings, name, SystemClock())
        except StoreUnavailable as error:
            told = f"{name} could not be asked, neither over NATS nor at {settings.address}, and its database: {error}"
            found.append(Finding("stores", "fault" if settings.mongo_url else "warning", told))
            continue
        try:
            differences = await store.drift(services[name].documents)
            waiting = len(await store.outbox(1000))
        finally:
            await store.close()
        found += [Finding("stores", "fault", f"{name}: {difference}") for difference in differences]
        indexes = "differ (the next start recreates them)" if differences else "as declared"
        told = f"{name} does not run; its indexes are {indexes}; {waiting} events wait to be published"
        found.append(Finding("stores", "fault" if waiting else "ok", told + (": start it" if waiting else "")))
    return found


async def _servers(settings: Settings) -> list[Finding]:
    """Raise StoreUnavailable."""
    urls = dict.fromkeys(filter(None, (settings.mongo_url, settings.keys_mongo_url)))
    if not urls:
        return []
    from firsthand.shared.store.mongo_client import examine_server  # the driver, where there is a server

    seen = [one for url in urls for one in await examine_server(url)]
    return [Finding("stores", "ok" if good else "fault", text) for good, text in seen]


def _disks(settings: Settings, asked: Asked) -> list[Finding]:
    """The room here, and where services on other machines write."""
    here: list[tuple[str, DiskStatus]] = [("", disk) for disk in disks_of(settings)] if settings.data.is_dir() else []
    there = [(status.host, disk) for status in asked.statuses for disk in status.disks if status.host != host()]
    own = [("", disk) for status in asked.statuses for disk in status.disks if status.host == host()]
    seen = {(where, disk.device): disk for where, disk in [*there, *own, *here]}
    return [room(where, disk) for (where, _), disk in seen.items()]


def room(where: str, disk: DiskStatus) -> Finding:
    """Judge the room of a disk; `where` names another machine."""
    place = f"{disk.folder} on {where}" if where else disk.folder
    told = f"{place}: {_bytes(disk.free)} of {_bytes(disk.total)} free"
    if disk.free < _NO_ROOM:
        return Finding("disk", "fault", f"{told}. Make room now: soon nothing more can be saved")
    if disk.free < _LITTLE_ROOM:
        return Finding("disk", "warning", f"{told}. Make room, before a recording fills it")
    return Finding("disk", "ok", told)


async def _bucket(settings: Settings) -> list[Finding]:
    bucket = bucket_of(settings)
    if bucket is None:
        return []
    try:
        await bucket.check()
    except BucketUnavailable as error:
        where = settings.media_endpoint or "Amazon's address, as FIRSTHAND_MEDIA_ENDPOINT is not set"
        return [Finding("media", "fault", f"{error}. It was asked for at {where}.")]
    return [Finding("media", "ok", f"the bucket {bucket.name} answers; finished recordings lie there")]


async def _mail(settings: Settings) -> list[Finding]:
    if settings.smtp_url:
        return [await _mail_server(settings)]
    if settings.address_is_loopback:
        return [Finding("mail", "ok", f"mail is kept in {settings.mail}, and shown at /portal/mail")]
    told = f"mail is only kept in {settings.mail}, and reaches nobody: set FIRSTHAND_SMTP_URL"
    return [Finding("mail", "warning", told)]


async def _mail_server(settings: Settings) -> Finding:
    try:
        mailer = mailer_of(settings, SystemClock())
        await mailer.check()
        utf8 = await mailer.takes_utf8()
    except CannotStart as error:
        return Finding("mail", "fault", str(error))
    except MailUnavailable as error:
        told = f"no mail can be sent: {error}. Are FIRSTHAND_SMTP_URL and FIRSTHAND_MAIL_FROM right?"
        return Finding("mail", "fault", told)
    if settings.mail_from == Settings.model_fields["mail_from"].default:
        told = "FIRSTHAND_MAIL_FROM is not set: other mail servers refuse mail from an address of nowhere"
        return Finding("mail", "fault", told)
    name, port, encryption = SmtpMailer(settings.smtp_url, SystemClock(), settings.mail_from).server
    letters = "also" if utf8 else "but not"
    told = f"the mail server at {name}:{port} takes mail, {letters} to addresses such as josé@example.org (SMTPUTF8)"
    if encryption == "none":
        return Finding("mail", "warning", f"{told}. It is sent without encryption: leave out ?starttls=0")
    return Finding("mail", "ok", told)


async def examine_certificates(settings: Settings, now: datetime) -> list[Finding]:
    """Look at the certificate of every server to which somebody speaks TLS by these settings."""
    servers = _tls_servers(settings)
    return list(await asyncio.gather(*(_certificate(what, server, now) for what, server in servers)))


def _tls_servers(settings: Settings) -> list[tuple[str, TlsServer]]:
    found: list[tuple[str, TlsServer]] = []
    for what, url in (
        ("the public address", settings.public_url),
        ("the S3 server", settings.media_endpoint),
        ("the collector of traces", settings.event_traces_url),
    ):
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            found.append((what, TlsServer(parts.hostname, parts.port or 443)))
    for url in settings.nats_url.split(","):
        parts = urlsplit(url.strip())
        if parts.scheme == "tls" and parts.hostname:
            found.append(("NATS", TlsServer(parts.hostname, parts.port or 4222, "nats")))
    found += [("MongoDB", server) for server in _mongo_servers(settings)]
    if settings.smtp_url:
        try:
            name, port, encryption = SmtpMailer(settings.smtp_url, SystemClock(), settings.mail_from).server
        except (ValueError, MailRefused):
            return found  # told among the mail
        if encryption != "none":
            found.append(("the mail server", TlsServer(name, port, encryption)))
    return found


def _mongo_servers(settings: Settings) -> list[TlsServer]:
    urls = dict.fromkeys(filter(None, (settings.mongo_url, settings.keys_mongo_url)))
    if not urls:
        return []
    from firsthand.shared.store.mongo_client import Address  # the driver, where there is a server

    try:
        addresses = [Address(url) for url in urls]
    except StoreUnavailable:
        return []  # told among the stores
    servers = [
        TlsServer(host, port, authority=one.tls_authority) for one in addresses for host, port in one.tls_servers
    ]
    return list(dict.fromkeys(servers))


async def _certificate(what: str, server: TlsServer, now: datetime) -> Finding:
    try:
        seen = await certificate_of(server)
    except NotReached as error:
        return Finding("certificates", "warning", f"the certificate of {what} could not be looked at: {error}")
    told = f"the certificate of {what}, {server.place},"
    if seen.ends <= now:
        return Finding("certificates", "fault", f"{told} expired on {_at(seen.ends)}. Renew it now")
    if seen.refused:
        return Finding("certificates", "fault", f"{told} is refused by clients: {seen.refused}. Replace it")
    if seen.ends - now < _SOON:
        return Finding("certificates", "warning", f"{told} expires on {_at(seen.ends)}. Renew it before")
    return Finding("certificates", "ok", f"{told} is good until {_at(seen.ends)}")


async def _nats(settings: Settings, asked: Asked) -> list[Finding]:
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        told = "no NATS server runs; start `firsthand up`, or set FIRSTHAND_NATS_URL"
        return [Finding("topology", "fault", told)]
    bus = bus_settings(settings.model_copy(update={"nats_url": url}))
    try:
        differences = await drift(bus)
        found = [Finding("topology", "fault", one) for one in differences] or [
            Finding("topology", "ok", "the NATS server has all streams and durables, as they should be")
        ]
        return [*found, *await _placements(bus, asked), *await _dead_letters(bus)]
    except NotPermitted as error:
        return [Finding("topology", "fault", str(error))]
    except NoServer as error:
        return [Finding("topology", "fault", f"{error} Is FIRSTHAND_NATS_URL right, and the server up?")]
    except (nats.errors.Error, TimeoutError):
        return [Finding("topology", "fault", "JetStream does not answer: look at the NATS server's log")]


async def _placements(bus: BusSettings, asked: Asked) -> list[Finding]:
    there = {one.name: one for one in await recorded(bus)}
    found = [Finding("placements", "fault", one) for one in overlaps(bus.placement, there)]
    for one in there.values():
        if one.name == bus.placement.name:
            continue
        if one.runs:
            found.append(Finding("placements", "ok", f"{one.name} stores {spelled(one.institutions)}, and runs"))
        else:
            told = (
                f"{one.name} ({spelled(one.institutions)}) does not run. Start it; or, if it has ended, "
                f"`firsthand topology remove {one.name}`"
            )
            found.append(Finding("placements", "warning", told))
    unknown = sorted({status.placement for status in asked.statuses if status.placement} - there.keys())
    found += [
        Finding("placements", "fault", f"{one} runs without durables: `firsthand topology apply` with its settings")
        for one in unknown
    ]
    return found


async def _dead_letters(bus: BusSettings) -> list[Finding]:
    try:
        async with connected(bus) as client:
            oldest = await DeadLetters(client.jetstream()).oldest()
    except nats.js.errors.NotFoundError:
        return []  # the topology is not applied, which is told already
    found = []
    for letter, count in oldest:
        # what is no dead letter of a handler names neither
        of, since = (f" of {letter.stream}", f", since {_at(letter.at)}") if letter.stream else ("", "")
        told = (
            f"{count} for {letter.service}/{letter.handler}{of}; the oldest is number {letter.number}{since}. "
            f"`firsthand dead-letters show {letter.number}`, mend the cause, replay"
        )
        found.append(Finding("dead letters", "fault", told))
    return found or [Finding("dead letters", "ok", "there are none")]


async def _clocks(settings: Settings, services: "Mapping[str, Service]", asked: Asked) -> list[Finding]:
    seen = await survey(settings, list(services), asked)
    found = [Finding("clock", "fault", f"{', '.join(names)}: {sentence}") for sentence, names in seen.amiss.items()]
    if seen.apart:
        found.append(Finding("clock", "fault", seen.apart))
    believed = list(dict.fromkeys(one.service for one in seen.services if not one.reading.sentence))
    if believed:
        told = f"{seen.now:%Y-%m-%d %H:%M} UTC, believed by {', '.join(believed)}"
        found.append(Finding("clock", "ok", told))
    if unseen := [one for one in services if one not in {clock.service for clock in seen.services}]:
        told = f"{', '.join(unseen)} could not be asked, neither over NATS nor at {settings.address}"
        found.append(Finding("clock", "ok", told))
    return found


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _bytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


__all__ = ["Finding", "Level", "examine", "examine_certificates", "room"]
