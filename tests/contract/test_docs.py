"""The pages in docs/ and the READMEs name what there is, and all of it."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_settings import BaseSettings

from firsthand.services.__main__ import cli
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.services.webhooks.settings import WebhookSettings
from firsthand.shared.settings import Settings
from tests.buckets import URL_SETTING as S3_URL
from tests.real_servers import MONGO_DRIVER_SETTING, MONGO_URL_SETTING, NODE_PEERS_SETTING, OLD_NATS_SETTING

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")])
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
CONSUME = (ROOT / "docs" / "consume-events.md").read_text(encoding="utf-8")

# Read elsewhere than in Settings: the command's token, make's Python, and keys, named after their files.
OTHER_VARIABLES = {
    "FIRSTHAND_TOKEN", "FIRSTHAND_PYTHON", "FIRSTHAND_TEST_SEED", S3_URL, MONGO_URL_SETTING, MONGO_DRIVER_SETTING,
    OLD_NATS_SETTING, NODE_PEERS_SETTING,
}  # fmt: skip
_VARIABLE = re.compile(r"\bFIRSTHAND_[A-Z0-9_]*[A-Z0-9]")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_COMMAND = re.compile(r"(?:^|[` ])firsthand ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", re.MULTILINE)
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)(?:::(test_\w+))?`")


def said(path: Path) -> str:
    return str(path.relative_to(ROOT))


def variables() -> dict[str, object]:
    """Every setting's variable with its default."""
    kinds: tuple[type[BaseSettings], ...] = (Settings, ArchiveSettings, WebhookSettings)
    return {
        f"{kind.model_config['env_prefix']}{name.upper()}": field.default
        for kind in kinds
        for name, field in kind.model_fields.items()
    }


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, as the words after `firsthand`."""
    top = typer.main.get_command(cli)
    for name, command in top.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        yield (name,)
        yield from ((name, one) for one in inner)


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as code forges make them."""
    headings = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_is_in_the_operators_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(FIRSTHAND_\w+)` \| (.+?) \|", OPERATE, re.MULTILINE))
    assert rows.keys() == variables().keys()
    for name, default in variables().items():
        if default in ("", (), None):
            assert rows[name] in {"empty", "`<data>/keys`"}, name
        else:
            assert rows[name] == f"`{str(default).lower() if isinstance(default, bool) else default}`", name


@pytest.mark.parametrize("page", PAGES, ids=said)
def test_no_page_names_a_setting_that_there_is_not(page: Path) -> None:
    named = set(_VARIABLE.findall(page.read_text(encoding="utf-8")))
    known = variables().keys() | OTHER_VARIABLES
    assert {name for name in named - known if not name.startswith("FIRSTHAND_KEY")} == set()


@pytest.mark.parametrize("page", PAGES, ids=said)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=said)
def test_every_command_on_a_page_exists(page: Path) -> None:
    known = set(commands())
    unknown = []
    for words in _COMMAND.findall(page.read_text(encoding="utf-8")):
        first, *rest = words.split()
        groups = {command[0] for command in known if len(command) == 2}
        wanted = (first, rest[0]) if first in groups and rest else (first,)
        if wanted not in known:
            unknown.append(words)
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=said)
def test_every_test_on_a_page_exists(page: Path) -> None:
    missing = []
    for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
        path = ROOT / file
        if not path.is_file() or (name and f"def {name}(" not in path.read_text(encoding="utf-8")):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_the_consumer_on_the_page_keeps_the_newest_state_and_takes_nothing_twice() -> None:
    code = re.findall(r"```python\n(.*?)```", CONSUME, re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code.replace("asyncio.run(main())", ""), names)  # noqa: S102 - the page's own code is what is tested
    db = sqlite3.connect(":memory:")
    db.execute(re.findall(r'db.execute\("(CREATE TABLE.*?)"\)', code)[0])

    def told(sequence: int, state: str) -> bool:
        event = {"source": "/institutions/a/consent", "subject": "c-1", "type": f"firsthand.consent.{state}.v1"}
        took: bool = names["remember"](db, event | {"sequence": f"{sequence:010d}", "data": {"state": state}})
        return took

    assert [told(12, "withdrawn"), told(12, "withdrawn"), told(9, "granted")] == [True, False, False]
    assert db.execute("SELECT sequence, type FROM state").fetchall() == [(12, "firsthand.consent.withdrawn.v1")]
    db.close()


def test_every_decision_has_a_date_and_a_status_and_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text().splitlines()
    pages = sorted(folder.glob("0*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title, _, date, status, *_ = page.read_text().splitlines()
        assert re.fullmatch(r"Date: 20\d\d-\d\d-\d\d", date), page.name
        said = status.removeprefix("Status: ")
        link = r"\[\d{4}\]\(\d{4}-[a-z0-9-]+\.md\)"
        assert re.fullmatch(rf"accepted|accepted; changes {link}|superseded by {link}", said), page.name
        assert f"| [{page.name[:4]}]({page.name}) | {title.removeprefix('# ')} | {said} |" in listed, page.name
