"""The receivers of docs/webhooks.md, as they stand there, and other people's readers of what arrives."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.webhooks.house import House
from tests.patience import PATIENCE
from tests.ports import free_port

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="not run: there is no Node.js here")


def code_of(language: str) -> str:
    (found,) = re.findall(rf"(?s)```{language}\n(.+?)```", PAGE.read_text(encoding="utf-8"))
    return str(found)


@contextlib.asynccontextmanager
async def running(command: list[str], port: int, secret: str, folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """Run a receiver; gives what it prints."""
    environment = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port), "STORE": str(folder / "events.db")}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("language", ["python", pytest.param("javascript", marks=needs_node)])
async def test_the_receiver_of_the_page_verifies_deduplicates_and_acknowledges(
    house_of_today: House, tmp_path: Path, language: str
) -> None:
    house, port = house_of_today, free_port()
    added = await house.add(f"http://127.0.0.1:{port}/firsthand")
    script = tmp_path / ("receiver.py" if language == "python" else "receiver.mjs")
    script.write_text(code_of(language), encoding="utf-8")
    assert len(script.read_text().splitlines()) <= 35
    command = [sys.executable if language == "python" else "node", str(script)]
    async with running(command, port, added["secret"], tmp_path) as printed, asyncio.timeout(PATIENCE):
        await house.eventually(partial(_listens, port))
        await house.grant()
        assert await printed.readline() == b"firsthand.consent.granted.v1 c1\n"
        (one,) = await house.until(added["endpoint_id"], "delivered")
        await house.call("POST", f"/endpoints/{added['endpoint_id']}/deliveries/{one['delivery_id']}/resend")

        async def again() -> bool:
            (one,) = await house.deliveries(added["endpoint_id"])
            return bool(one["state"] == "delivered" and one["attempts"] == 2)

        await house.eventually(again)
        await house.call("POST", f"/endpoints/{added['endpoint_id']}/rotate", json={"hours": 0})
        await house.grant("c2")  # by a secret that the receiver does not have

        async def refused() -> bool:
            found = await house.deliveries(added["endpoint_id"], contact_id="c2")
            return bool(found and found[0]["last_status"] == 400)

        await house.eventually(refused)
