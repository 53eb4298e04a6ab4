"""All secrets of a deployment whose services run apart, made in one folder: `firsthand secrets make FOLDER`.

    keys/                            every key, as FIRSTHAND_KEYS_DIR holds them: the one complete copy
    portal/, discovery/, ...         what one service may know: its NATS user and password, its address of MongoDB,
                                     the deployment key, all public keys, and the private one that it signs with
    operator/                        the NATS user of the commands
    nats.conf                        for the server: its users with hashes of their passwords, and what they may do
    nats-more-users.json             yours, if you have other users: [{"user", "password", "permissions"}]
    mongo-users.json                 users of MongoDB to be made: [{"user", "password", "databases"}]
    mongo-keyfile, mongo-root-password

What is there is kept; only `nats.conf` follows the topology, and keeps its hashes. Folders are 0700, files 0600.
"""

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import bcrypt

from firsthand.shared.bus.permissions import USERS, permissions_of
from firsthand.shared.files import write_whole
from firsthand.shared.keys import SIGNS, Keys
from firsthand.shared.topology import SERVICES, Placement

# bcrypt is slow so that a password is guessed slowly. Ours are 256 random bits, which nobody guesses: 2^6 rounds take
# 4 ms of the server at each connection. NKeys would need no hash; but a user is a key there, with neither name nor
# password, and these are what every client, the server's own tools and the settings here take.
_ROUNDS: Final = 6
_KEYFILE_BYTES: Final = 756  # what MongoDB's manual takes; it reads 6 to 1024 characters of base64
_MAX_PAYLOAD: Final = 1_048_576  # bytes, as the embedded server has it

_HEADER: Final = """\
# Written by `firsthand secrets make`, and anew when the topology asks for other permissions: do not change it.
# For TLS or a cluster write a file of your own beside it, and start the server with that one:
#
#   include ./nats.conf
#   tls { cert_file: "/etc/nats/cert.pem", key_file: "/etc/nats/key.pem" }
#
# and tell the services FIRSTHAND_NATS_URL=tls://host:4222.
"""


def make_secrets(folder: Path, *, placement: Placement, mongo: str = "", nats_store: str = "/data") -> list[Path]:
    """Make what is missing and give what was written, e.g. nothing. Raises KeysError, OSError; StoreUnavailable or
    ValueError for what is no address of MongoDB.

    `mongo` is an address without user, `mongodb://host:27017/<prefix>?...`; with none there are no secrets of MongoDB.
    """
    made = _Made(folder)
    keys = _private(folder / "keys")
    before = {path.name for path in keys.glob("*.key")}
    Keys.load(keys, {}, create=True)
    made.paths += sorted(path for path in keys.glob("*.key") if path.name not in before)

    passwords = {}
    for user in USERS:
        made.once(Path(user, "firsthand_nats_user"), lambda user=user: user)  # type: ignore[misc]
        passwords[user] = made.once(Path(user, "firsthand_nats_password"), _password)
    for service in SERVICES:
        for key in sorted(keys.glob("*.key")):
            if _is_for(service, key.name):
                made.once(Path(service, key.name), key.read_text)
    more = _more_users(folder / "nats-more-users.json")
    made.always(Path("nats.conf"), lambda old: nats_conf(passwords, placement, store=nats_store, more=more, old=old))
    if mongo:
        _make_mongo(made, mongo)
    return made.paths


def nats_conf(
    passwords: Mapping[str, str], placement: Placement, *, store: str, more: list[dict[str, Any]], old: str = ""
) -> str:
    """Write the server's configuration for these users, and for `more` as they are. The hashes of `old` are kept."""
    known = _hashes(old)
    users = []
    for user, password in passwords.items():
        permissions = permissions_of(user, placement)
        hashed = known.get(user, "")
        if not (hashed and bcrypt.checkpw(password.encode(), hashed.encode())):
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
        allowed = {"publish": {"allow": permissions.publish}, "subscribe": {"allow": permissions.subscribe}}
        users.append({"user": user, "password": hashed, "permissions": allowed})
    config: dict[str, Any] = {
        "server_name": "firsthand",
        "host": "0.0.0.0",  # noqa: S104 - the services come from other hosts
        "port": 4222,
        # For a health check on the server's own host only: it shows subscriptions to whoever asks.
        "http": "127.0.0.1:8222",
        # What the server has acknowledged is on disk: docs/decisions/0001-consuming.md has the cost.
        "jetstream": {"store_dir": store, "sync_interval": "always"},
        "max_payload": _MAX_PAYLOAD,
        "authorization": {"users": users + more},
    }
    return _HEADER + json.dumps(config, indent=2) + "\n"


