"""What a process does not use it does not load: a command answers at once, and memory is not held for nothing."""

import subprocess
import sys

_SERVICES = ("portal", "discovery", "consent", "scheduling", "archive", "webhooks")
_DRIVERS = ("motor", "pymongo", "obstore", "av")


def _loaded(imported: str, names: tuple[str, ...]) -> list[str]:
    """Which of these packages a fresh interpreter has loaded with some modules of ours."""
    program = f"import sys, {imported}; print(*[one for one in {names!r} if one in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_the_command_loads_neither_bus_nor_web_before_it_knows_what_is_asked() -> None:
    names = ("fastapi", "faststream", "nats", "httpx", "cryptography", *_DRIVERS)
    assert _loaded("firsthand.services.__main__", names) == []


def test_doctor_loads_no_service_and_no_web() -> None:
    names = ("fastapi", "firsthand.services.portal", "firsthand.services.archive.app", *_DRIVERS)
    assert _loaded("firsthand.shared.doctor, firsthand.shared.store.opened", names) == []


def test_a_service_on_files_loads_no_driver_of_servers_and_no_decoder() -> None:
    services = ", ".join(f"firsthand.services.{name}.app" for name in _SERVICES)
    loaded = _loaded(f"firsthand.shared.serving, {services}", (*_DRIVERS, "httpx", "rich"))
    assert loaded == []


def test_no_service_loads_the_http_client_of_webhooks_before_one_is_sent() -> None:
    assert _loaded("firsthand.shared.serving, firsthand.services.webhooks.app", ("aiohttp.client",)) == []


def test_the_example_loads_its_encoder_only_when_it_is_played() -> None:
    assert _loaded("firsthand.example.institution", ("av",)) == []
