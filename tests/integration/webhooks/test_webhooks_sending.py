"""How a request leaves the house: to checked addresses only, with TLS by the name, and bounded in time and size."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from firsthand.services.webhooks.guard import Guard, RefusedAddress
from firsthand.services.webhooks.model.delivery import KEPT, Answer
from firsthand.services.webhooks.sending import Sender
from firsthand.services.webhooks.settings import WebhookSettings
from tests.certificates import Authority
from tests.patience import PATIENCE
from tests.receiver import Receiver, Reply

HERE = ip_network("127.0.0.0/8")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def sender(*, loopback: bool = True, within: float = 5.0, **more: Any) -> AsyncIterator[Sender]:
    guard = Guard(more.pop("allowed", ()), ports=more.pop("ports", frozenset()), loopback=loopback)
    made = Sender(guard, time_limit=within, **more)
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer each connection by hand; gives the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(run(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(*pieces: bytes, then: Callable[[], Awaitable[object]] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then:
            await then()

    return serve


async def post(made: Sender, url: str) -> Answer:
    return await made.send(url, {"webhook-id": "1"}, b"{}")


async def test_connections_are_used_again_and_a_closed_one_is_replaced() -> None:
    async with Receiver.running() as receiver, sender() as made:
        for _ in range(3):
            assert (await post(made, receiver.url)).status == 200
        assert receiver.connections == 1
        receiver.replies = [Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]  # and it closes
        assert (await post(made, receiver.url)).status == 200
        assert (await post(made, receiver.url)).status == 200
        assert receiver.connections == 2


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), 204, ""),
        ((b"HTTP/1.0 200 OK\r\n\r\nfine",), 200, ""),
        ((b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",), 302, ""),
        ((b"nonsense\r\n\r\n",), None, "protocol"),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",), None, "closed"),
        ((b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n",), None, "protocol"),
        ((b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2_000_000 + b"\r\n\r\n",), None, "protocol"),
        ((), None, "closed"),
    ],
)
async def test_whatever_is_answered_becomes_one_word(said: tuple[bytes, ...], status: int | None, error: str) -> None:
    async with serving(saying(*said)) as port, sender() as made:
        answer = await post(made, f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.error) == (status, error)


async def test_an_answer_without_end_is_kept_by_its_first_kib_and_read_no_further() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n")
        while True:
            writer.write(b"z" * 65_536)
            await writer.drain()
            sent += 65_536

    async with serving(pour) as port, sender() as made:
        answer = await post(made, f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.text) == (200, "z" * KEPT)
        assert sent < 50_000_000


async def test_a_receiver_that_hangs_or_drips_is_left_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            writer.write(b"z")
            await writer.drain()
            await asyncio.sleep(0.01)

    for serve in (drip, saying(then=asyncio.Event().wait)):
        async with serving(serve) as port, sender(within=0.3) as made:
            assert (await post(made, f"http://127.0.0.1:{port}/")).error == "timeout"


async def test_nobody_there_and_no_such_name_are_told_apart() -> None:
    async with sender() as made:
        assert (await post(made, "http://127.0.0.1:1/")).error == "connect"
    async with sender(loopback=False) as made:
        assert (await post(made, "https://nowhere.invalid/")).error == "dns"


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "https://127.1:{port}/",
        "https://2130706433:{port}/",
        "https://0x7f000001:{port}/",
        "https://017700000001:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://[64:ff9b::7f00:1]:{port}/",
        "https://[2002:7f00:1::]:{port}/",
        "https://[2001:0:7f00:1::]:{port}/",
        "https://0.0.0.0:{port}/",
        "https://\u2460\u2461\u2466.0.0.1:{port}/",
        "https://169.254.169.254/",
        "https://user@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/",
    ],
)
async def test_nothing_of_our_own_network_is_reached_however_it_is_written(url: str) -> None:
    async with Receiver.running() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        async with sender(loopback=False, ports=frozenset({port}), within=2.0) as made:
            answer = await post(made, url.format(port=port))
        assert answer.status is None
        assert answer.error in {"refused-address", "dns"}, answer
        assert receiver.connections == 0


async def test_a_name_is_looked_up_once_for_a_connection_which_goes_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        looked.append(host)
        address = "127.0.0.1" if len(looked) == 1 else "127.0.0.2"  # where nobody is
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with Receiver.running() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        async with sender() as made:
            assert (await post(made, f"http://localhost:{port}/")).status == 200
        assert looked == ["localhost"]


async def test_tls_goes_by_the_name_and_by_the_authorities_that_are_trusted(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path, datetime.now(UTC))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue(datetime.now(UTC) + timedelta(days=30)))
    async with serving(saying(b"HTTP/1.1 204 No Content\r\n\r\n"), tls) as port:
        ports, allowed = frozenset({port}), (HERE, ip_network("::1/128"))
        async with sender(loopback=False, ports=ports, allowed=allowed, ca_file=authority.trusted) as made:
            assert (await post(made, f"https://127.0.0.1:{port}/")).status == 204
            assert (await post(made, f"https://localhost:{port}/")).error == "tls", "another name"
        async with sender(loopback=False, ports=ports, allowed=allowed) as made:
            assert (await post(made, f"https://127.0.0.1:{port}/")).error == "tls", "nobody vouches for it"


def test_a_port_that_nobody_allowed_is_refused_with_what_to_do() -> None:
    with pytest.raises(RefusedAddress, match="443 or 8443"):
        Guard(loopback=False).refuse("https://lms.example.org:9443/")
    Guard(loopback=False, ports=frozenset({9443})).refuse("https://lms.example.org:9443/")


@contextlib.asynccontextmanager
async def proxy(folder: Path) -> AsyncIterator[str]:
    """Run a forward proxy of others; gives its address."""
    port_file = folder / "port"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0", "--port-file", str(port_file),
        "--num-workers", "1", "--num-acceptors", "1", "--data-dir", str(folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not (port_file.exists() and port_file.read_text(encoding="ascii").strip()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port_file.read_text(encoding='ascii').split()[0]}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_an_egress_proxy_carries_everything_and_tls_still_goes_by_the_name(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path, datetime.now(UTC))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue(datetime.now(UTC) + timedelta(days=30)))
    no_content = saying(b"HTTP/1.1 204 No Content\r\n\r\n")
    async with Receiver.running() as receiver, serving(no_content, tls) as port:
        async with proxy(tmp_path) as address:
            async with sender(proxy=address, ca_file=authority.trusted) as made:
                assert (await post(made, receiver.url)).status == 200
                assert (await post(made, f"https://127.0.0.1:{port}/")).status == 204
                assert (await post(made, f"https://localhost:{port}/")).error == "tls", "another name"
            async with sender(loopback=False, proxy=address) as made:
                assert (await post(made, f"https://127.0.0.1:{port}/")).error == "refused-address"
        async with sender(proxy=address) as made:
            assert (await post(made, receiver.url)).error == "connect", "the proxy is gone, the receiver is there"


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", 101, ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nx", None, "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx", None, "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", None, "protocol"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", None, "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", 200, ""),
        (b"HTTP/1.1 429 \xff\r\nretry-after: \xed\xa0\x80\r\ncontent-length: 2\r\n\r\n\xed\xa0", 429, ""),
    ],
)
async def test_no_answer_however_odd_breaks_an_attempt(said: bytes, status: int | None, error: str) -> None:
    async with serving(saying(said)) as port, sender() as made:
        answer = await post(made, f"http://127.0.0.1:{port}/")
        assert (answer.status, answer.error) == (status, error)
        assert all(value.isascii() for value in answer.headers.values())
        answer.text.encode()


async def test_answers_that_only_announce_one_end_in_time() -> None:
    async def announce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    async with serving(announce) as port, sender(within=0.3) as made:
        assert (await post(made, f"http://127.0.0.1:{port}/")).error == "timeout"


def test_a_file_without_certificates_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate", encoding="ascii")
    with pytest.raises(ValueError, match="holds no certificates"):
        WebhookSettings(ca_file=file)
    WebhookSettings(ca_file=Authority.made(tmp_path, datetime.now(UTC)).trusted)
