"""The head of a request is bounded in size and in time, whatever a client sends and however slowly."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from firsthand.shared.serving import raise_file_limit
from firsthand.shared.web.connection import HEAD_LIMIT, BoundedProtocol, connection_of
from firsthand.shared.web.problems import IncidentMiddleware

WITHIN = 0.3  # seconds; the program gives 20


class Quick(BoundedProtocol):
    head_within = WITHIN


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    taken, more = 0, True
    while more:
        message = await receive()
        taken, more = taken + len(message.get("body", b"")), message.get("more_body", False)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(str(taken)))]}
    )
    await send({"type": "http.response.body", "body": b"%d" % taken})


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def served(app: Any = answer) -> AsyncIterator[int]:
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=Quick, ws="none", lifespan="off", log_config=None, access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the next answer; 0 when the connection ends without one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return 0
    return int(head.split(b" ", 2)[1])


async def pour(writer: asyncio.StreamWriter, begin: bytes, piece: bytes, times: int) -> None:
    """Send without an end, until the server has had enough."""
    with contextlib.suppress(OSError):
        writer.write(begin)
        for _ in range(times):
            writer.write(piece)
            await writer.drain()


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x" * 8192),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 1000),
        (b"GET /", b"x" * 8192),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 8192),
        (b"", b"\r\n" * 4096),
    ],
    ids=[
        "one long field",
        "many fields",
        "a long address",
        "fields after the body",
        "a chunk's extension",
        "line ends",
    ],
)
async def test_a_head_without_end_is_refused_after_64_kib(begin: bytes, piece: bytes) -> None:
    async with served() as port, connected(port) as (reader, writer):
        pouring = asyncio.create_task(pour(writer, begin, piece, 2000))
        async with asyncio.timeout(10):
            assert await status_of(reader) in {431, 0}
            await pouring
        assert writer.transport.is_closing() or await reader.read() is not None


async def test_a_whole_head_of_more_than_64_kib_is_refused_and_one_below_is_answered() -> None:
    async with served() as port:
        for size, status in ((HEAD_LIMIT, 431), (HEAD_LIMIT - 1000, 200)):
            async with connected(port) as (reader, writer):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * size + b"\r\n\r\n")
                assert await status_of(reader) == status


@pytest.mark.parametrize("begin", [b"", b"\r\n", b"GE", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_that_does_not_finish_a_head_is_closed_in_time(begin: bytes) -> None:
    async with served() as port, connected(port) as (reader, writer):
        asyncio.get_running_loop().call_later(WITHIN / 2, writer.write, begin)
        async with asyncio.timeout(10):
            assert await status_of(reader) in {408, 0}
            assert await reader.read() is not None


async def test_a_slow_head_after_an_answer_is_timed_anew_and_a_slow_body_is_not() -> None:
    async with served() as port, connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            await asyncio.sleep(WITHIN * 1.5)
            writer.write(b"cd")
            assert await status_of(reader) == 200
            assert await reader.readexactly(1) == b"4"
        writer.write(b"GET / HTTP/1.1\r\n")
        async with asyncio.timeout(10):
            assert await status_of(reader) == 408


async def test_a_large_body_is_no_head_however_it_is_sent() -> None:
    async with served() as port, connected(port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000)
        writer.write(b"0\r\nX-After: yes\r\n\r\n")
        assert await status_of(reader) == 200
        assert await reader.readexactly(5) == b"50000"


async def test_other_visitors_are_answered_while_heads_without_end_come_in() -> None:
    async with served() as port, contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            _, writer = await stack.enter_async_context(connected(port))
            begin = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
            pouring = asyncio.create_task(pour(writer, begin, b"x" * 65_536, 100))
            stack.push_async_callback(asyncio.wait, {pouring})
        async with connected(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                assert await status_of(reader) == 200


async def test_a_client_that_leaves_is_no_incident(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def play(scope: Any, receive: Any, send: Any) -> None:
        connection = connection_of(scope)
        assert connection
        while (await receive())["type"] != "http.disconnect":
            pass
        try:
            connection.hold_back()
            connection.abort()
            raise BrokenPipeError
        finally:
            ended.set_result(connection.is_closed)

    async with served(app=IncidentMiddleware(play)) as port, connected(port) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(10):
            assert await ended
    assert [record.message for record in caplog.records if hasattr(record, "incident")] == []


def test_a_process_may_open_as_many_files_as_the_system_lets_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
