"""Chains a second with Celery and Dramatiq on Redis, beside ours and today's floor. Aim: three times each of them.

    python -m bench.peers [chains] [rounds]

Every hop of every side takes a task, writes one document durably to SQLite (WAL, FULL, what waits is committed
together) and enqueues the next durably: Redis appends and flushes (`appendfsync always`), as nats-server does with
`sync_interval: always`. The time of a side is that from the first enqueue to the last document of a last hop. Each
chain must have ended once, with all its documents, and Redis must hold nothing more.

Ours and the floor are `bench.chain`. The peers get both cores for their workers, and another process begins their
chains.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.documents import HOPS, opened

_CHAINS: Final = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
_ROUNDS: Final = int(sys.argv[2]) if len(sys.argv) > 2 else 3
_WARM: Final = 50  # chains before those that are measured
_WITHIN: Final = 300.0  # seconds for one side
_AIM: Final = 3
_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent.parent
_VENV: Final = _HERE / ".venv"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Peer:
    """One way to start workers; `environment` is given to them."""

    name: str
    module: str
    worker: tuple[str, ...]
    workers: int  # so often it is started
    environment: dict[str, str]


def _celery(*options: str, workers: int, prefetch: int) -> Peer:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING")
    worker = ("celery", "-A", "bench.peers.celery_chain", "worker", *quiet, *options)
    return Peer("Celery", "bench.peers.celery_chain", worker, workers, {"PEERS_PREFETCH": str(prefetch)})


def _dramatiq(processes: int, threads: int, prefetch: int) -> Peer:
    worker = ("dramatiq", "bench.peers.dramatiq_chain", "--processes", str(processes), "--threads", str(threads))
    return Peer("Dramatiq", "bench.peers.dramatiq_chain", worker, 1, {"dramatiq_queue_prefetch": str(prefetch)})


# The fastest of those that README.md lists.
PEERS: Final = (
    _celery("--pool", "threads", "--concurrency", "8", workers=2, prefetch=1),
    _dramatiq(2, 16, 64),
)


def python() -> str:
    """Give the Python that has the peers; made when it is not there."""
    program = _VENV / "bin" / "python"
    if not (_VENV / "ready").exists():
        print("installing the peers (once) ...", flush=True)
        venv.create(_VENV, clear=True, with_pip=True)
        install = (program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        subprocess.run([*install, "--require-hashes", "-r", _HERE / "requirements.txt"], check=True)
        (_VENV / "ready").touch()
    return str(program)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a Redis of our own that flushes what it takes before it answers; gives its address."""
    program = shutil.which("redis-server")
    assert program, "no redis-server; on Debian: apt install redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir()
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "appendonly": "yes", "save": ""}
    options = [part for name, value in (settings | {"appendfsync": "always"}).items() for part in (f"--{name}", value)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        _until(lambda: _answers(port), 10)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(done: Callable[[], bool], within: float) -> None:
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def measured(peer: Peer, folder: Path) -> tuple[float, float]:
    """Run one peer once; gives chains a second, and the milliseconds of processor time that workers took a chain."""
    database = opened(folder / "documents.db")
    with redis(folder / "redis") as address:
        environment = os.environ | peer.environment
        environment |= {
            "PEERS_REDIS": address,
            "PEERS_DATABASE": str(folder / "documents.db"),
            "PYTHONPATH": str(_ROOT),
        }

        def begin(prefix: str, chains: int) -> None:
            subprocess.run(
                [python(), "-m", peer.module, "begin", prefix, str(chains)], cwd=_ROOT, env=environment, check=True
            )

        def ended(prefix: str) -> int:
            asked = "SELECT count(*) FROM documents WHERE hop = ? AND chain GLOB ?"
            (count,) = database.execute(asked, (HOPS, f"{prefix}-*")).fetchone()
            return int(count)

        with (folder / "worker.log").open("wb") as log:
            command = [python(), "-m", *peer.worker]
            workers = [
                subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=log, stderr=log)
                for _ in range(peer.workers)
            ]
        try:
            begin("warm", _WARM)
            _until(lambda: ended("warm") == _WARM, 60)
            before = sum(_processor_seconds(worker.pid) for worker in workers)
            started = time.time()
            begin("run", _CHAINS)
            _until(lambda: ended("run") == _CHAINS, _WITHIN)
            spent = sum(_processor_seconds(worker.pid) for worker in workers) - before
            _until(lambda: _entries(address) == 0, 30)
        finally:
            for worker in workers:
                _end(worker)
    took = max(at for (at,) in database.execute("SELECT at FROM documents")) - started
    counted = database.execute(
        "SELECT count(*), count(DISTINCT chain), max(runs) FROM documents WHERE chain GLOB 'run-*'"
    ).fetchone()
    assert counted == (_CHAINS * HOPS, _CHAINS, 1), counted
    database.close()
    return _CHAINS / took, 1000 * spent / _CHAINS


def _end(worker: "subprocess.Popen[bytes]") -> None:
    """End a worker and its children. What it did is on the disk, and Celery takes a minute to end by itself."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for pid in (worker.pid, *map(int, children)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    worker.wait()


def _entries(address: str) -> int:
    """Give how many tasks Redis still holds, waiting or not yet acknowledged."""
    told = subprocess.run(
        [python(), "-m", "bench.peers.left", address], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    return int(told.stdout)


def _processor_seconds(pid: int) -> float:
    """Processor time of a process and all its children that run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(_processor_seconds(int(child)) for child in children)


def chain() -> dict[str, float]:
    """Run `bench.chain`; gives the chains a second of both floors and of ours."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.chain", str(_CHAINS)],
        cwd=_ROOT, capture_output=True, text=True, check=False, timeout=3 * _WITHIN,
    )  # fmt: skip
    found = re.search(r"floor (\d+) chains/s, in atomic batches (\d+)   ours (\d+)", run.stdout)
    assert found, run.stdout + run.stderr
    return dict(zip(("floor", "in batches", "ours"), map(float, found.groups()), strict=True))


def main() -> None:
    rates: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    python()
    for _ in range(_ROUNDS):
        for side, rate in chain().items():
            rates.setdefault(side, []).append(rate)
        for peer in PEERS:
            with tempfile.TemporaryDirectory() as name:
                rate, milliseconds = measured(peer, Path(name))
            rates.setdefault(peer.name, []).append(rate)
            spent.setdefault(peer.name, []).append(milliseconds)
    middle = {side: statistics.median(found) for side, found in rates.items()}
    for side, found in rates.items():
        text = f"peers  {side:<10} {middle[side]:5.0f} chains/s ({min(found):.0f} to {max(found):.0f})"
        text += f"   {middle[side] / middle['floor']:.2f} of the floor"
        if side in spent:
            text += f"   ours {middle['ours'] / middle[side]:.1f} x"
            text += f"   {statistics.median(spent[side]):.1f} ms of worker's processor time a chain"
        print(text)
    least = min(middle["ours"] / middle[peer.name] for peer in PEERS)
    print(f"       aim {_AIM} x each: {'met' if least >= _AIM else 'MISSED'}")


if __name__ == "__main__":
    main()
