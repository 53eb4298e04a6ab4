import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from firsthand.shared.clock import ManualClock
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.keys import Keys, KeysError, Masters, encode_key, exposed
from firsthand.shared.store.sqlite import SqliteStore
from firsthand.shared.vault import KeyErased, KeyMissing, OwnerKey, SealBroken, Sealed, Vault, WrongMasterKey

QU = InstitutionId("qu-cdm")
OTHER = InstitutionId("other-school")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MASTER = bytes(range(32))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def keys(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "keys.sqlite", clock)
    await store.prepare([OwnerKey])
    yield store
    await store.close()


@pytest.fixture
def vault(keys: SqliteStore, clock: ManualClock) -> Vault:
    return Vault(keys, Masters(MASTER), clock, service="discovery")


async def test_a_sealed_field_opens_again_and_shows_nothing(vault: Vault) -> None:
    sealed = await vault.seal(QU, "c1", "handle", "@mother.of.two شقّ")
    assert sealed.startswith("v1.")
    assert "mother" not in sealed
    assert await vault.open(QU, "c1", "handle", sealed) == "@mother.of.two شقّ"


async def test_the_same_text_sealed_twice_looks_different(vault: Vault) -> None:
    assert await vault.seal(QU, "c1", "handle", "x") != await vault.seal(QU, "c1", "handle", "x")


async def test_many_fields_of_an_owner_are_sealed_and_opened_together(vault: Vault) -> None:
    texts = {"name": "Amal", "address": "amal@example.org", "note": ""}
    assert await vault.open_many(QU, "c1", await vault.seal_many(QU, "c1", texts)) == texts


async def test_a_field_opens_only_as_what_it_was_sealed(vault: Vault) -> None:
    async def sealing(institution: InstitutionId, owner: str, field: str) -> Sealed:
        return await vault.seal(institution, owner, field, "text")

    sealed = await sealing(QU, "c1", "name")
    await sealing(QU, "c2", "name")
    await sealing(OTHER, "c1", "name")
    for institution, owner, field in ((QU, "c2", "name"), (OTHER, "c1", "name"), (QU, "c1", "note")):
        with pytest.raises(SealBroken):
            await vault.open(institution, owner, field, sealed)


names = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
places = st.tuples(st.from_regex(r"[a-z0-9-]{2,8}", fullmatch=True), names, names)


@settings(max_examples=40, deadline=None)
@given(here=places, there=places, text=st.text())
def test_no_field_ever_opens_in_another_place(
    tmp_path_factory: pytest.TempPathFactory, here: tuple[str, str, str], there: tuple[str, str, str], text: str
) -> None:
    assume(here != there)

    async def check() -> None:
        clock = ManualClock(NOON)
        store = await SqliteStore.open(tmp_path_factory.mktemp("keys") / "keys.sqlite", clock)
        try:
            await store.prepare([OwnerKey])
            vault = Vault(store, Masters(MASTER), clock, service="consent")
            sealed = await vault.seal(InstitutionId(here[0]), here[1], here[2], text)
            await vault.seal(InstitutionId(there[0]), there[1], there[2], text)
            assert await vault.open(InstitutionId(here[0]), here[1], here[2], sealed) == text
            with pytest.raises(SealBroken):
                await vault.open(InstitutionId(there[0]), there[1], there[2], sealed)
        finally:
            await store.close()

    asyncio.run(check())


@pytest.mark.parametrize("damaged", ["", "plain text", "v1.", "v1.AAAA", "v1.é", "v2.AAAA"])
async def test_what_the_vault_did_not_seal_is_refused(vault: Vault, damaged: str) -> None:
    await vault.seal(QU, "c1", "name", "x")
    with pytest.raises(SealBroken):
        await vault.open(QU, "c1", "name", Sealed(damaged))


async def test_one_changed_character_breaks_the_seal(vault: Vault) -> None:
    sealed = await vault.seal(QU, "c1", "name", "Amal")
    changed = sealed[:10] + ("A" if sealed[10] != "A" else "B") + sealed[11:]
    with pytest.raises(SealBroken):
        await vault.open(QU, "c1", "name", Sealed(changed))


async def test_replicas_that_make_a_key_at_the_same_moment_agree_on_one(keys: SqliteStore, clock: ManualClock) -> None:
    replicas = [Vault(keys, Masters(MASTER), clock, service="discovery") for _ in range(10)]
    sealed = await asyncio.gather(*(vault.seal(QU, "c1", "name", "Amal") for vault in replicas))
    opened = [await vault.open(QU, "c1", "name", text) for vault in replicas for text in sealed]
    assert opened == ["Amal"] * 100