def _more_users(path: Path) -> list[dict[str, Any]]:
    """Read users that are not ours, written as the server wants them. Raises ValueError."""
    if not path.exists():
        return []
    try:
        users: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        names = [one["user"] for one in users]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no list of users with their passwords and permissions") from error
    if not isinstance(users, list) or {*names} & {*USERS}:
        raise ValueError(f"{path} is no list of users, or names one of ours")
    return users


def read_conf(conf: str) -> dict[str, Any]:
    """Read a configuration that `nats_conf` wrote. Raises ValueError."""
    read: dict[str, Any] = json.loads("\n".join(line for line in conf.splitlines() if not line.startswith("#")))
    return read


def _hashes(conf: str) -> dict[str, str]:
    """The users' hashes in a configuration of ours; none in one that cannot be read."""
    try:
        return {one["user"]: one["password"] for one in read_conf(conf)["authorization"]["users"]}
    except (ValueError, LookupError, TypeError):
        return {}


def _make_mongo(made: "_Made", address: str) -> None:
    from firsthand.shared.store.mongo_client import Address  # the driver, which only this needs

    if "@" in address:
        raise ValueError("the address of MongoDB is wanted without a user: each service is given one of its own")
    prefix = Address(address).prefix

    def users() -> str:
        databases = {service: [f"{prefix}_{service}", f"{prefix}_{service}_keys"] for service in SERVICES}
        made = [{"user": user, "password": _password(), "databases": of} for user, of in databases.items()]
        return json.dumps(made, indent=2)

    for one in json.loads(made.once(Path("mongo-users.json"), users)):
        made.once(Path(one["user"], "firsthand_mongo_url"), lambda one=one: _with_user(address, **one))  # type: ignore[misc]
    made.once(Path("mongo-keyfile"), lambda: base64.b64encode(os.urandom(_KEYFILE_BYTES)).decode())
    made.once(Path("mongo-root-password"), _password)


def _with_user(address: str, user: str, password: str, databases: list[str]) -> str:  # noqa: ARG001 - as the file has it
    """The address with a user, who is known to the database `admin` unless the address says otherwise."""
    parts = urlsplit(address)
    source = "" if "authsource=" in parts.query.lower() else "authSource=admin"
    query = "&".join(filter(None, (parts.query, source)))
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"
    return urlunsplit(parts._replace(netloc=netloc, path=parts.path or "/", query=query))


def _is_for(service: str, key: str) -> bool:
    """Whether a service may know a key: every one, but for those with which others sign."""
    return not key.startswith("sign-") or key.startswith(f"sign-{SIGNS.get(service)}-")


def _password() -> str:
    return secrets.token_urlsafe(32)


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


class _Made:
    """What was written below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = _private(folder)
        self.paths: list[Path] = []

    def once(self, name: Path, content: Callable[[], str]) -> str:
        """Write a file if it is not there; gives what it holds."""
        path = self._folder / name
        _private(path.parent)
        if not path.exists() and write_whole(path, content().encode(), replace=False):
            self.paths.append(path)
        return path.read_text("utf-8").strip()

    def always(self, name: Path, content: Callable[[str], str]) -> None:
        """Write a file if it is to hold something else than it does."""
        path = self._folder / name
        old = path.read_text("utf-8") if path.exists() else ""
        if (new := content(old)) != old:
            write_whole(path, new.encode(), replace=True)
            self.paths.append(path)
