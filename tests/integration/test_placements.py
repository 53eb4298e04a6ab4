"""Two placements never both store one institution, and what an ended one left on the server is removed."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from firsthand.services.__main__ import cli
from firsthand.services.portal.app import SERVICE as PORTAL
from firsthand.shared.bus import BusSettings
from firsthand.shared.bus.connection import connected
from firsthand.shared.bus.dead_letters import DeadLetters, NoSuchDeadLetter
from firsthand.shared.bus.placements import (
    PlacementRuns,
    PlacementsOverlap,
    Recorded,
    is_copied,
    overlaps,
    placements_of,
    recorded,
    refuse_recorded_overlap,
    remove,
)
from firsthand.shared.bus.times import confirm
from firsthand.shared.bus.topology_apply import apply, drift
from firsthand.shared.deployment import Deployment
from firsthand.shared.embedded_nats import EmbeddedNats
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.settings import CannotStart, Settings
from firsthand.shared.topology import DEAD_LETTERS, DURABLES, Placement
from tests.patience import PATIENCE

QU, ELM = InstitutionId("qu-cdm"), InstitutionId("elm-medical")
GULF, NORTH = Placement("gulf", (QU,)), Placement("north", (ELM,))


def placed(settings: BusSettings, placement: Placement) -> BusSettings:
    return settings.model_copy(update={"placement": placement})


def settings_of(folder: Path, url: str, placement: Placement) -> Settings:
    return Settings(data=folder, nats_url=url, port=0, placement=placement.name, institutions=placement.institutions)


@pytest.mark.parametrize(
    ("ours", "theirs", "refused"),
    [
        ((QU,), {"qu-cdm"}, True),
        ((QU, ELM), {"other", "elm-medical"}, True),
        ((QU,), {"elm-medical"}, False),
        ((), {"elm-medical"}, True),
        ((QU,), {"*"}, True),
        ((), {"*"}, True),
    ],
)
def test_two_placements_overlap_when_both_store_one_institution(
    ours: tuple[InstitutionId, ...], theirs: set[str], refused: bool
) -> None:
    there = {"gulf": Recorded("gulf", stores=theirs)}
    assert bool(overlaps(Placement("here", ours), there)) == refused
    assert overlaps(Placement("gulf", ours), there) == []  # replicas of one placement


async def test_a_placement_that_overlaps_is_not_applied_and_the_refusal_says_what_to_do(
    nats_server: EmbeddedNats,
) -> None:
    settings = BusSettings(url=nats_server.url)
    await apply(placed(settings, GULF))
    await apply(placed(settings, NORTH))
    wide = placed(settings, Placement("wide", (InstitutionId("third"), QU)))
    with pytest.raises(PlacementsOverlap, match=r"wide and gulf both store qu-cdm.*topology remove gulf`"):
        await apply(wide)
    assert [one.name for one in await recorded(settings)] == ["gulf", "north"]
    assert await drift(placed(settings, GULF)) == []


async def test_of_two_overlapping_placements_that_are_applied_at_once_never_both_pass(
    nats_server: EmbeddedNats,
) -> None:
    settings = BusSettings(url=nats_server.url)
    results = await asyncio.gather(
        *(apply(placed(settings, Placement(name, (QU,)))) for name in ("one", "two")), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, PlacementsOverlap)]
    assert len(refused) in {1, 2}
    assert len(await recorded(settings)) == 2 - len(refused)


async def test_placements_that_are_applied_at_once_are_all_recorded_for_services(nats_server: EmbeddedNats) -> None:
    settings = BusSettings(url=nats_server.url)
    apart = [Placement(f"place-{n}", (InstitutionId(f"school-{n}"),)) for n in range(3)]
    await asyncio.gather(*(apply(placed(settings, one)) for one in apart))
    async with connected(settings) as client:
        js = client.jetstream()
        assert await is_copied(js)
        for n in range(3):
            with pytest.raises(PlacementsOverlap, match=f"both store school-{n}"):
                await refuse_recorded_overlap(js, Placement("other", (InstitutionId(f"school-{n}"),)))
        await confirm(settings, datetime.now(UTC))
        assert await is_copied(js)
    assert await apply(placed(settings, apart[0])) == []


async def test_a_service_whose_placement_overlaps_does_not_start_and_the_other_goes_on(
    tmp_path: Path, nats_server: EmbeddedNats
) -> None:
    settings = BusSettings(url=nats_server.url)
    await apply(placed(settings, GULF))
    gulf = settings_of(tmp_path / "gulf", nats_server.url, GULF)
    wide = settings_of(tmp_path / "wide", nats_server.url, Placement("wide", (ELM, QU)))
    async with Deployment.started(gulf, [PORTAL], create_keys=True) as running:
        with pytest.raises(CannotStart, match="wide and gulf both store qu-cdm"):
            async with Deployment.started(wide, [PORTAL], create_keys=True):
                pass
        replica = settings_of(tmp_path / "replica", nats_server.url, GULF)
        async with Deployment.started(replica, [PORTAL], create_keys=True) as another:
            for one in (running, another):
                assert (await one.running["portal"].examine()).problems == []
        with pytest.raises(PlacementRuns, match="Stop its services first"):
            await remove(settings, Recorded("gulf"))


async def test_a_placement_whose_process_was_killed_no_longer_runs_though_nobody_said_so(
    nats_server: EmbeddedNats,
) -> None:
    settings = BusSettings(url=nats_server.url)
    await apply(placed(settings, GULF))
    server = urlsplit(nats_server.url)
    _, process = await asyncio.open_connection(server.hostname, server.port)  # the protocol, by hand: it is cut off
    connect = {"user": server.username, "pass": server.password, "verbose": False}
    request = '{"batch": 10, "expires": 60000000000}'
    subject = "$JS.API.CONSUMER.MSG.NEXT.FH_PORTAL.consent_keep_institution_gulf"
    process.write(
        f"CONNECT {json.dumps(connect)}\r\nSUB answers 1\r\nPUB {subject} answers {len(request)}\r\n".encode()
    )
    process.write(f"{request}\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        while not (await recorded(settings))[0].runs:
            pass
    process.transport.abort()
    (gulf,) = await recorded(settings)
    assert not gulf.runs
    assert len(await remove(settings, gulf)) > 0


async def test_what_an_ended_placement_left_is_removed_and_makes_room_for_another(
    tmp_path: Path, nats_server: EmbeddedNats
) -> None:
    settings = BusSettings(url=nats_server.url)
    await apply(placed(settings, GULF))
    await apply(placed(settings, NORTH))
    async with Deployment.started(settings_of(tmp_path, nats_server.url, GULF), [PORTAL], create_keys=True):
        pass
    (gulf, _) = await recorded(settings)
    assert not gulf.runs
    assert gulf.institutions == [QU]
    removed = await remove(settings, gulf)
    services = {durable.service for durable in DURABLES}
    assert len(removed) == len(DURABLES) + len(services)  # one more a service, for its replays
    async with connected(settings) as client:
        assert [*await placements_of(client.jetstream())] == ["north"]
    await apply(placed(settings, Placement("wide", (QU,))))
    assert await drift(placed(settings, NORTH)) == []


async def test_a_dead_letter_of_a_placement_that_was_removed_is_kept_not_replayed_to_nobody(
    nats_server: EmbeddedNats,
) -> None:
    settings = BusSettings(url=nats_server.url)
    await apply(placed(settings, GULF))
    headers = {
        "Firsthand-Placement": "gulf",
        "Firsthand-Reason": "Hopeless: it will never do",
        "Firsthand-Stream": "FH_PORTAL",
        "Firsthand-Sequence": "1",
        "Firsthand-Subject": "fh.v1.qu-cdm.institution.changed",
        "Firsthand-Deliveries": "1",
        "Firsthand-Time": "2026-11-20T10:00:00+00:00",
    }
    async with connected(settings) as client:
        js = client.jetstream()
        await js.publish("fh.dead.archive.keep_institution", b"{}", headers=headers, stream=DEAD_LETTERS)
        await remove(settings, Recorded("gulf"))
        letters = DeadLetters(js)
        (letter,) = [one async for one in letters.list()]
        with pytest.raises(NoSuchDeadLetter, match="its placement gulf has been removed"):
            await letters.replay(letter.number)
        assert [one.number async for one in letters.list()] == [letter.number]


# -- the commands


async def firsthand(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command in this process; gives its exit code and all that it says."""
    result = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)
    return result.exit_code, f"{result.output} {result.exception or ''}"


