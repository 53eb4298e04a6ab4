"""A MongoDB server is given a user a service, and each user's databases and nobody else's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthand.shared.clock import SystemClock
from firsthand.shared.credentials import make_secrets
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.mongo import MongoStore
from firsthand.shared.store.mongo_setup import prepare, read_secrets
from firsthand.shared.topology import Placement
from firsthand.shared.vault import OwnerKey
from tests.real_servers import mongo_with_users


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server's address, and the secrets that were made for it."""
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder, placement=Placement(), mongo="mongodb://mongo:27017/school")
    with mongo_with_users((folder / "mongo-root-password").read_text()) as url:
        yield f"{url}/school", folder


def address_of(service: str, url: str, folder: Path) -> str:
    """What the service is told, at the port at which the server is reached here."""
    host = url.removeprefix("mongodb://").partition("/")[0]
    return (folder / service / "firsthand_mongo_url").read_text().replace("mongo:27017", host)


async def test_each_service_enters_with_what_it_was_given_and_preparing_again_changes_nothing(
    server: tuple[str, Path],
) -> None:
    url, folder = server
    password, users = read_secrets(folder)
    said: list[str] = []
    for _ in range(2):
        await prepare(url, password, users, said.append, within=60)
    assert len(said) == 2 * (1 + len(users))
    assert said[: len(said) // 2] == said[len(said) // 2 :]
    for service in ("consent", "archive"):
        for name in (service, f"{service}_keys"):
            store = await MongoStore.open(address_of(service, url, folder), name, SystemClock())
            await store.prepare([OwnerKey])
            await store.ping()
            await store.close()


async def test_nobody_enters_with_another_password_or_none(server: tuple[str, Path]) -> None:
    url, folder = server
    password, users = read_secrets(folder)
    with pytest.raises(StoreUnavailable, match="refuses our user"):
        await prepare(url, password + "x", users, lambda _: None, within=1)
    with pytest.raises(StoreUnavailable, match="refuses our user"):
        await (await MongoStore.open(url, "consent", SystemClock())).prepare([OwnerKey])


def test_what_was_not_made_by_us_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="mongo-root-password cannot be read"):
        read_secrets(tmp_path)
    (tmp_path / "mongo-root-password").write_text("secret")
    (tmp_path / "mongo-users.json").write_text(json.dumps([{"user": "consent"}]))
    with pytest.raises(StoreUnavailable, match="not as `firsthand secrets make` writes it"):
        read_secrets(tmp_path)
