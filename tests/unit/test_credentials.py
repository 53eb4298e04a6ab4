"""`firsthand secrets make`: everybody's secrets, once, and only where they belong; settings read from such files."""

import json
from pathlib import Path

import bcrypt
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from firsthand.services.__main__ import cli
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.shared.bus.permissions import USERS, permissions_of
from firsthand.shared.bus.settings import bus_settings
from firsthand.shared.credentials import make_secrets, read_conf
from firsthand.shared.keys import Keys
from firsthand.shared.settings import Settings
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.mongo_client import Address
from firsthand.shared.topology import STREAMS, Placement

MONGO = "mongodb://one:27017,two:27018/school?replicaSet=rs0"


def content(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_made_again_nothing_is_changed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = ["secrets", "make", str(folder), "--mongo", MONGO, "--nats-store", "/var/lib/nats"]
    first = CliRunner().invoke(cli, command)
    assert first.exit_code == 0
    before = content(folder)
    assert sorted(map(Path, first.stdout.split())) == sorted(before)
    again = CliRunner().invoke(cli, command)
    assert again.stdout == f"Everything is there already in {folder}.\n"
    assert content(folder) == before


def test_what_is_missing_is_made_and_the_rest_is_kept(tmp_path: Path) -> None:
    make_secrets(tmp_path, placement=Placement())
    before = content(tmp_path)
    (tmp_path / "consent" / "verify-staff-1.key").unlink()
    (tmp_path / "archive" / "firsthand_nats_password").unlink()
    made = make_secrets(tmp_path, placement=Placement())
    assert {path.relative_to(tmp_path).as_posix() for path in made} == {
        "consent/verify-staff-1.key",
        "archive/firsthand_nats_password",
        "nats.conf",
    }
    changed = {path.relative_to(tmp_path).as_posix() for path, was in content(tmp_path).items() if before[path] != was}
    assert changed >= {"nats.conf", "archive/firsthand_nats_password"}
    now = read_conf((tmp_path / "nats.conf").read_text())["authorization"]["users"]
    old = read_conf(before[tmp_path / "nats.conf"][0].decode())["authorization"]["users"]
    kept = [one["user"] for one in now if one in old]
    assert kept == [user for user in USERS if user != "archive"]


def test_only_this_user_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "secrets"
    make_secrets(folder, placement=Placement(), mongo=MONGO)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_a_service_is_given_only_what_it_may_know(tmp_path: Path) -> None:
    make_secrets(tmp_path, placement=Placement(), mongo=MONGO)
    signs = {"portal": ["staff"], "consent": ["family"]}
    for service in STREAMS:
        assert {path.name for path in (tmp_path / service).iterdir()} == {
            "firsthand_nats_user",
            "firsthand_nats_password",
            "firsthand_mongo_url",
            "deployment.key",
            "verify-staff-1.key",
            "verify-family-1.key",
            *(f"sign-{who}-1.key" for who in signs.get(service, [])),
        }
        keys = Keys.load(tmp_path / service, {})
        assert list(keys.signing) == signs.get(service, [])
        assert keys.masters.fingerprint == Keys.load(tmp_path / "keys", {}).masters.fingerprint
    assert {path.name for path in (tmp_path / "operator").iterdir()} == {
        "firsthand_nats_user",
        "firsthand_nats_password",
    }


def test_a_rotated_key_is_handed_on(tmp_path: Path) -> None:
    make_secrets(tmp_path, placement=Placement())
    environment = {"FIRSTHAND_KEYS_DIR": str(tmp_path / "keys")}
    assert CliRunner().invoke(cli, ["keys", "rotate", "staff"], env=environment).exit_code == 0
    made = make_secrets(tmp_path, placement=Placement())
    assert {path.relative_to(tmp_path).as_posix() for path in made} == {
        "portal/sign-staff-2.key",
        *(f"{service}/verify-staff-2.key" for service in STREAMS),
    }


def test_the_server_knows_hashes_and_the_permissions_of_the_topology(tmp_path: Path) -> None:
    placement = Placement()
    make_secrets(tmp_path, placement=placement, nats_store="/var/lib/nats")
    conf = read_conf((tmp_path / "nats.conf").read_text())
    assert conf["jetstream"] == {"store_dir": "/var/lib/nats", "sync_interval": "always"}
    assert [one["user"] for one in conf["authorization"]["users"]] == list(USERS)
    assert "accounts" not in conf
    for one in conf["authorization"]["users"]:
        password = (tmp_path / one["user"] / "firsthand_nats_password").read_bytes()
        assert bcrypt.checkpw(password, one["password"].encode())
        permissions = permissions_of(one["user"], placement)
        assert one["permissions"]["publish"] == {"allow": list(permissions.publish)}
        assert one["permissions"]["subscribe"] == {"allow": list(permissions.subscribe)}


def test_every_service_has_a_user_of_mongodb_with_its_two_databases(tmp_path: Path) -> None:
    make_secrets(tmp_path, placement=Placement(), mongo=MONGO)
    users = json.loads((tmp_path / "mongo-users.json").read_text())
    assert [one["user"] for one in users] == list(STREAMS)
    for one in users:
        assert one["databases"] == [f"school_{one['user']}", f"school_{one['user']}_keys"]
        url = (tmp_path / one["user"] / "firsthand_mongo_url").read_text()
        assert url == MONGO.replace("//", f"//{one['user']}:{one['password']}@") + "&authSource=admin"
        assert Address(url).prefix == "school"
    assert len({one["password"] for one in users}) == len(users)
    assert 6 <= len((tmp_path / "mongo-keyfile").read_text()) <= 1024


@pytest.mark.parametrize("address", ["http://mongo", "mongodb://somebody:secret@mongo/firsthand"])
def test_what_is_no_address_of_mongodb_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises((StoreUnavailable, ValueError)):
        make_secrets(tmp_path, placement=Placement(), mongo=address)
    assert not (tmp_path / "mongo-users.json").exists()


def test_a_setting_is_read_from_its_file_unless_the_environment_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secrets(tmp_path, placement=Placement())
    (tmp_path / "consent" / "firsthand_archive_idle_seconds").write_text("7\n")
    monkeypatch.setenv("FIRSTHAND_SECRETS_DIR", str(tmp_path / "consent"))
    bus = bus_settings(Settings())
    assert (bus.user, bus.inbox_prefix) == ("consent", "_INBOX_consent")
    assert bus.password.get_secret_value() == (tmp_path / "consent" / "firsthand_nats_password").read_text()
    assert ArchiveSettings().idle_seconds == 7
    monkeypatch.setenv("FIRSTHAND_NATS_USER", "another")
    assert bus_settings(Settings()).user == "another"


def test_a_folder_of_secrets_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTHAND_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ValidationError, match="there is no folder"):
        Settings()


def test_without_a_user_everybody_is_answered_as_ever() -> None:
    assert bus_settings(Settings()).inbox_prefix == "_INBOX"


def test_who_consumes_from_outside_is_a_user_too(tmp_path: Path) -> None:
    register = {"user": "register", "password": "long", "permissions": {"subscribe": ["_INBOX_register.>"]}}
    more = tmp_path / "nats-more-users.json"
    more.write_text(json.dumps([register]))
    make_secrets(tmp_path, placement=Placement())
    assert read_conf((tmp_path / "nats.conf").read_text())["authorization"]["users"][-1] == register
    assert make_secrets(tmp_path, placement=Placement()) == []
    for unusable in ("{", "{}", '["register"]', json.dumps([register | {"user": "consent"}])):
        more.write_text(unusable)
        with pytest.raises(ValueError, match="nats-more-users"):
            make_secrets(tmp_path, placement=Placement())