async def test_an_ended_placement_is_removed_from_a_data_folder_on_which_nothing_runs(
    tmp_path: Path,
) -> None:
    folder = {"FIRSTHAND_DATA": str(tmp_path / "data"), "FIRSTHAND_PORT": "0"}
    server = EmbeddedNats(tmp_path / "data" / "nats")
    await apply(BusSettings(url=await server.start(), placement=GULF))
    await server.stop()
    code, out = await firsthand("up", **folder)
    assert (code, "all and gulf both store qu-cdm" in out) == (1, True)
    code, out = await firsthand("topology", "remove", "gulf", **folder)
    assert (code, "Make sure, then add --yes" in out) == (1, True)
    code, out = await firsthand("topology", "remove", "north", "--yes", **folder)
    assert (code, "knows no placement north" in out) == (1, True)
    code, out = await firsthand("topology", "remove", "gulf", "--yes", **folder)
    assert code == 0, out
    assert "removed the durable consent_keep_case_gulf of the ended placement gulf" in out
    await apply(BusSettings(url=await server.start()))
    await server.stop()


async def test_apply_makes_room_when_it_is_told_to_remove_what_has_ended(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path / "nats")
    url = await server.start()
    await apply(BusSettings(url=url, placement=GULF))
    there = {"FIRSTHAND_DATA": str(tmp_path / "data"), "FIRSTHAND_NATS_URL": url}
    code, out = await firsthand("topology", "apply", **there)
    assert (code, "firsthand topology remove gulf" in out) == (1, True)
    code, out = await firsthand("topology", "apply", "--remove-ended", "--yes", **there)
    assert code == 0, out
    assert "The placement gulf (qu-cdm) left" in out
    assert "created the durable consent_keep_case_all" in out
    code, out = await firsthand("topology", "show", **there)
    assert (code, "placement all: all institutions; does not run" in out) == (0, True)
    await server.stop()
