"""The `firsthand` command, and the only module that knows all services.

What runs a service is imported by the commands that run one: the others answer in half a second.
"""

import gc

# What is loaded stays, and to walk through it again and again takes a quarter of a start. `Deployment` sets its own.
gc.set_threshold(200_000, 50, 50)

import asyncio
import importlib
import importlib.metadata
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from firsthand.services.portal.cli import institution_cli, person_cli, token_cli
from firsthand.services.webhooks.cli import webhooks_cli
from firsthand.shared.clock_command import clock_cli
from firsthand.shared.commands import dead_letters_cli, keys_cli, ledger_cli, mongo_cli, secrets_cli, topology_cli
from firsthand.shared.console import AsJson, Url, console, nats_url, read, read_settings, run, stop
from firsthand.shared.settings import CannotStart, Settings

if TYPE_CHECKING:
    from firsthand.shared.deployment import Deployment
    from firsthand.shared.service import Service
    from firsthand.shared.web.navigation import Section


class _Services(Mapping[str, "Service"]):
    """All services by name, each imported when it is first asked for: one service alone loads no other."""

    _names = ("portal", "discovery", "consent", "scheduling", "archive", "webhooks")

    def __getitem__(self, name: str) -> "Service":
        if name not in self._names:
            raise KeyError(name)
        service: Service = importlib.import_module(f"firsthand.services.{name}.app").SERVICE
        return service

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def menu(self) -> "list[Section]":
        """The staff's navigation to all services, of which none is imported for it."""
        menus = [importlib.import_module(f"firsthand.services.{name}.menu").MENU for name in self._names]
        return [section for menu in menus for section in menu]


SERVICES = _Services()

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
import_cli = typer.Typer(no_args_is_help=True, help="Import posts into a case.")
cli.add_typer(topology_cli, name="topology")
cli.add_typer(dead_letters_cli, name="dead-letters")
cli.add_typer(import_cli, name="import")
cli.add_typer(institution_cli, name="institution")
cli.add_typer(person_cli, name="person")
cli.add_typer(token_cli, name="token")
cli.add_typer(keys_cli, name="keys")
cli.add_typer(ledger_cli, name="ledger")
cli.add_typer(mongo_cli, name="mongo")
cli.add_typer(clock_cli, name="clock")
cli.add_typer(secrets_cli, name="secrets")
cli.add_typer(webhooks_cli, name="webhooks")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"firsthand {importlib.metadata.version('firsthand')}")
        raise typer.Exit


