"""Keys that a backup brings back are destroyed again: `firsthand ledger export` and `apply`."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firsthand.services.__main__ import cli
from firsthand.shared.clock import ManualClock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Masters
from firsthand.shared.settings import Settings
from firsthand.shared.store import Collection
from firsthand.shared.store.opened import open_key_store
from firsthand.shared.vault import KeyErased, OwnerKey, Sealed, Vault

OAK = InstitutionId("oak-dental")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOCK = ManualClock(NOON)
MASTERS = Masters(bytes(32))


@pytest.fixture(params=["sqlite", "mongo"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("FIRSTHAND_DATA", str(tmp_path))
    if request.param == "mongo":
        monkeypatch.setenv("FIRSTHAND_MONGO_URL", request.getfixturevalue("mongo_url"))
    return Settings()


@asynccontextmanager
async def consents_vault(settings: Settings) -> AsyncIterator[tuple[Vault, Collection[OwnerKey]]]:
    keys = await open_key_store(settings, "consent", CLOCK)
    await keys.prepare([OwnerKey])
    try:
        yield Vault(keys, MASTERS, CLOCK, service="consent"), keys.collection(OwnerKey, OAK)
    finally:
        await keys.close()


async def seal_and_erase(settings: Settings) -> tuple[OwnerKey, dict[str, Sealed]]:
    """Two people are known, one is erased, and so is one whom consent never knew; gives what a backup had of her."""
    async with consents_vault(settings) as (vault, keys):
        sealed = {owner: await vault.seal(OAK, owner, "name", f"{owner}'s name") for owner in ("ada", "ben")}
        backup = await keys.get("ada")
        assert backup is not None
        for owner in ("ada", "carl"):
            await vault.erase(OAK, owner)
        return backup, sealed


async def restore(settings: Settings, backup: OwnerKey, sealed: dict[str, Sealed]) -> None:
    async with consents_vault(settings) as (vault, keys):
        for owner in ("ada", "carl"):
            tombstone = await keys.get(owner)
            assert tombstone is not None
            await keys.delete(tombstone)
        await keys.adopt(backup)
        assert await vault.open(OAK, "ada", "name", sealed["ada"]) == "ada's name"


async def look(settings: Settings, sealed: dict[str, Sealed]) -> list[datetime | None]:
    async with consents_vault(settings) as (vault, keys):
        assert await vault.open(OAK, "ben", "name", sealed["ben"]) == "ben's name"
        with pytest.raises(KeyErased):
            await vault.open(OAK, "ada", "name", sealed["ada"])
        return [key.erased_at for key in (await keys.find({"erased": True})).items]


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["ledger", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_keys_of_a_backup_are_destroyed_again(settings: Settings, tmp_path: Path) -> None:
    backup, sealed = asyncio.run(seal_and_erase(settings))
    ledger = tmp_path / "ledger.jsonl"
    told("export", str(ledger))
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(entry["service"], entry["owner"]) for entry in entries] == [("consent", "ada"), ("consent", "carl")]
    assert backup.wrapped not in ledger.read_text()

    asyncio.run(restore(settings, backup, sealed))
    told("apply", str(ledger))
    assert asyncio.run(look(settings, sealed)) == [NOON, NOON]
    told("apply", str(ledger))
    again = tmp_path / "again.jsonl"
    told("export", str(again))
    assert again.read_text() == ledger.read_text()


def test_a_file_that_is_no_ledger_is_refused_whole(settings: Settings, tmp_path: Path) -> None:
    backup, sealed = asyncio.run(seal_and_erase(settings))
    ledger = tmp_path / "ledger.jsonl"
    told("export", str(ledger))
    asyncio.run(restore(settings, backup, sealed))
    good = ledger.read_text()
    for bad in ("{}", "rubbish", good.splitlines()[0].replace("consent", "billing")):
        ledger.write_text(f"{good}{bad}\n")
        told("apply", str(ledger), code=1)

    async def still_opens() -> str:
        async with consents_vault(settings) as (vault, _):
            return await vault.open(OAK, "ada", "name", sealed["ada"])

    assert asyncio.run(still_opens()) == "ada's name"
    told("apply", str(tmp_path / "missing"), code=1)


def test_where_no_keys_lie_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTHAND_DATA", str(tmp_path / "elsewhere"))
    told("export", str(tmp_path / "ledger.jsonl"), code=1)
    assert not (tmp_path / "ledger.jsonl").exists()


def test_the_statement_of_the_operators_page_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's key stores are held by the running process, so the page reads them past it."""
    monkeypatch.setenv("FIRSTHAND_DATA", str(tmp_path))
    asyncio.run(seal_and_erase(Settings()))
    page = (Path(__file__).parents[2] / "docs" / "operate.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"keys/\$s\.db \"(SELECT json_object.*?)\"\n", page, re.DOTALL)
    with closing(sqlite3.connect(tmp_path / "keys" / "consent.db")) as database:
        rows = database.execute(statement.replace("\\$", "$").replace("$s", "consent")).fetchall()
    told("export", str(tmp_path / "ledger.jsonl"))
    by_command = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [json.loads(row) for (row,) in rows] == by_command
