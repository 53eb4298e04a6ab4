"""The `firsthand` command, and the only module that knows all services."""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from services.archive.settings import ArchiveSettings
from shared.bus import BusSettings
from shared.bus.connection import NoServer, connected
from shared.bus.dead_letters import DeadLetter, DeadLetters, NoSuchDeadLetter
from shared.bus.topology_apply import apply, drift
from shared.clock import SystemClock
from shared.deployment import CannotStart, Deployment, bus_settings
from shared.doctor import examine
from shared.embedded_nats import address_of
from shared.keys import Keys, KeysError, Who, rotate
from shared.service import Service
from shared.serving import WebServer, bound_socket, embedded_nats, usable_folder
from shared.settings import Settings
from shared.store import StoreUnavailable
from shared.topology import DURABLES, STREAMS, Placement
from shared.web.logging import configure as configure_logging


class _Services(Mapping[str, Service]):
    """All services by name, each imported when it is first asked for: one service alone loads no other."""

    _names = ("portal", "discovery", "consent", "scheduling", "archive")

    def __getitem__(self, name: str) -> Service:
        if name not in self._names:
            raise KeyError(name)
        service: Service = importlib.import_module(f"services.{name}.app").SERVICE
        return service

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


SERVICES = _Services()

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Students of the health professions learn first hand from patients and families.",
)
topology_cli = typer.Typer(no_args_is_help=True, help="The streams and durables on the NATS server.")
dead_letters_cli = typer.Typer(no_args_is_help=True, help="Events that a service could not handle.")
import_cli = typer.Typer(no_args_is_help=True, help="Bring something in.")
institution_cli = typer.Typer(no_args_is_help=True, help="Institutions of this deployment.")
person_cli = typer.Typer(no_args_is_help=True, help="People of an institution.")
keys_cli = typer.Typer(no_args_is_help=True, help="The deployment's secrets.")
token_cli = typer.Typer(no_args_is_help=True, help="Tokens with which machines use the interfaces.")
cli.add_typer(topology_cli, name="topology")
cli.add_typer(dead_letters_cli, name="dead-letters")
cli.add_typer(import_cli, name="import")
cli.add_typer(institution_cli, name="institution")
cli.add_typer(person_cli, name="person")
cli.add_typer(token_cli, name="token")
cli.add_typer(keys_cli, name="keys")

console = Console(stderr=True, highlight=False)

T = TypeVar("T")

