"""Processes of ours that start warm: forked from one that has loaded the code already.

Importing takes a second and a half of a core, and the tests of the whole system start more than a hundred processes. A
forked one runs the same command with its own arguments, environment, folder and log, and is signalled and killed like
any other. What a start from nothing does is shown by `tests/e2e/test_command.py`.

`python -m tests.e2e.warm` is the loaded one: it reads one request a line, and ends with its parent.
"""

import asyncio
import atexit
import ctypes
import importlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


class WarmProcess:
    """One forked process; as much of `asyncio.subprocess.Process` as the tests use."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._pidfd = os.pidfd_open(pid)
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        if self._code is None and select.select([self._pidfd], [], [], 0)[0]:
            self._code = self._nursery.ask({"code": self.pid})
            os.close(self._pidfd)
        return self._code

    def send_signal(self, sign: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, sign)

    async def wait(self) -> int:
        if self.returncode is None:
            ended, loop = asyncio.Event(), asyncio.get_running_loop()
            loop.add_reader(self._pidfd, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._pidfd)
        code = self.returncode
        assert code is not None
        return code


class Nursery:
    """The loaded process of this test worker, started when the first of its children is asked for."""

    def __init__(self) -> None:
        self._loaded: subprocess.Popen[str] | None = None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> WarmProcess:
        return WarmProcess(self, self.ask({"run": list(arguments), "environment": dict(environment), "log": str(log)}))

    def ask(self, request: dict[str, Any]) -> int:
        if self._loaded is None:
            self._loaded = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.warm"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            atexit.register(self._end)
        assert self._loaded.stdin
        assert self._loaded.stdout
        self._loaded.stdin.write(json.dumps(request) + "\n")
        self._loaded.stdin.flush()
        return int(self._loaded.stdout.readline())

    def _end(self) -> None:
        if self._loaded:
            assert self._loaded.stdin
            self._loaded.stdin.close()
            self._loaded.wait()


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Become the command, in the child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing, written = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv = ["firsthand", *arguments]
    code = 0
    try:
        importlib.import_module("firsthand.services.__main__").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _load() -> None:
    command = importlib.import_module("firsthand.services.__main__")
    for service in command.SERVICES.values():
        assert service.router
    importlib.import_module("firsthand.example.institution")


def main() -> None:
    """Take requests until the parent closes the line."""
    _load()
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "code" in request:
            _, status = os.waitpid(request["code"], 0)
            children.discard(request["code"])
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _run(request["run"], request["environment"], request["log"])
            children.add(answer)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
