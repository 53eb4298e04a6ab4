"""`firsthand doctor` asks what runs, looks at what does not, and says of each problem what to do."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firsthand.services.consent.app import SERVICE as CONSENT
from firsthand.services.portal.app import SERVICE as PORTAL
from firsthand.shared import status
from firsthand.shared.bus import Bus, BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.clock import SystemClock
from firsthand.shared.deployment import Deployment
from firsthand.shared.doctor import Finding, examine, examine_certificates, room
from firsthand.shared.embedded_nats import binary
from firsthand.shared.metrics import Metrics
from firsthand.shared.settings import Settings
from firsthand.shared.status import DiskStatus, Status, answer_the_operator
from firsthand.shared.status_survey import ask
from firsthand.shared.topology import DEAD_LETTERS, durables_of
from tests.certificates import Authority
from tests.patience import PATIENCE
from tests.ports import free_port

NOW = datetime.now(UTC)
NOWHERE = "http://127.0.0.1:9"  # where no service answers over HTTP
SERVICES = {"portal": PORTAL, "consent": CONSENT}


def settings_of(folder: Path, nats_url: str) -> Settings:
    return Settings(data=folder, nats_url=nats_url, port=0, public_url=NOWHERE)


def texts(found: list[Finding], check: str, level: str = "") -> str:
    return "\n".join(one.text for one in found if one.check == check and level in {"", one.level})


async def test_running_services_are_asked_and_their_databases_are_left_alone(tmp_path: Path, nats_url: str) -> None:
    settings = settings_of(tmp_path, nats_url)
    async with Deployment.started(settings, [PORTAL, CONSENT], create_keys=True) as deployment:
        found = await examine(settings, SERVICES)
        ready = ["consent runs and is ready", "portal runs and is ready"]
        assert sorted(texts(found, "services", "ok").splitlines()) == ready
        assert not texts(found, "stores")
        assert "believed by portal, consent" in texts(found, "clock", "ok")
        deployment.contexts["consent"].impair("mail", ["the mail server does not answer since 10:00"])
        async with connected(BusSettings(url=nats_url)) as client:
            await client.jetstream().delete_consumer("FH_PORTAL", "consent_keep_institution_all")
        found = await examine(settings, SERVICES)
        assert "consent is impaired: the mail server does not answer since 10:00" in texts(found, "services", "warning")
        assert "consent is not ready: The durable consent_keep_institution_all is missing" in texts(
            found, "services", "fault"
        )
        assert "consent_keep_institution_all is missing. Run `firsthand topology apply`" in texts(found, "topology")


async def test_every_replica_answers_for_itself(tmp_path: Path, nats_url: str) -> None:
    first, second = settings_of(tmp_path / "one", nats_url), settings_of(tmp_path / "two", nats_url)
    async with (
        Deployment.started(first, [PORTAL], create_keys=True),
        Deployment.started(second, [PORTAL], create_keys=True) as another,
    ):
        another.contexts["portal"].impair("bucket", ["the bucket is away"])
        asked = await ask(first, ["portal"])
    assert sorted(status.impaired for status in asked.of("portal")) == [[], ["the bucket is away"]]
    assert asked.silent == []


async def test_what_does_not_run_is_looked_at_and_what_waits_in_it_is_named(tmp_path: Path, nats_url: str) -> None:
    settings = settings_of(tmp_path, nats_url)
    async with Deployment.started(settings, [PORTAL], create_keys=True):
        pass
    found = await examine(settings, SERVICES)
    assert texts(found, "stores", "ok").splitlines() == [
        "portal does not run; its indexes are as declared; 0 events wait to be published",
        "consent does not run, and has no database here yet; it is created at the first start",
    ]
    assert not texts(found, "services")


async def test_a_replica_that_is_there_but_does_not_answer_is_a_fault(
    tmp_path: Path, bus_settings: BusSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_ANSWER_WITHIN", 0.2)

    async def hangs() -> Status:
        await asyncio.Event().wait()
        raise AssertionError

    async def ignore(_event: object) -> None: ...

    bus = Bus("portal", bus_settings, clock=SystemClock(), metrics=Metrics("portal"))
    for durable in durables_of("portal"):
        bus.handle(durable.handler, ignore)
    await bus.start()
    try:
        await answer_the_operator(bus, hangs)
        found = await examine(settings_of(tmp_path, bus_settings.url), {"portal": PORTAL})
    finally:
        await bus.stop()
    assert texts(found, "services", "fault").startswith("portal is there but does not finish its answer")


async def test_dead_letters_are_counted_by_handler_with_the_oldest(tmp_path: Path, nats_url: str) -> None:
    async with connected(BusSettings(url=nats_url)) as client:
        for day in (3, 4):
            headers = {
                "Firsthand-Placement": "all",
                "Firsthand-Reason": "Hopeless: it will never do",
                "Firsthand-Stream": "FH_PORTAL",
                "Firsthand-Sequence": str(day),
                "Firsthand-Subject": "fh.v1.qu-cdm.institution.changed",
                "Firsthand-Deliveries": "1",
                "Firsthand-Time": f"2026-11-0{day}T10:00:00+00:00",
            }
            await client.jetstream().publish(
                "fh.dead.archive.keep_institution", b"{}", headers=headers, stream=DEAD_LETTERS
            )
    found = await examine(settings_of(tmp_path, nats_url), {})
    assert texts(found, "dead letters", "fault") == (
        "2 for archive/keep_institution of FH_PORTAL; the oldest is number 1, since 2026-11-03 10:00 UTC. "
        "`firsthand dead-letters show 1`, mend the cause, replay"
    )


@pytest.mark.parametrize(("free", "level"), [(0.5, "fault"), (2.0, "warning"), (90.0, "ok")])
def test_a_disk_without_room_is_told_before_it_is_full(free: float, level: str) -> None:
    gib = 1 << 30
    found = room("node-2", DiskStatus(folder="/var/lib/firsthand", device=1, free=int(free * gib), total=100 * gib))
    assert found.level == level
    assert found.text.startswith(f"/var/lib/firsthand on node-2: {free} GiB of 100.0 GiB free")


async def test_the_disk_of_a_service_is_measured_where_it_runs(tmp_path: Path, nats_url: str) -> None:
    settings = settings_of(tmp_path, nats_url)
    async with Deployment.started(settings, [PORTAL], create_keys=True):
        (status,) = (await ask(settings, ["portal"])).statuses
    assert status.disks[0].device == (await asyncio.to_thread(tmp_path.stat)).st_dev
    assert 0 < status.disks[0].free <= status.disks[0].total


# -- certificates

Served = Callable[[ssl.SSLContext, Path], AbstractAsyncContextManager[Settings]]


@asynccontextmanager
async def https(certificate: ssl.SSLContext, _folder: Path) -> AsyncIterator[Settings]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificate)
    async with server:
        yield Settings(public_url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@asynccontextmanager
async def mongo(certificate: ssl.SSLContext, folder: Path) -> AsyncIterator[Settings]:
    async with https(certificate, folder) as there:
        place = there.public_url.removeprefix("https://")
        yield Settings(mongo_url=f"mongodb://{place}/firsthand?tls=true&tlsCAFile={folder}/authority.pem")


@asynccontextmanager
async def mail(certificate: ssl.SSLContext, _folder: Path) -> AsyncIterator[Settings]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 post ESMTP\r\n")
        with contextlib.suppress(OSError, ssl.SSLError):
            while line := (await reader.readline()).upper():
                if line.startswith(b"EHLO"):
                    writer.write(b"250-post\r\n250 STARTTLS\r\n")
                elif line.startswith(b"STARTTLS"):
                    writer.write(b"220 go on\r\n")
                    await writer.start_tls(certificate)
                else:
                    writer.write(b"221 bye\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Settings(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@asynccontextmanager
async def mail_over_tls(certificate: ssl.SSLContext, folder: Path) -> AsyncIterator[Settings]:
    async with https(certificate, folder) as there:
        yield Settings(smtp_url=there.public_url.replace("https", "smtps"))


@asynccontextmanager
async def nats_server(_certificate: ssl.SSLContext, folder: Path) -> AsyncIterator[Settings]:
    conf, port = folder / "nats.conf", free_port()
    tls = {"cert_file": str(folder / "server.pem"), "key_file": str(folder / "server.key")}
    conf.write_text(json.dumps({"host": "127.0.0.1", "port": port, "tls": tls}))
    process = await asyncio.create_subprocess_exec(str(binary()), "-c", str(conf), "-l", str(folder / "nats.log"))
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)  # it tells nobody when it listens
                else:
                    writer.close()
                    break
        yield Settings(nats_url=f"tls://127.0.0.1:{port}")
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("served", [https, mail, mail_over_tls, mongo, nats_server])
@pytest.mark.parametrize(
    ("days", "level", "told"),
    [(90, "ok", "is good until"), (5, "warning", "expires on"), (-1, "fault", "expired on")],
)
async def test_a_certificate_is_looked_at_before_it_expires_whoever_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served, days: int, level: str, told: str
) -> None:
    authority = Authority.made(tmp_path, NOW)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    ends = (NOW + timedelta(days=days)).replace(microsecond=0)
    async with served(authority.serving(ends), tmp_path) as settings:
        (found,) = await examine_certificates(settings, NOW)
    assert (found.level, f"{told} {ends:%Y-%m-%d %H:%M} UTC" in found.text) == (level, True), found


async def test_a_certificate_that_clients_refuse_is_a_fault(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path, NOW)  # which nobody trusts here
    async with https(authority.serving(NOW + timedelta(days=90)), tmp_path) as settings:
        (found,) = await examine_certificates(settings, NOW)
    assert found.level == "fault"
    assert "is refused by clients: unable to get local issuer certificate" in found.text


async def test_an_address_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"smtp://post:secret@127.0.0.1:{free_port()}"
    settings = Settings(data=tmp_path, smtp_url=url)
    found = [*await examine_certificates(settings, NOW), *await examine(settings, {})]
    assert "no mail can be sent: the mail server does not answer as it should" in texts(found, "mail", "fault")
    assert "could not be looked at" in texts(found, "certificates", "warning")
    assert "secret" not in "".join(one.text for one in found)
