"""The connection to MongoDB: the one place that names a driver, what connections keep to, and errors in our words.

motor is the driver. PyMongo's own async client, its successor, passes the same contract suite;
docs/decisions/0013-mongo.md says when to change over, which is one word here.
"""

from typing import Any, Final, Literal

import pymongo.errors as mongo_errors
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.uri_parser import parse_uri

from firsthand.shared.store import NoRoom, StoreError, StoreUnavailable

Driver = Literal["motor", "pymongo"]

_PREFIX: Final = "firsthand"
# Milliseconds for one operation, looking for a primary and the driver's own second try included. An election may take
# longer; whoever waits at a door is better served by "again in five seconds" than by a page that does not come.
_OPERATION_WITHIN: Final = 5_000
_POOL: Final = 32  # connections a process and database at most

READ_CONCERN: Final = "majority"
# What the guarantees rest on; an address cannot weaken it. An acknowledged write is on the disks of a majority, a read
# sees only what a majority has, and a write whose answer was lost is sent once more under the same number.
_KEPT_TO: Final[dict[str, Any]] = {
    "w": "majority",
    "journal": True,
    "retryWrites": True,
    "retryReads": True,
    "readConcernLevel": READ_CONCERN,
    "readPreference": "primary",
    "appname": "firsthand",
}
# What an operator may choose in the address.
_DEFAULTS: Final[dict[str, Any]] = {
    "timeoutMS": _OPERATION_WITHIN,
    "serverSelectionTimeoutMS": _OPERATION_WITHIN,
    "connectTimeoutMS": _OPERATION_WITHIN,
    "waitQueueTimeoutMS": _OPERATION_WITHIN,
    "maxPoolSize": _POOL,
}
_UNAUTHORIZED: Final = 13
_AUTHENTICATION_FAILED: Final = 18
_OUT_OF_DISK_SPACE: Final = 14031


class Address:
    """A MongoDB address, read: for whom, and which databases. Shows no password when printed."""

    def __init__(self, url: str) -> None:
        """Raises StoreUnavailable when it is no address of MongoDB."""
        try:
            parsed = parse_uri(url, validate=True, warn=False)
        except (mongo_errors.PyMongoError, ValueError) as error:
            raise StoreUnavailable(
                "FIRSTHAND_MONGO_URL is not usable: mongodb://user:password@host:27017/firsthand?replicaSet=rs0&"
                f"authSource=admin was expected ({type(error).__name__})."
            ) from error
        self._url = url
        self._chosen = {name.lower(): value for name, value in parsed["options"].items()}
        self.prefix: str = parsed["database"] or _PREFIX
        self.replica_set: str | None = self._chosen.get("replicaset")
        self._nodes: list[tuple[str, int | None]] = parsed["nodelist"]
        self.hosts = ", ".join(f"{host}:{port or 27017}" for host, port in self._nodes)

    @property
    def tls_servers(self) -> list[tuple[str, int]]:
        """Host and port of each server, where the address asks for TLS."""
        asks = self._chosen.get("tls") or self._chosen.get("ssl")
        return [(host, port or 27017) for host, port in self._nodes] if asks else []

    @property
    def tls_authority(self) -> str:
        """The file of the authority that the address names; empty: those of the system."""
        return str(self._chosen.get("tlscafile") or "")

    def __repr__(self) -> str:
        return f"Address({self.hosts}/{self.prefix})"

    def connect(self, driver: Driver = "motor", *, patient: bool = False) -> Any:
        """Make a client, which connects when it is first used. `patient`: for work without an end in sight, as an index
        over many documents is.
        """
        defaults = {name: value for name, value in _DEFAULTS.items() if name.lower() not in self._chosen}
        if patient:
            defaults["timeoutMS"] = None
        options: dict[str, Any] = defaults | _KEPT_TO
        if driver == "motor":
            return AsyncIOMotorClient(self._url, **options)
        return AsyncMongoClient[dict[str, Any]](self._url, **options)

    def connect_as(self, user: str, password: str, *, direct: bool = False) -> Any:
        """Make a client for an administrator who is not in the address. `direct`: to the one server of the address,
        while it is in no replica set yet.
        """
        options: dict[str, Any] = _DEFAULTS | {"username": user, "password": password, "authSource": "admin"}
        if direct:
            options |= {"directConnection": True, "replicaSet": None}
        return AsyncIOMotorClient(self._url, **options)


async def disconnect(client: Any) -> None:
    """Close a client of either driver."""
    closing = client.close()
    if closing is not None:
        await closing


def in_our_words(error: mongo_errors.PyMongoError, hosts: str) -> StoreError:
    """Say what went wrong without a value of a document, an address's password or a server's stack."""
    if isinstance(error, mongo_errors.OperationFailure) and error.code == _OUT_OF_DISK_SPACE:
        return NoRoom(f"MongoDB at {hosts} has no room on its disk; make room.")
    return StoreUnavailable(f"MongoDB at {hosts} {_told(error)}")


def _told(error: mongo_errors.PyMongoError) -> str:  # noqa: PLR0911 - one line a case
    match error:
        case mongo_errors.InvalidOperation():
            return "is no longer connected to."
        case mongo_errors.OperationFailure(code=code) if code in (_UNAUTHORIZED, _AUTHENTICATION_FAILED):
            return "refuses our user: check the name, the password and its rights."
        case mongo_errors.ServerSelectionTimeoutError():
            return "has no primary that answers: is it up, and its replica set initiated?"
        case mongo_errors.WaitQueueTimeoutError():
            return "has all its connections to us in use."
        case mongo_errors.NotPrimaryError():
            return "is choosing a new primary."
        case _ if error.timeout:
            return "did not answer in time; whether it did what was asked is not known."
        case mongo_errors.AutoReconnect():
            return "closed the connection; whether it did what was asked is not known."
        case mongo_errors.OperationFailure():
            return f"refused: {(error.details or {}).get('codeName') or f'error {error.code}'}."
    return f"could not do it: {type(error).__name__}."


async def examine_server(url: str) -> list[tuple[bool, str]]:
    """Tell what a server is and whether it keeps our promises: (good, one sentence) each. Raises StoreUnavailable."""
    address = Address(url)
    client = address.connect()
    try:
        hello = await client.admin.command("hello")
        built = await client.admin.command("buildInfo")
    except mongo_errors.PyMongoError as error:
        raise in_our_words(error, address.hosts) from error
    finally:
        await disconnect(client)
    where = f"MongoDB at {address.hosts}"
    if ferret := built.get("ferretdbVersion"):
        told = f"{where} is FerretDB {ferret}: two writers of one document can both win. It is for trying things out."
        return [(False, told)]
    if hello.get("setName"):
        return [(True, f"{where} is {built['version']}, replica set {hello['setName']}")]
    if hello.get("msg") == "isdbgrid":
        return [(True, f"{where} is {built['version']}, a sharded cluster")]
    told = f"{where} is {built['version']}, alone: a write whose answer is lost is not repeated. Make it a replica set."
    return [(False, told)]
