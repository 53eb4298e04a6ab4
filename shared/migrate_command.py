"""`firsthand migrate`: what it asks of `shared.migration`, and what it says."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from firsthand.shared.clock import SystemClock
from firsthand.shared.console import console, run, stop
from firsthand.shared.migration import CannotMigrate, Report, compare, move, opened
from firsthand.shared.service import Service
from firsthand.shared.settings import Settings
from firsthand.shared.store import StoreUnavailable
from firsthand.shared.store.mongo_client import Address, examine_server

_NEXT: Final = """
Both sides are equal. Before anything starts again:
  1. put {databases} and the .db files of {keys} where no service finds them
  2. copy the NATS streams {streams} to your NATS server (docs/operate.md)
  3. set FIRSTHAND_MONGO_URL{keys_url} and FIRSTHAND_NATS_URL for all services and commands
  4. keep or copy {media} and the .key files of {keys}
  5. firsthand topology apply; start the services; firsthand doctor
Then destroy what you put away: what is erased from now on can still be read with it."""


def migrate(
    settings: Settings, services: Sequence[Service], to: str, keys_to: str, *, compare_only: bool, as_json: bool
) -> None:
    """Move, compare, print what was found and what is to be done next. Exit code 1 when anything differs."""
    target = settings.model_copy(
        update={"mongo_url": to or settings.mongo_url, "keys_mongo_url": keys_to or settings.keys_mongo_url}
    )
    if not target.mongo_url:
        raise stop("Say where to: --to mongodb://..., or FIRSTHAND_MONGO_URL, which no list of processes shows.")
    for option, url in (("--to", target.mongo_url), ("--keys-to", target.keys_mongo_url)):
        try:
            Address(url or target.mongo_url)
        except StoreUnavailable as error:
            raise stop(str(error).replace("FIRSTHAND_MONGO_URL", option)) from error
    try:
        report = run(_migrate(settings, target, services, compare_only=compare_only))
    except (CannotMigrate, StoreUnavailable) as error:
        raise stop(str(error)) from error
    typer.echo(json.dumps(_readable(report), indent=2) if as_json else _told(report))
    if not report.equal:
        raise typer.Exit(1)
    if not compare_only:
        console.print(escape(_next(settings, target)), soft_wrap=True)


async def _migrate(settings: Settings, target: Settings, services: Sequence[Service], *, compare_only: bool) -> Report:
    async with opened(settings, target, services, SystemClock()) as parts:
        for url in dict.fromkeys(filter(None, (target.mongo_url, target.keys_mongo_url))):
            for good, text in await examine_server(url):
                console.print(escape(text) if good else f"[yellow]{escape(text)}[/]", soft_wrap=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("looking at what is there", total=None)

            def tell(what: str, done: int, of: int) -> None:
                progress.update(bar, description=what, completed=done, total=of)

            try:
                if not compare_only:
                    await move(parts, tell)
                return await compare(parts, tell)
            except StoreUnavailable as error:
                raise CannotMigrate(
                    f"{error} Nothing here has changed; run it again: it goes on from there."
                ) from error


def _told(report: Report) -> str:
    lines = [f"{'':<18} {'documents':<18} {'institution':<24} {'here':>8} {'MongoDB':>8}"]
    lines += [
        f"{one.part:<18} {one.kind:<18} {one.institution:<24} {one.source:>8} {one.target:>8}" for one in report.counts
    ]
    here, there = sum(one.source for one in report.counts), sum(one.target for one in report.counts)
    lines += report.differences
    if (more := report.differing - len(report.differences)) > 0:
        lines.append(f"... and {more} more")
    lines += [
        f"documents: {here} here, {there} in MongoDB, {report.differing} differ",
        f"events that wait to be published: {report.waiting[0]} here, {report.waiting[1]} in MongoDB",
        f"journeys: {report.journeys} compared, {report.journeys_equal} equal",
    ]
    return "\n".join(lines)


def _readable(report: Report) -> dict[str, object]:
    here, there = report.waiting
    return {
        "equal": report.equal,
        "documents": [asdict(one) for one in report.counts],
        "waiting": {"source": here, "target": there},
        "journeys": {"compared": report.journeys, "equal": report.journeys_equal},
        "differing": report.differing,
        "differences": report.differences,
    }


def _next(settings: Settings, target: Settings) -> str:
    return _NEXT.format(
        databases=settings.databases,
        keys=settings.key_folder,
        streams=settings.nats / "streams",
        keys_url=", FIRSTHAND_KEYS_MONGO_URL" if target.keys_mongo_url else "",
        media=settings.media,
    )