@cli.callback()
def command(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Students of the health professions learn first hand from patients and families."""


def _checked_settings(services: "Iterable[Service]") -> Settings:
    """The settings, and those of single services with them, so that a wrong one is told at the start."""
    for service in services:
        if service.settings:
            read(service.settings)
    return read_settings()


@cli.command()
def up(
    example: Annotated[
        bool, typer.Option("--example", help="load the example institution into an empty folder")
    ] = False,
) -> None:
    """Run everything in one process: NATS, topology, all services, on one address."""
    run(_up(_checked_settings(SERVICES.values()), example=example))


async def _up(settings: Settings, *, example: bool) -> None:
    from firsthand.example.institution import load_example, print_doors
    from firsthand.shared.bus.settings import bus_settings
    from firsthand.shared.bus.topology_apply import apply
    from firsthand.shared.deployment import Deployment
    from firsthand.shared.serving import WebServer, bound_socket, embedded_nats, raise_file_limit, usable_folder
    from firsthand.shared.web.logging import configure as configure_logging

    raise_file_limit()
    usable_folder(settings.data)
    configure_logging("firsthand", settings.log_level, settings.data / "logs" / "firsthand.log")
    with console.status("starting") as status:

        def progress(text: str) -> None:
            status.update(text)
            console.print(f"[dim]·[/] {text}")

        # the folder is taken first: who starts twice is told so, and not that the port is taken
        async with embedded_nats(settings, progress) as reachable:
            sock = bound_socket(settings)
            placed = reachable.model_copy(update={"port": sock.getsockname()[1]})
            progress("checking streams and durables")
            if changes := await apply(bus_settings(placed)):
                progress(f"{len(changes)} streams and durables created or brought up to date")
            async with Deployment.started(
                placed, list(SERVICES.values()), create_keys=True, progress=progress
            ) as deployment:
                server = WebServer(deployment)
                serving = asyncio.create_task(server.serve_until_ended(sock))
                await server.until_started()
                doors = asyncio.create_task(_open_doors(placed, example, progress, load_example, print_doors, status))
                doors.add_done_callback(lambda _: _say_of_the_clock(deployment))
                await serving
                doors.cancel()
                status.start()
                progress("finishing what is in hand")
    console.print("Firsthand has ended; everything is kept in " + str(settings.data))


def _say_of_the_clock(deployment: "Deployment") -> None:
    """After a pause of days, what ends by the time waits for a word; whoever starts it reads so here."""
    said = {line for context in deployment.contexts.values() for line in context.impairments.get("clock", ())}
    for line in sorted(said):
        console.print(f"[yellow]{escape(line)}[/]\n")


async def _open_doors(
    settings: Settings,
    example: bool,
    progress: Callable[[str], None],
    load_example: Any,
    print_doors: Any,
    status: Any,
) -> None:
    """Play the example while the system serves, then say where to click."""
    from firsthand.shared.clock import SystemClock
    from firsthand.shared.keys import Keys

    keys = Keys.load(settings.key_folder)
    try:
        if example:
            await load_example(settings.address, keys, SystemClock(), progress)
        status.stop()
        await print_doors(settings, keys, SystemClock(), console)
    except Exception as error:
        status.stop()
        logging.getLogger("firsthand.example").exception("the example could not be loaded")
        console.print(f"[red]The example could not be loaded:[/] {error}. The system runs; the log says more.")


@cli.command()
def serve(
    service: Annotated[str, typer.Argument(help=", ".join(SERVICES))],
) -> None:
    """Run one service, against the NATS server of FIRSTHAND_NATS_URL."""
    if service not in SERVICES:
        raise stop(f"There is no service “{service}”. There are: {', '.join(SERVICES)}.")
    run(_serve(_checked_settings([SERVICES[service]]), service))


async def _serve(settings: Settings, name: str) -> None:
    from firsthand.shared.deployment import Deployment
    from firsthand.shared.serving import WebServer, bound_socket, raise_file_limit, usable_folder
    from firsthand.shared.web.logging import configure as configure_logging

    raise_file_limit()
    usable_folder(settings.data)
    settings = settings.model_copy(update={"nats_url": nats_url(settings)})
    sock = bound_socket(settings)
    settings = settings.model_copy(update={"port": sock.getsockname()[1]})
    configure_logging(name, settings.log_level)
    async with Deployment.started(settings, [SERVICES[name]], menu=SERVICES.menu()) as deployment:
        server = WebServer(deployment)
        serving = asyncio.create_task(server.serve_until_ended(sock))
        await server.until_started()
        console.print(f"{name} serves http://{settings.host}:{settings.port}/{name}")
        await serving


@cli.command()
def demo(
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Play one whole journey over HTTP, withdrawal included, against a running system, and print its timeline."""
    from firsthand.example.journey import Incomplete, play_demo
    from firsthand.shared.client import Refused
    from firsthand.shared.clock import SystemClock
    from firsthand.shared.keys import Keys

    settings = read_settings()
    try:
        keys = Keys.load(settings.key_folder)
        timeline = run(play_demo(url or settings.address, keys, SystemClock(), console.print))
    except (Incomplete, Refused) as error:
        raise stop(f"The chain did not complete: {error}") from error
    if as_json:
        print(json.dumps(timeline, indent=2))
    else:
        for entry in timeline["events"]:
            print(f"{entry['time']}  {entry['type']:<42} {entry['journey'][:8]}  {entry['id']}")
        print("The chain completed; the withdrawn recording no longer plays.")


@import_cli.command("posts")
def import_posts_command(
    file: Annotated[Path, typer.Argument(help="posts as a platform's API returned them")],
    case: Annotated[str, typer.Option(help="the case's prefix, e.g. CLP")],
    token: Annotated[str, typer.Option(help="a machine token", envvar="FIRSTHAND_TOKEN")],
    format_: Annotated[
        str, typer.Option("--format", help="bluesky, jetstream, mastodon or instagram; default: as the content shows")
    ] = "",
    url: Url = "",
) -> None:
    """Import public posts from a file into a case; unreadable entries are reported, the rest is imported."""
    from firsthand.services.discovery.cli import ImportRefused, import_posts

    try:
        import_posts(file, case, url or read_settings().address, token, format_ or None)
    except ImportRefused as error:
        raise stop(str(error)) from error


@cli.command()
def migrate(
    to: Annotated[
        str, typer.Option(help="mongodb://..., whose path names the databases' prefix; default: FIRSTHAND_MONGO_URL")
    ] = "",
    keys_to: Annotated[str, typer.Option(help="another server for contacts' keys")] = "",
    compare_only: Annotated[bool, typer.Option("--compare-only", help="only report what differs")] = False,
    as_json: AsJson = False,
) -> None:
    """Move the SQLite databases of a stopped deployment to MongoDB, and compare both sides journey by journey."""
    from firsthand.shared.migrate_command import migrate as migrate_to

    migrate_to(read_settings(), list(SERVICES.values()), to, keys_to, compare_only=compare_only, as_json=as_json)


@cli.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this deployment, whether it runs or not; say what to do about each problem. Exit code 1: there are faults.

    Settings, keys, services, stores, disks, mail, certificates, topology, placements, dead letters, clocks.
    """
    from firsthand.shared.doctor import examine

    findings = run(examine(read_settings(), SERVICES))
    sound = not any(finding.level == "fault" for finding in findings)
    if as_json:
        print(json.dumps({"sound": sound, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        marks = {"ok": "[green]ok  [/]", "warning": "[yellow]WARN[/]", "fault": "[red]BAD [/]"}
        for finding in findings:
            console.print(f"{marks[finding.level]} {finding.check}: {escape(finding.text)}", soft_wrap=True)
    if not sound:
        raise typer.Exit(1)


@cli.command()
def openapi(
    folder: Annotated[Path, typer.Argument(help="where <service>.json is written")] = Path("docs/openapi"),
) -> None:
    """Write the OpenAPI descriptions of the services' APIs; refuse a change that breaks existing clients."""
    from firsthand.shared.web.contract import breaks
    from firsthand.shared.web.openapi import describe

    documents = {name: describe(name, service.router) for name, service in SERVICES.items()}
    broken = [
        f"{name}: {what}"
        for name, document in documents.items()
        if (there := folder / f"{name}.json").exists()
        for what in breaks(json.loads(there.read_text()), document)
    ]
    if broken:
        raise stop("An interface may only grow inside a version:\n  " + "\n  ".join(broken))
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    print(f"Wrote {len(documents)} descriptions to {folder}.")


def main() -> None:
    try:
        cli(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)  # Ctrl-C before there was anything to finish
    except Exception as error:
        if not isinstance(error, _said_in_a_line()):
            raise
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        sys.exit(1)


def _said_in_a_line() -> tuple[type[Exception], ...]:
    """What tells an operator in one line what is wrong and what to do."""
    from firsthand.shared.bus.connection import NoServer
    from firsthand.shared.keys import KeysError
    from firsthand.shared.store import StoreUnavailable

    return CannotStart, KeysError, NoServer, StoreUnavailable


if __name__ == "__main__":
    main()