async def test_nothing_opens_and_nothing_is_sealed_after_erasure(vault: Vault) -> None:
    sealed = await vault.seal(QU, "c1", "name", "Amal")
    await vault.erase(QU, "c1")
    with pytest.raises(KeyErased):
        await vault.open(QU, "c1", "name", sealed)
    with pytest.raises(KeyErased):
        await vault.seal(QU, "c1", "name", "Amal")
    with pytest.raises(KeyErased):
        await vault.media_key(QU, "c1")


async def test_erasing_holds_for_other_replicas_at_once(keys: SqliteStore, clock: ManualClock) -> None:
    here, there = (Vault(keys, Masters(MASTER), clock, service="discovery") for _ in range(2))
    sealed = await here.seal(QU, "c1", "name", "Amal")
    assert await there.open(QU, "c1", "name", sealed) == "Amal"
    await here.erase(QU, "c1")
    with pytest.raises(KeyErased):
        await there.open(QU, "c1", "name", sealed)


async def test_the_ledger_names_who_was_erased_of_this_institution_only(vault: Vault, clock: ManualClock) -> None:
    await vault.seal(QU, "kept", "name", "x")
    await vault.seal(QU, "c1", "name", "x")
    await vault.erase(QU, "c1")
    await vault.erase(QU, "never-seen")  # an erasure may come before anything to erase
    clock.advance(timedelta(days=1))
    await vault.erase(QU, "c1")  # and more than once
    await vault.erase(OTHER, "c9")
    assert sorted(await vault.erased(QU)) == ["c1", "never-seen"]
    assert await vault.erased(OTHER) == ["c9"]


async def test_the_ledger_keeps_the_time_of_the_first_erasure(
    vault: Vault, keys: SqliteStore, clock: ManualClock
) -> None:
    await vault.erase(QU, "c1")
    clock.advance(timedelta(days=1))
    await vault.erase(QU, "c1")
    entry = await keys.collection(OwnerKey, QU).get("c1")
    assert entry is not None
    assert (entry.erased_at, entry.wrapped) == (NOON, "")


async def test_an_erasure_beside_a_first_seal_wins(keys: SqliteStore, clock: ManualClock) -> None:
    vaults = [Vault(keys, Masters(MASTER), clock, service="discovery") for _ in range(2)]
    for number in range(20):
        owner = f"c{number}"
        await asyncio.gather(
            vaults[0].erase(QU, owner), vaults[1].seal(QU, owner, "name", "Amal"), return_exceptions=True
        )
        with pytest.raises(KeyErased):
            await vaults[1].media_key(QU, owner)
    assert len(await vaults[0].erased(QU)) == 20


async def test_no_trace_of_the_wrapped_key_is_left_in_the_files(
    vault: Vault, keys: SqliteStore, tmp_path: Path
) -> None:
    await vault.seal(QU, "c1", "name", "Amal")
    key = await keys.collection(OwnerKey, QU).get("c1")
    assert key is not None
    assert _holds(tmp_path, key.wrapped)
    await vault.erase(QU, "c1")
    assert not _holds(tmp_path, key.wrapped)


def _holds(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.iterdir())


async def test_a_lost_key_store_is_not_taken_for_an_erasure(vault: Vault) -> None:
    with pytest.raises(KeyMissing):
        await vault.open(QU, "c1", "name", Sealed("v1.AAAA"))


async def test_the_services_of_one_contact_have_different_keys(keys: SqliteStore, clock: ManualClock) -> None:
    await Vault(keys, Masters(MASTER), clock, service="archive").media_key(QU, "c1")
    with pytest.raises(WrongMasterKey):
        await Vault(keys, Masters(MASTER), clock, service="consent").media_key(QU, "c1")


async def test_the_media_key_stays_the_same_and_belongs_to_one_owner(vault: Vault) -> None:
    first = await vault.media_key(QU, "c1")
    assert len(first) == 32
    assert await vault.media_key(QU, "c1") == first
    assert await vault.media_key(QU, "c2") != first


async def test_a_wrong_master_key_is_told_in_plain_words(vault: Vault, keys: SqliteStore, clock: ManualClock) -> None:
    sealed = await vault.seal(QU, "c1", "name", "Amal")
    assert await vault.check() == []
    wrong = Vault(keys, Masters(os.urandom(32)), clock, service="discovery")
    with pytest.raises(WrongMasterKey, match="qu-cdm given to discovery does not open"):
        await wrong.open(QU, "c1", "name", sealed)
    assert await wrong.check() == ["The deployment key is not the one with which the keys of qu-cdm were made."]


