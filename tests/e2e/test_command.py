"""The `firsthand` command as an operator meets it: starting, ending, and one line on what is wrong."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from firsthand.example import journey as play
from firsthand.shared.client import operator
from firsthand.shared.clock import SystemClock
from tests.e2e.system import SERVICES, System, all_in_one, unique
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
OAK = unique("oak-dental")


async def _firsthand(*arguments: str, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firsthand.services", *arguments,
        env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode()


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


async def test_ctrl_c_ends_in_order_and_a_second_start_finds_everything_again(tmp_path: Path) -> None:
    async with (
        all_in_one(tmp_path) as system,
        play.school(system.url, system.keys, SystemClock(), OAK) as school,
    ):
        await play.open_case(school)
        journey = await play.clear(school, await play.nominate(school, "patient.example"))
        process = system.everything.process
        assert process
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        assert '"level": "error"' not in (system.data / "logs" / "firsthand.log").read_text()
        await system.everything.start(cold=True)
        assert (await play.timeline(journey, "invitation.prepared"))["reference"] == journey.reference


async def test_started_twice_it_says_that_it_runs_already(system: System) -> None:
    code, out = await _firsthand("up", FIRSTHAND_DATA=str(system.data), FIRSTHAND_PORT="0")
    assert code == 1
    assert "Firsthand runs already on the data folder" in out
    assert "Traceback" not in out


async def test_a_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out = await _firsthand("up", FIRSTHAND_DATA=str(tmp_path), FIRSTHAND_PORT=str(port))
    assert code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in out
    assert "Traceback" not in out


async def test_an_unusable_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    code, out = await _firsthand("up", FIRSTHAND_DATA=str(tmp_path / "file" / "data"))
    assert code == 1
    assert "Cannot write to the data folder" in out
    assert "Traceback" not in out


async def test_a_setting_that_is_no_number_is_named(tmp_path: Path) -> None:
    code, out = await _firsthand("up", FIRSTHAND_DATA=str(tmp_path), FIRSTHAND_PORT="many")
    assert code == 1
    assert "FIRSTHAND_PORT is not usable" in out


def test_a_python_that_is_too_old_is_told_by_make(tmp_path: Path) -> None:
    result = subprocess.run(
        ["make", "run", "PYTHON=", f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "needs Python 3.11 or later" in result.stderr


async def test_a_service_alone_needs_a_nats_server_and_says_so(tmp_path: Path) -> None:
    code, out = await _firsthand("serve", "consent", FIRSTHAND_DATA=str(tmp_path))
    assert code == 1
    assert "There is no NATS server" in " ".join(out.split())


async def test_an_operator_adds_an_institution_a_person_and_a_token_and_imports_posts(system: System) -> None:
    environment = {name: value for name, value in system.everything.environment.items() if "FIRSTHAND" in name}
    add = ("institution", "add", OAK, "--name", "Oak", "--country", "IE", "--zone", "Europe/Dublin")
    code, out = await _firsthand(*add, **environment)
    assert code == 0, out
    person = ("person", "add", "--institution", OAK, "--name", "C", "--email", "c@oak.example")
    code, out = await _firsthand(*person, "--role", "coordinator", **environment)
    assert code == 0, out
    assert f"/portal/sign-in/{OAK}/" in out
    code, out = await _firsthand("token", "create", "--institution", OAK, "--label", "import", **environment)
    assert code == 0, out
    token = next(line for line in out.splitlines() if line.count(".") == 2)
    posts = str(ROOT / "example" / "posts" / "mastodon.json")
    code, out = await _firsthand("import", "posts", posts, "--case", "CLP", "--token", token, **environment)
    assert code == 1
    assert "Traceback" not in out
    async with (
        operator(system.url, system.keys, SystemClock()) as admin,
        play.sign_in(system.url, admin, OAK, "c@oak.example") as coordinator,
    ):
        school = play.School(system.url, OAK, SystemClock(), coordinator, coordinator, coordinator, coordinator)
        school.tutor_id = (await coordinator.call("GET", "/portal/api/v1/people"))["items"][0]["person_id"]
        await play.open_case(school)
    code, out = await _firsthand("import", "posts", posts, "--case", "CLP", "--token", token, **environment)
    assert code == 0, out
    assert "5" in out


@pytest.mark.parametrize("command", [("topology", "show"), ("doctor",), ("dead-letters", "list")])
async def test_a_healthy_system_passes_its_own_examination(system: System, command: tuple[str, ...]) -> None:
    environment = {name: value for name, value in system.everything.environment.items() if "FIRSTHAND" in name}
    code, out = await _firsthand(*command, **environment)
    assert code == 0, out
    assert "Traceback" not in out


async def test_doctor_answers_programs_too_and_asks_the_running_services(system: System) -> None:
    environment = {name: value for name, value in system.everything.environment.items() if "FIRSTHAND" in name}
    code, out = await _firsthand("doctor", "--json", **environment)
    told = json.loads(out)
    assert (code, told["sound"]) == (0, True)
    assert {finding["level"] for finding in told["findings"]} <= {"ok", "warning"}
    ready = {finding["text"].split()[0] for finding in told["findings"] if finding["check"] == "services"}
    assert ready == set(SERVICES)
    assert {"address", "keys", "disk", "mail", "topology", "dead letters", "clock"} <= {
        finding["check"] for finding in told["findings"]
    }