Url = Annotated[str, typer.Option(help="the running system; default: this machine's", envvar="FIRSTHAND_PUBLIC_URL")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def _settings() -> Settings:
    try:
        ArchiveSettings()  # looked at now, so that a wrong one is told at the start
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        kind = ArchiveSettings if error.title == ArchiveSettings.__name__ else Settings
        name = f"{kind.model_config['env_prefix']}{first['loc'][0]}".upper()
        raise CannotStart(f"{name} is not usable: {first['msg']}.") from error


@cli.command()
def up(
    example: Annotated[
        bool, typer.Option("--example", help="load the example institution into an empty folder")
    ] = False,
) -> None:
    """Run everything in one process: NATS, topology, all services, on one address."""
    _run(_up(_settings(), example=example))


async def _up(settings: Settings, *, example: bool) -> None:
    from example.institution import load_example, print_doors

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
                await serving
                doors.cancel()
                status.start()
                progress("finishing what is in hand")
    console.print("Firsthand has ended; everything is kept in " + str(settings.data))


async def _open_doors(
    settings: Settings,
    example: bool,
    progress: Callable[[str], None],
    load_example: Any,
    print_doors: Any,
    status: Any,
) -> None:
    """Play the example while the system serves, then say where to click."""
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
        raise _stop(f"There is no service “{service}”. There are: {', '.join(SERVICES)}.")
    _run(_serve(_settings(), service))


async def _serve(settings: Settings, name: str) -> None:
    usable_folder(settings.data)
    settings = settings.model_copy(update={"nats_url": _nats_url(settings)})
    sock = bound_socket(settings)
    settings = settings.model_copy(update={"port": sock.getsockname()[1]})
    configure_logging(name, settings.log_level)
    async with Deployment.started(settings, [SERVICES[name]]) as deployment:
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
    from example.client import Refused
    from example.journey import Incomplete, play_demo

    settings = _settings()
    try:
        keys = Keys.load(settings.key_folder)
        timeline = _run(play_demo(url or settings.address, keys, SystemClock(), console.print))
    except (Incomplete, Refused) as error:
        raise _stop(f"The chain did not complete: {error}") from error
    if as_json:
        print(json.dumps(timeline, indent=2))
    else:
        for entry in timeline["events"]:
            print(f"{entry['time']}  {entry['type']:<42} {entry['journey'][:8]}  {entry['id']}")
        print("The chain completed; the withdrawn recording no longer plays.")


@import_cli.command("posts")
def import_posts_command(
    file: Annotated[Path, typer.Argument(help="posts as a platform's interface gave them")],
    case: Annotated[str, typer.Option(help="the case's prefix, e.g. CLP")],
    token: Annotated[str, typer.Option(help="a machine token", envvar="FIRSTHAND_TOKEN")],
    format_: Annotated[
        str, typer.Option("--format", help="bluesky, jetstream, mastodon or instagram; default: told by the content")
    ] = "",
    url: Url = "",
) -> None:
    """Import public posts from a file into a case; unreadable entries are reported, the rest goes in."""
    from services.discovery.cli import ImportRefused, import_posts

    try:
        import_posts(file, case, url or _settings().address, token, format_ or None)
    except ImportRefused as error:
        raise _stop(str(error)) from error


@topology_cli.command("show")
def topology_show() -> None:
    """Show the table, and how the server differs from it."""
    settings = _settings()
    for stream in STREAMS.values():
        print(f"{stream.name:<16} {', '.join(stream.subjects)}   kept {stream.max_age.days} days")
    for durable in DURABLES:
        events = ", ".join(event.event_type().removeprefix("firsthand.") for event in durable.events)
        print(f"  {_placement(settings).durable_name(durable):<40} {events}")
    differences = _run(drift(_reachable(settings)))
    for difference in differences:
        console.print(f"[yellow]drift:[/] {difference}")
    if differences:
        raise typer.Exit(1)
    console.print("The server agrees with the table.")


@topology_cli.command("apply")
def topology_apply() -> None:
    """Bring the server to the table; may be run any number of times."""
    settings = _settings()
    changes = _run(apply(_reachable(settings)))
    print("\n".join(changes) or "Nothing to change.")


async def _with_dead_letters(act: Callable[[DeadLetters], Coroutine[Any, Any, T]]) -> T:
    async with connected(_reachable(_settings())) as client:
        return await act(DeadLetters(client.jetstream()))


def _dead_letters(act: Callable[[DeadLetters], Coroutine[Any, Any, T]]) -> T:
    try:
        return _run(_with_dead_letters(act))
    except NoSuchDeadLetter as error:
        raise _stop(str(error)) from error


@dead_letters_cli.command("list")
def dead_letters_list(as_json: AsJson = False) -> None:
    """List dead letters, the oldest first."""

    async def all_of(letters: DeadLetters) -> list[DeadLetter]:
        return [letter async for letter in letters.list()]

    found = _dead_letters(all_of)
    if as_json:
        print(json.dumps([_readable(letter) for letter in found], indent=2))
        return
    for letter in found:
        print(f"{letter.number:>6}  {letter.at:%Y-%m-%d %H:%M:%S}  {letter.service}/{letter.handler}  {letter.reason}")
    console.print(f"{len(found)} dead letters")


def _readable(letter: DeadLetter) -> dict[str, Any]:
    return asdict(letter) | {"at": letter.at.isoformat(), "body": letter.body.decode(errors="replace")}


@dead_letters_cli.command("show")
def dead_letters_show(number: int) -> None:
    """Show one dead letter whole."""
    print(json.dumps(_readable(_dead_letters(lambda letters: letters.show(number))), indent=2))


@dead_letters_cli.command("replay")
def dead_letters_replay(number: int) -> None:
    """Give a dead letter to its handler again."""
    _dead_letters(lambda letters: letters.replay(number))
    print(f"Dead letter {number} is on its way again.")


@dead_letters_cli.command("discard")
def dead_letters_discard(number: int) -> None:
    """Remove a dead letter for good."""
    _dead_letters(lambda letters: letters.discard(number))
    print(f"Dead letter {number} is discarded.")


@cli.command()
def doctor() -> None:
    """Examine this deployment: settings, keys, stores, topology; say what to do."""
    findings = _run(examine(_settings(), list(SERVICES.values())))
    for finding in findings:
        mark = "[green]ok [/]" if finding.good else "[red]BAD[/]"
        console.print(f"{mark} {escape(finding.text)}", soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@institution_cli.command("add")
def institution_add(
    slug: Annotated[str, typer.Argument(help="a-z, 0-9 and hyphens, e.g. qu-cdm")],
    name: Annotated[str, typer.Option()],
    country: Annotated[str, typer.Option(help="two letters, e.g. QA")],
    zone: Annotated[str, typer.Option(help="time zone, e.g. Asia/Qatar")],
    languages: Annotated[str, typer.Option(help="comma-separated")] = "en",
    website: Annotated[str, typer.Option()] = "",
    account: Annotated[str, typer.Option(help="the public handle from which first messages are sent")] = "",
    verify_address: Annotated[str, typer.Option(help="where a family can check that a request is real")] = "",
    url: Url = "",
) -> None:
    """Add an institution."""
    body = {
        "slug": slug,
        "name": name,
        "country": country,
        "zone": zone,
        "languages": languages.split(","),
        "website": website,
        "account": account,
        "verify_address": verify_address,
    }
    _as_operator(url, "POST", "/portal/api/v1/institutions", body)
    print(f"{slug} is there. Next: firsthand person add --institution {slug} --role coordinator ...")


@person_cli.command("add")
def person_add(
    institution: Annotated[str, typer.Option()],
    name: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    role: Annotated[list[str], typer.Option(help="student, tutor, coordinator or operator; may be repeated")],
    cohort: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    url: Url = "",
) -> None:
    """Add a person of an institution, and print a one-time sign-in link."""
    people = f"/portal/api/v1/institutions/{institution}"
    body = {"name": name, "email": email, "roles": role, "cohorts": cohort or []}
    person = _as_operator(url, "POST", f"{people}/people", body)
    link = _as_operator(url, "POST", f"{people}/sign-in-links", {"email": email})
    print(f"{person['person_id']}\n{link['url']}")


@token_cli.command("create")
def token_create(
    institution: Annotated[str, typer.Option()],
    label: Annotated[str, typer.Option(help="what the token is for")],
    days: Annotated[int, typer.Option(min=1, max=90)] = 30,
    url: Url = "",
) -> None:
    """Create a machine token; it is shown once and can be revoked on the people page."""
    body = {"label": label, "days": days}
    token = _as_operator(url, "POST", f"/portal/api/v1/institutions/{institution}/tokens", body)
    print(token["token"])
    console.print(f"valid until {token['expires_at']}")


@keys_cli.command("create")
def keys_create() -> None:
    """Make the keys that are missing from FIRSTHAND_KEYS_DIR; `up` does so by itself, `serve` never."""
    folder = _settings().key_folder
    before = {path.name for path in folder.glob("*.key")}
    Keys.load(folder, create=True)
    made = sorted({path.name for path in folder.glob("*.key")} - before)
    print("\n".join(str(folder / name) for name in made) or f"All keys are there already in {folder}.")


@keys_cli.command("rotate")
def keys_rotate(
    who: Annotated[Who, typer.Argument(help="whose sessions the pair signs: staff or family")],
) -> None:
    """Make the next pair of signing keys. Give the public one to all services before the private one signs."""
    for path in rotate(_settings().key_folder, who):
        print(path)


def _as_operator(url: str, method: str, path: str, body: dict[str, Any]) -> Any:
    """Ask the running system as its operator: who holds the signing keys is."""
    from example.client import Json, Refused, operator

    settings = _settings()
    keys = Keys.load(settings.key_folder)

    async def ask() -> Json:
        async with operator(url or settings.address, keys, SystemClock()) as caller:
            return await caller.call(method, path, body)

    try:
        return _run(ask())
    except Refused as error:
        raise _stop(str(error)) from error


def _reachable(settings: Settings) -> BusSettings:
    return bus_settings(settings.model_copy(update={"nats_url": _nats_url(settings)}))


def _placement(settings: Settings) -> Placement:
    return Placement(settings.placement, settings.served_institutions)


def _nats_url(settings: Settings) -> str:
    url = settings.nats_url or address_of(settings.nats)
    if not url:
        raise CannotStart(
            f"There is no NATS server: none runs on the data folder {settings.data} (firsthand up), "
            "and FIRSTHAND_NATS_URL is not set."
        )
    return url


def _stop(message: str) -> typer.Exit:
    console.print(f"[red]{escape(message)}[/]", soft_wrap=True)
    return typer.Exit(1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the fast event loop; the first SIGTERM or Ctrl-C before serving ends it as well."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def main() -> None:
    try:
        cli(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)  # Ctrl-C before there was anything to finish
    except (CannotStart, KeysError, NoServer, StoreUnavailable) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
