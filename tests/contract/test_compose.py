"""What the image, compose.yaml and the proxy's configuration say agrees with the code and with each other."""

import re
import tomllib
from pathlib import Path

import pytest

from firsthand.services.__main__ import SERVICES
from tests import real_servers

ROOT = Path(__file__).parents[2]
LOCKS = sorted([*ROOT.glob("*.lock"), *ROOT.glob("tests/**/*-lock.json")])
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()


def described() -> dict[str, str]:
    """What compose.yaml says of each service, as text: two spaces before the name, four before what belongs to it."""
    (services,) = re.findall(
        r"^services:\n(.*?)^networks:", (ROOT / "compose.yaml").read_text(), re.MULTILINE | re.DOTALL
    )
    return dict(re.findall(r"^  (\w+):\n((?:(?:    .*)?\n|  #.*\n)+)", services, re.MULTILINE))


COMPOSE = described()


def pinned(lock: str) -> dict[str, str]:
    """Each requirement of a lock with its hashes, by name."""
    entries = re.findall(r"^([a-z0-9._-]+)(==.*?)(?=^\S|\Z)", (ROOT / lock).read_text(), re.MULTILINE | re.DOTALL)
    return dict(entries)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_no_lock_names_an_address_and_each_has_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert "sha256:" in text or "sha512-" in text


def test_the_image_is_given_what_the_lock_says_and_nothing_for_developing() -> None:
    whole, run = pinned("requirements.lock"), pinned("requirements-run.lock")
    assert {name: entry for name, entry in run.items() if whole.get(name) != entry} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.split(r"[\[<>=; ]", name)[0] for name in project["project"]["dependencies"]}
    assert wanted <= run.keys()
    assert run.keys() & set(project["dependency-groups"]["dev"]) == set()


def test_tests_run_against_the_servers_that_are_deployed() -> None:
    images = {name: re.findall(r"^    image: (\S+)$", text, re.MULTILINE) for name, text in COMPOSE.items()}
    assert images["mongo"] == [real_servers.MONGO_IMAGE]
    assert images["nats"] == [real_servers.NATS_IMAGE]


def test_nothing_but_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, text in COMPOSE.items() if "ports:" in text] == ["proxy"]
    assert "${PUBLISH:-127.0.0.1:8080}:8080" in COMPOSE["proxy"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_run_with_its_own_secrets_and_reached_through_the_proxy(service: str) -> None:
    assert f"command: [serve, {service}]" in COMPOSE[service]
    assert re.findall(r"\./secrets/\S+", COMPOSE[service]) == [f"./secrets/{service}:/run/secrets:ro"]
    assert re.search(rf"handle /{service}/\* {{\s+import service {service}\s", CADDYFILE)
    assert f"      {service}:\n        condition: service_healthy" in COMPOSE["proxy"]
