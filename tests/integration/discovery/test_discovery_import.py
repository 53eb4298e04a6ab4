"""`firsthand import posts` against a running system, over a real socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from firsthand.services.discovery.cli import ImportRefused, Totals, import_posts
from tests.integration.discovery.house import House, mastodon
from tests.patience import PATIENCE

EXAMPLE = Path(__file__).parents[3] / "example" / "posts"


@contextlib.asynccontextmanager
async def served(house: House) -> AsyncIterator[str]:
    """Serve discovery on a free port of this machine; gives its address."""
    server = uvicorn.Server(uvicorn.Config(house.app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
    (socket,) = server.servers[0].sockets
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    await task


async def imported(house: House, url: str, file: Path, case: str = "CLP", **other: str | None) -> Totals:
    token = other.pop("token", None) or house.token()
    return await asyncio.to_thread(import_posts, file, case, url, token, **other)


async def test_a_file_of_each_platform_goes_in_and_again_merges(house: House) -> None:
    await house.case(hashtags=["cleftlip", "cleftpalate", "cleftmom", "labioleporino", "شق_الشفة"])
    async with served(house) as url:
        for file, new in (("bluesky.json", 5), ("jetstream.jsonl", 4), ("mastodon.json", 5), ("instagram.json", 6)):
            totals = await imported(house, url, EXAMPLE / file)
            assert totals.counts["imported"] == new, file
            assert totals.counts["unreadable"] == 1, file
            assert (await imported(house, url, EXAMPLE / file)).counts["imported"] == 0


async def test_a_case_is_found_by_its_prefix_among_more_than_a_page_of_them(house: House) -> None:
    prefixes = [f"C{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(60)]
    for prefix in prefixes:
        await house.case(prefix=prefix)
    async with served(house) as url:
        for prefix in prefixes[::20]:
            assert (await imported(house, url, EXAMPLE / "mastodon.json", prefix)).counts["imported"]


async def test_entries_keep_their_numbers_in_the_whole_file_across_batches(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.case()
    file = tmp_path / "posts.json"
    statuses = [mastodon(n, user=f"u{n}") for n in range(2500)]
    statuses[2222] = {"id": "x"}
    file.write_text("\n".join(json.dumps(statuses[start : start + 40]) for start in range(0, 2500, 40)) + '[{"id"')
    async with served(house) as url:
        totals = await imported(house, url, file)
    assert totals.counts["imported"] == 2499
    assert [problem.number for problem in totals.problems] == [2223, 2501]
    assert "2499 posts from mastodon imported" in capsys.readouterr().err


async def test_an_import_waits_while_the_system_is_busy_and_loses_nothing(house: House) -> None:
    await house.case()
    context, behind = house.context, [9.0]
    context.load.watch("a test", lambda: behind[0], 1.0)
    async with served(house) as url, asyncio.timeout(PATIENCE):
        while not context.load.strained:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        importing = asyncio.create_task(imported(house, url, EXAMPLE / "mastodon.json"))
        while b'firsthand_shed_total{service="discovery"} 1.0' not in context.metrics.render():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        behind[0] = 0.0
        assert (await importing).counts["imported"] == 4


async def test_an_import_ends_in_words_when_the_disk_has_only_its_reserve_left(house: House) -> None:
    case, disk = await house.case(), house.context.disk

    async def posts() -> AsyncIterator[bytes]:
        yield json.dumps([mastodon(n, user=f"u{n}") for n in range(300)]).encode()
        disk._reserve, disk._seen = 2**60, None  # more than any disk has
        yield json.dumps([mastodon(n, user=f"u{n}") for n in range(300, 600)]).encode()

    async with house.client() as client:
        answer = await client.post(f"/cases/{case}/posts", content=posts())
    assert answer.status_code == 507
    assert answer.json()["detail"].startswith("Our storage is full")


@pytest.mark.parametrize(
    ("file", "case", "format_", "token", "said"),
    [
        ("missing.json", "CLP", None, None, "cannot be read: No such file"),
        ("bluesky.json", "XYZ", None, None, "There is no case XYZ. There are CLP."),
        ("bluesky.json", "CLP", "mastodon", None, "is not an answer of mastodon; it looks like bluesky."),
        ("bluesky.json", "CLP", "twitter", None, "twitter is not a format."),
        ("bluesky.json", "CLP", None, "nonsense", "The token was not accepted."),
    ],
)
async def test_what_goes_wrong_is_one_line_that_says_what_to_do(
    house: House, file: str, case: str, format_: str | None, token: str | None, said: str
) -> None:
    await house.case()
    async with served(house) as url:
        with pytest.raises(ImportRefused) as refused:
            await imported(house, url, EXAMPLE / file, case, format=format_, token=token)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_an_import_to_nowhere_says_that_nobody_answers() -> None:
    with pytest.raises(ImportRefused, match="Nobody answers"):
        await asyncio.to_thread(import_posts, EXAMPLE / "bluesky.json", "CLP", "http://127.0.0.1:9", "token")
