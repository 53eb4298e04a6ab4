"""What `firsthand doctor` examines, each finding one sentence that says what to do."""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from firsthand.shared.bucket import BucketUnavailable, bucket_of
from firsthand.shared.bus.connection import NoServer, NotPermitted
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.bus.topology_apply import drift
from firsthand.shared.clock import SystemClock
from firsthand.shared.clock_survey import survey
from firsthand.shared.embedded_nats import address_of
from firsthand.shared.keys import Keys, KeysError, exposed
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.opened import open_store, store_file

if TYPE_CHECKING:
    from firsthand.shared.service import Service

_ANSWER_WITHIN: Final = 2.0  # seconds


@dataclass(frozen=True)
class Finding:
    good: bool
    text: str


async def examine(settings: Settings, services: "Mapping[str, Service]") -> list[Finding]:
    """Look at everything that can be seen from here without changing anything.

    `services` by name; only one whose database can be looked at is taken from there, and so loaded.
    """
    return [
        *_address(settings),
        *_keys(settings),
        *await _stores(settings, services),
        *await _bucket(settings),
        *await examine_mail(settings, services),
        *await _topology(settings),
        *await _clocks(settings, services),
    ]


def _address(settings: Settings) -> list[Finding]:
    if settings.address_is_loopback:
        return [Finding(True, f"{settings.address} is this machine only: no link can be copied for a real family yet.")]
    if not settings.address.startswith("https://"):
        return [Finding(False, f"{settings.address} is not encrypted. Put a reverse proxy with TLS before it.")]
    return [Finding(True, f"families reach us at {settings.address}")]


def _keys(settings: Settings) -> list[Finding]:
    folder = settings.key_folder
    try:
        keys = Keys.load(folder)
    except KeysError as error:
        return [Finding(False, str(error))]
    found = [Finding(True, f"keys in {folder}: deployment key {keys.masters.fingerprint}")]
    found += [Finding(False, f"{folder}/{name} can be read by others: chmod 600") for name in exposed(folder)]
    if folder.is_relative_to(settings.data):
        found.append(
            Finding(
                True, f"the keys lie inside the data folder: leave {folder} and {settings.mail} out of data backups"
            )
        )
    return found


async def _stores(settings: Settings, services: "Mapping[str, Service]") -> list[Finding]:
    try:
        found = await _servers(settings)
    except StoreUnavailable as error:
        return [Finding(False, str(error))]
    for name in services:
        if not settings.mongo_url and not store_file(settings, name).exists():
            found.append(Finding(True, f"{name} has no database yet; it is created at the first start"))
            continue
        try:
            store = await open_store(settings, name, SystemClock())
        except StoreUnavailable as error:
            in_use = Finding(True, f"{name} is running, so its database is not examined now")
            found.append(Finding(False, f"{name}: {error}") if settings.mongo_url else in_use)
            continue
        try:
            differences = await store.drift(services[name].documents)
            waiting = len(await store.outbox(1000))
        finally:
            await store.close()
        found += [Finding(False, f"{name}: {difference}") for difference in differences]
        indexes = "differ (the next start makes them anew)" if differences else "as declared"
        found.append(Finding(waiting == 0, f"{name}: indexes {indexes}; {waiting} events wait to be published"))
    return found


async def _servers(settings: Settings) -> list[Finding]:
    """Raise StoreUnavailable."""
    urls = dict.fromkeys(filter(None, (settings.mongo_url, settings.keys_mongo_url)))
    if not urls:
        return []
    from firsthand.shared.store.mongo_client import examine_server  # the driver, where there is a server

    return [Finding(good, text) for url in urls for good, text in await examine_server(url)]


async def _bucket(settings: Settings) -> list[Finding]:
    bucket = bucket_of(settings)
    if bucket is None:
        return []
    try:
        await bucket.check()
    except BucketUnavailable as error:
        where = settings.media_endpoint or "Amazon's address, as FIRSTHAND_MEDIA_ENDPOINT is not set"
        return [Finding(False, f"{error}. It was asked for at {where}.")]
    return [Finding(True, f"the bucket {bucket.name} answers; finished recordings lie there")]


async def examine_mail(settings: Settings, services: Collection[str]) -> list[Finding]:
    if not settings.smtp_url:
        found = [Finding(True, f"mail is kept in {settings.mail} and sent to nobody, as FIRSTHAND_SMTP_URL is not set")]
    else:
        found = await _mail_server(settings)
    async with httpx.AsyncClient(base_url=settings.address, timeout=_ANSWER_WITHIN) as http:
        for service in services:
            with contextlib.suppress(httpx.HTTPError, ValueError, LookupError, AttributeError):
                waiting = int((await http.get(f"/{service}/readyz")).json().get("mail", {})["waiting"])
                if waiting:
                    found.append(Finding(False, f"{service}: {waiting} mails wait to be sent"))
    return found


async def _mail_server(settings: Settings) -> list[Finding]:
    from firsthand.shared.mail import MailUnavailable, mailer_of

    try:
        mailer = mailer_of(settings, SystemClock())
        await mailer.check()
        utf8 = await mailer.takes_utf8()
    except CannotStart as error:
        return [Finding(False, str(error))]
    except MailUnavailable as error:
        return [Finding(False, f"no mail can be sent: {error}. Are FIRSTHAND_SMTP_URL and FIRSTHAND_MAIL_FROM right?")]
    if settings.mail_from == Settings.model_fields["mail_from"].default:
        return [
            Finding(False, "FIRSTHAND_MAIL_FROM is not set: other mail servers refuse mail from an address of nowhere")
        ]
    letters = "also" if utf8 else "but not"
    return [
        Finding(True, f"the mail server takes our mail, {letters} to addresses such as josé@example.org (SMTPUTF8)")
    ]


async def _topology(settings: Settings) -> list[Finding]:
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        return [Finding(False, "no NATS server runs; start `firsthand up`, or set FIRSTHAND_NATS_URL")]
    try:
        differences = await drift(bus_settings(settings.model_copy(update={"nats_url": url})))
    except NotPermitted as error:
        return [Finding(False, str(error))]
    except NoServer as error:
        return [Finding(False, f"{error} Is FIRSTHAND_NATS_URL right, and the server up?")]
    return [Finding(False, f"topology: {one}") for one in differences] or [
        Finding(True, "the NATS server has all streams and durables, as they should be")
    ]


async def _clocks(settings: Settings, services: Collection[str]) -> list[Finding]:
    seen = await survey(settings, list(services))
    found = [Finding(False, f"{', '.join(names)}: {sentence}") for sentence, names in seen.amiss.items()]
    if seen.apart:
        found.append(Finding(False, seen.apart))
    believed = [one.service for one in seen.services if not one.reading.sentence]
    if believed:
        found.append(Finding(True, f"clock: {seen.now:%Y-%m-%d %H:%M} UTC, believed by {', '.join(believed)}"))
    if unseen := [one for one in services if one not in {clock.service for clock in seen.services}]:
        found.append(Finding(True, f"clock: {', '.join(unseen)} could not be asked at {settings.address}"))
    return found
