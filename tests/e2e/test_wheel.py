"""What is installed is whole: a wheel in an environment of its own, away from the tree, loads its example and ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # nothing is built inside the checkout
    shutil.copytree(ROOT / "firsthand", tree / "firsthand", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "THIRD-PARTY-NOTICES.md"):
        shutil.copy(ROOT / name, tree)
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(tree))
    subprocess.run([*PIP, *build], check=True)
    (made,) = folder.glob("firsthand-*.whl")
    return made


def test_the_wheel_has_every_file_that_is_no_code(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("services", "shared", "example"):
        there = {
            f"firsthand/{path.relative_to(ROOT).as_posix()}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert there - packed == set()
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == {"firsthand"}
    assert any(name.endswith("licenses/THIRD-PARTY-NOTICES.md") for name in packed)


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The `firsthand` command of an environment of its own."""
    home = tmp_path / "environment"
    venv.create(home)
    python = home / "bin" / "python"
    subprocess.run([*PIP, "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)], check=True)
    # What Firsthand needs is lent by this environment, after the new one's own packages; this tree is not on the path.
    own = next((home / "lib").glob("python*/site-packages"))
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "firsthand"


@pytest.mark.timeout(300)
async def test_an_installed_firsthand_starts_with_its_example(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FIRSTHAND_", "PYTHON"))}
    environment |= {"FIRSTHAND_DATA": str(tmp_path / "data"), "FIRSTHAND_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nats-server, lent as well
    process = await asyncio.create_subprocess_exec(
        installed, "up", "--example",
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout
    said = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3 * PATIENCE):  # it plays a whole journey beside everything else that runs
            while "Ctrl-C" not in said and (line := await process.stdout.readline()):
                said += line.decode()
    assert "Ctrl-C" in said, said
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as site:
        page = await site.get("/portal/sign-in", headers={"Accept": "text/html"})
    assert page.status_code == 200
    process.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, said + rest.decode()