async def test_an_institutions_own_key_seals_instead_of_the_derived_one(keys: SqliteStore, clock: ManualClock) -> None:
    own = Vault(keys, Masters(MASTER, {"qu-cdm": bytes(32)}), clock, service="discovery")
    sealed = await own.seal(QU, "c1", "name", "Amal")
    assert await own.open(QU, "c1", "name", sealed) == "Amal"
    derived = Vault(keys, Masters(MASTER), clock, service="discovery")
    with pytest.raises(WrongMasterKey):
        await derived.open(QU, "c1", "name", sealed)
    (problem,) = await derived.check()
    assert "does not open what it sealed before" in problem


def test_a_mark_depends_on_its_parts_and_on_the_deployment_alone(keys: SqliteStore, clock: ManualClock) -> None:
    mark = Vault(keys, Masters(MASTER), clock, service="discovery").mark
    assert mark("instagram", "amal") == Vault(keys, Masters(MASTER), clock, service="consent").mark("instagram", "amal")
    assert mark("instagram", "amal") != mark("instagrama", "mal")
    assert mark("a") != mark("a", "")
    assert mark("a") != Vault(keys, Masters(os.urandom(32)), clock, service="discovery").mark("a")


def test_printing_keys_shows_no_secret() -> None:
    keys = Keys.load(
        None, {"FIRSTHAND_KEY_DEPLOYMENT": encode_key(MASTER), "FIRSTHAND_KEY_SIGN_STAFF_1": encode_key(MASTER)}
    )
    shown = f"{keys!r} {keys.masters} {keys.signing['staff']}"
    assert encode_key(MASTER) not in shown
    assert repr(MASTER) not in shown


def test_made_keys_are_for_this_user_alone_and_are_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = Keys.load(folder, {}, create=True)
    assert exposed(folder) == []
    assert folder.stat().st_mode & 0o077 == 0
    for again in (Keys.load(folder, {}), Keys.load(folder, {}, create=True)):
        assert again.masters.fingerprint == made.masters.fingerprint
        assert again.signing == made.signing
        assert again.verifying == made.verifying


def test_keys_are_never_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="There is no deployment key"):
        Keys.load(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_lost_deployment_key_is_not_replaced_by_a_new_one(tmp_path: Path) -> None:
    Keys.load(tmp_path, {}, create=True)
    (tmp_path / "deployment.key").unlink()
    with pytest.raises(KeysError, match="Restore it from your backup"):
        Keys.load(tmp_path, {}, create=True)


def test_a_service_that_only_checks_sessions_needs_no_private_key(tmp_path: Path) -> None:
    whole = Keys.load(tmp_path, {}, create=True)
    for private in tmp_path.glob("sign-*.key"):
        private.unlink()
    keys = Keys.load(tmp_path, {}, create=True)  # it makes none in their place either
    assert keys.signing == {}
    assert keys.verifying == whole.verifying


def test_the_highest_number_signs_and_all_verify(tmp_path: Path) -> None:
    Keys.load(tmp_path, {}, create=True)
    keys = Keys.load(
        tmp_path, {"FIRSTHAND_KEY_SIGN_STAFF_10": encode_key(MASTER), "FIRSTHAND_KEY_SIGN_STAFF_9": encode_key(MASTER)}
    )
    assert keys.signing["staff"].kid == "10"
    assert sorted(keys.verifying["staff"]) == ["1", "10", "9"]


@pytest.mark.parametrize("content", ["", "short", "not base64 !!", encode_key(MASTER) + "AAAA"])
def test_an_unreadable_key_is_named_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / "deployment.key").write_text(content)
    with pytest.raises(KeysError, match=r"deployment\.key does not hold a key") as error:
        Keys.load(tmp_path, {})
    assert not content or content not in str(error.value)


def test_a_misspelt_key_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deployment.key").write_text(encode_key(MASTER))
    (tmp_path / "institution_QU.key").write_text(encode_key(MASTER))
    with pytest.raises(KeysError, match="institution_QU"):
        Keys.load(tmp_path, {})


def test_a_key_file_open_to_others_is_found(tmp_path: Path) -> None:
    Keys.load(tmp_path, {}, create=True)
    (tmp_path / "deployment.key").chmod(0o644)
    assert exposed(tmp_path) == ["deployment.key"]
