"""Prepares a MongoDB server for a deployment: its replica set, and a user for each service with rights on its own.

What is there already is left or brought up to date, so it may run at every start. No running service uses this.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pymongo.errors as mongo_errors
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.mongo_client import Address, disconnect, in_our_words

Say = Callable[[str], None]

_ROOT: Final = "root"
_ANSWERS_WITHIN: Final = 120.0  # seconds; a new server with an empty disk, and then the election of its primary
_LOOK_EVERY: Final = 0.5  # seconds

_COMMAND_NOT_FOUND: Final = 59
_ALREADY_INITIALIZED: Final = 23
_NOT_IMPLEMENTED: Final = 238


class User(BaseModel):
    """A user to be made, as `firsthand secrets make` writes it."""

    user: str
    password: SecretStr
    databases: tuple[str, ...]


_USERS: Final = TypeAdapter(tuple[User, ...])


def read_secrets(folder: Path) -> tuple[str, tuple[User, ...]]:
    """Read root's password and the users to make, as `firsthand secrets make` wrote them. Raises StoreUnavailable."""
    file = folder / "mongo-root-password"
    try:
        password = file.read_text("utf-8").strip()
        file = folder / "mongo-users.json"
        return password, _USERS.validate_json(file.read_bytes())
    except OSError as error:
        raise StoreUnavailable(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise StoreUnavailable(f"{file} is not as `firsthand secrets make` writes it.") from error


async def prepare(url: str, password: str, users: Sequence[User], say: Say, *, within: float = _ANSWERS_WITHIN) -> None:
    """Initiate the replica set that the address names, wait for its primary, and make the users.

    `password` is that of the user root. `within`: seconds that the server has for answering, and again for a primary.
    Raises StoreUnavailable.
    """
    address = Address(url)
    try:
        await _initiate(address, password, say, within)
        client = address.connect_as(_ROOT, password)
        try:
            await _answering(client, "isWritablePrimary", within)
            for user in users:
                await _make(client, user, say)
        finally:
            await disconnect(client)
    except mongo_errors.PyMongoError as error:
        raise in_our_words(error, address.hosts) from error


async def _initiate(address: Address, password: str, say: Say, within: float) -> None:
    """Make a replica set of the one server of the address. Of several, their operator decides who is a member."""
    if address.replica_set is None:
        say(f"{address.hosts}: the address names no replica set; none is initiated")
        return
    if "," in address.hosts:
        say(f"{address.hosts}: several servers are a replica set that was initiated by hand")
        return
    client = address.connect_as(_ROOT, password, direct=True)
    try:
        if (await _answering(client, "ok", within)).get("setName"):
            say(f"{address.hosts} is in a replica set already")
            return
        members = [{"_id": 0, "host": address.hosts}]
        await client.admin.command("replSetInitiate", {"_id": address.replica_set, "members": members})
        say(f"{address.hosts} is the replica set {address.replica_set} now")
    except mongo_errors.OperationFailure as error:
        if error.code == _COMMAND_NOT_FOUND:
            say(f"{address.hosts} knows no replica sets: it is no mongod")
        elif error.code != _ALREADY_INITIALIZED:
            raise
    finally:
        await disconnect(client)


async def _answering(client: Any, what: str, within: float) -> dict[str, Any]:
    """Ask the server who it is until `what` is true in its answer. Raises the driver's last error."""
    until = time.monotonic() + within
    while True:
        try:
            hello: dict[str, Any] = await client.admin.command("hello")
            if hello.get(what) or time.monotonic() > until:
                return hello
        except (mongo_errors.ConnectionFailure, mongo_errors.NotPrimaryError):
            if time.monotonic() > until:
                raise
        await asyncio.sleep(_LOOK_EVERY)


async def _make(client: Any, user: User, say: Say) -> None:
    """Make a user, or give it the password and rights that it is to have."""
    roles = [{"role": "readWrite", "db": database} for database in user.databases]
    found = await client.admin.command("usersInfo", {"user": user.user, "db": "admin"})
    command = "updateUser" if found["users"] else "createUser"
    password = user.password.get_secret_value()
    try:
        await client.admin.command(command, user.user, pwd=password, roles=roles)
        say(f"user {user.user}: reads and writes {' and '.join(user.databases)}")
    except mongo_errors.OperationFailure as error:
        if error.code != _NOT_IMPLEMENTED:
            raise
        none: dict[str, Any] = {"roles": []} if command == "createUser" else {}
        await client.admin.command(command, user.user, pwd=password, **none)
        say(f"user {user.user}: this server knows no roles, so this user may touch every database. It is no mongod")
