"""The nats-server that comes with Firsthand: started, guarded, started again, ended."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import nats
import pytest

from firsthand.shared.embedded_nats import EmbeddedNats, FolderInUse, NatsNotStarted, address_of
from tests.disks import small_disk
from tests.patience import PATIENCE

# A process of ours that starts a server and then waits to be killed.
PARENT = """
import asyncio, sys
from pathlib import Path
from firsthand.shared.embedded_nats import EmbeddedNats
async def main():
    server = EmbeddedNats(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def runs(pid: int) -> bool:
    try:
        return "nats-server" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


async def until_ended(pid: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while runs(pid):  # noqa: ASYNC110 - it is not our child
            await asyncio.sleep(0.01)


async def test_what_it_acknowledged_is_there_after_a_kill_and_at_the_same_address(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path)
    url = await server.start()
    supervisor = asyncio.create_task(server.supervise())
    client = await nats.connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
    js = client.jetstream()
    await js.add_stream(name="KEPT", subjects=["kept"])
    await js.publish("kept", b"one")
    first = server.pid
    assert first
    back = asyncio.Event()
    client._reconnected_cb = lambda: _set(back)
    os.kill(first, signal.SIGKILL)
    await asyncio.wait_for(back.wait(), PATIENCE)
    assert server.pid not in {None, first}
    assert server.url == url
    assert (await js.stream_info("KEPT")).state.messages == 1
    await client.close()
    await server.stop()
    await supervisor
    assert server.pid is None


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_it_stores_events_again_by_itself_once_a_full_disk_has_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as disk:
        server, ballast = EmbeddedNats(disk / "nats"), disk / "somebody else's"
        url = await server.start()
        watches = [
            asyncio.create_task(server.supervise()),
            asyncio.create_task(server.renew_after_full_disk(lambda: not ballast.exists(), every=0.05)),
        ]
        client = await nats.connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        js = client.jetstream(timeout=0.2)
        await js.add_stream(name="KEPT", subjects=["kept"])
        await js.publish("kept", b"one")
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(bytes(32 * 1024 * 1024))
        results = [await asyncio.gather(js.publish("kept", os.urandom(4096)), return_exceptions=True) for _ in range(9)]
        assert isinstance(results[-1][0], nats.errors.Error)  # nothing fits any more
        first = server.pid
        ballast.unlink()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await js.publish("kept", b"two")
                except nats.errors.Error:
                    continue
                break
        assert server.pid not in {None, first}
        assert (await js.get_msg("KEPT", 1)).data == b"one"
        await client.close()
        await server.stop()
        await asyncio.gather(*watches)


async def test_a_second_one_on_the_same_folder_does_not_start(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path)
    await server.start()
    with pytest.raises(FolderInUse, match="Another Firsthand is running"):
        await EmbeddedNats(tmp_path).start()
    await server.stop()
    second = EmbeddedNats(tmp_path)
    await second.start()
    await second.stop()


async def test_it_ends_when_its_process_is_killed_and_the_folder_is_free_again(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - it is to be killed
    assert parent.stdout
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    assert runs(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    next_one = EmbeddedNats(tmp_path)
    await next_one.start()
    await until_ended(pid)
    await next_one.stop()


async def test_one_that_was_left_over_is_ended(tmp_path: Path) -> None:
    first = EmbeddedNats(tmp_path)
    await first.start()
    left_over = first.pid
    first._release_lock()  # as if its process had died and the kernel had not ended the server
    second = EmbeddedNats(tmp_path)
    await second.start()
    assert left_over
    assert not runs(left_over) or second.pid == left_over
    await second.stop()
    assert first._process
    await first._process.wait()


async def test_a_process_that_only_has_the_number_of_a_former_server_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nats.pid").write_text(str(os.getpid()), encoding="utf-8")
    server = EmbeddedNats(tmp_path)
    await server.start()
    await server.stop()


async def test_its_secrets_are_its_owners_only(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path / "nats")
    url = await server.start()
    assert address_of(tmp_path / "nats") == url
    for name in ("nats.conf", "address"):
        assert stat.S_IMODE((tmp_path / "nats" / name).stat().st_mode) == 0o600
    await server.stop()
    assert address_of(tmp_path / "nats") is None


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    holder = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    with pytest.raises(NatsNotStarted, match="address already in use"):
        await EmbeddedNats(tmp_path, port).start()
    holder.close()
    await holder.wait_closed()


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(NatsNotStarted, match="Cannot use the folder"):
        await EmbeddedNats(tmp_path / "file").start()
