"""The commands with which an operator looks after the topology, dead letters and keys.

Each imports what it needs when it is called: `firsthand --help` and `firsthand keys` load no bus.
"""

import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from firsthand.shared.console import AsJson, console, nats_url, read_settings, run, stop
from firsthand.shared.settings import Settings

if TYPE_CHECKING:
    from firsthand.shared.bus import BusSettings
    from firsthand.shared.bus.dead_letters import DeadLetter, DeadLetters
    from firsthand.shared.bus.placements import Recorded
    from firsthand.shared.topology import Placement

T = TypeVar("T")

topology_cli = typer.Typer(no_args_is_help=True, help="The streams and durables on the NATS server.")
dead_letters_cli = typer.Typer(no_args_is_help=True, help="Events that a service could not handle.")
secrets_cli = typer.Typer(no_args_is_help=True, help="All secrets of a deployment whose services run separately.")
mongo_cli = typer.Typer(no_args_is_help=True, help="Set up a MongoDB server.")
keys_cli = typer.Typer(no_args_is_help=True, help="The deployment's keys.")
ledger_cli = typer.Typer(no_args_is_help=True, help="The list of destroyed keys, for a restore of keys.")


def _reachable(settings: Settings) -> "BusSettings":
    from firsthand.shared.bus.settings import bus_settings

    return bus_settings(settings.model_copy(update={"nats_url": nats_url(settings)}))


def _placement(settings: Settings) -> "Placement":
    from firsthand.shared.topology import Placement

    return Placement(settings.placement, settings.served_institutions)


@topology_cli.command("show")
def topology_show() -> None:
    """Show the topology, the placements on the server, and how the server differs from it."""
    from firsthand.shared.bus.placements import recorded, spelled
    from firsthand.shared.bus.topology_apply import drift
    from firsthand.shared.topology import DURABLES, STREAMS

    settings = read_settings()
    for stream in STREAMS.values():
        print(f"{stream.name:<16} {', '.join(stream.subjects)}   kept {stream.max_age.days} days")
    for durable in DURABLES:
        events = ", ".join(event.event_type().removeprefix("firsthand.") for event in durable.events)
        print(f"  {_placement(settings).durable_name(durable):<40} {events}")
    for one in run(recorded(_reachable(settings))):
        state = "runs" if one.runs else f"does not run; if it has ended: firsthand topology remove {one.name}"
        print(f"placement {one.name}: {spelled(one.institutions)}; {state}")
    differences = run(drift(_reachable(settings)))
    for difference in differences:
        console.print(f"[yellow]drift:[/] {difference}")
    if differences:
        raise typer.Exit(1)
    console.print("The server has everything, as it should be.")


Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]


@topology_cli.command("apply")
def topology_apply(
    remove_ended: Annotated[
        bool, typer.Option("--remove-ended", help="first show, and remove, what placements that do not run have left")
    ] = False,
    yes: Yes = False,
) -> None:
    """Create or update what the server lacks; may be run any number of times."""
    from firsthand.shared.bus.placements import recorded
    from firsthand.shared.bus.topology_apply import apply

    settings = read_settings()
    changes: list[str] = []
    if remove_ended:
        there = run(recorded(_reachable(settings)))
        ended = [one for one in there if not one.runs and one.name != settings.placement]
        changes += _removed(_reachable(settings), ended, yes=yes)
    changes += run(apply(_reachable(settings)))
    print("\n".join(changes) or "Nothing to change.")


@topology_cli.command("remove")
def topology_remove(
    placement: Annotated[str, typer.Argument(help="a placement that has ended; `topology show` lists them")],
    yes: Yes = False,
) -> None:
    """Remove what an ended placement left on the server: its durables. Events and dead letters stay."""
    from firsthand.shared.bus.placements import Recorded, recorded, remove
    from firsthand.shared.embedded_nats import address_of

    settings = read_settings()

    async def on_its_own_server() -> list[str]:
        """Nothing runs on the data folder, so nothing of any placement does: start its server for this alone."""
        from firsthand.shared.bus.settings import bus_settings
        from firsthand.shared.serving import embedded_nats

        async with embedded_nats(settings, lambda _: None) as reachable:
            return await remove(bus_settings(reachable), Recorded(placement))

    if not settings.nats_url and not address_of(settings.nats):
        if not settings.nats.is_dir():
            raise stop(f"There is no NATS server, and none ever ran on the data folder {settings.data}.")
        _confirm(f"the placement {placement}", yes=yes)
        changes = run(on_its_own_server())
    else:
        found = [one for one in run(recorded(_reachable(settings))) if one.name == placement]
        changes = _removed(_reachable(settings), found, yes=yes)
    if not changes:
        raise stop(f"The server knows no placement {placement}.")
    print("\n".join(changes))


def _removed(settings: "BusSettings", ended: "list[Recorded]", *, yes: bool) -> list[str]:
    """Show what placements left, ask, and remove it; gives a line for each durable."""
    from firsthand.shared.bus.placements import PlacementRuns, remove, spelled

    changes: list[str] = []
    for one in ended:
        if one.runs:
            raise stop(f"The placement {one.name} runs. Stop its services first.")
        console.print(f"The placement {one.name} ({spelled(one.institutions)}) left {len(one.durables)} durables.")
        _confirm(f"the placement {one.name}", yes=yes)
        try:
            changes += run(remove(settings, one))
        except PlacementRuns as error:
            raise stop(str(error)) from error
    return changes


def _confirm(what: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise stop(f"Nobody can be asked here whether {what} has ended. Make sure, then add --yes.")
    if not typer.confirm(f"Has {what} ended? What it had heard is given again if it is ever applied anew."):
        raise stop("Nothing is removed.")


async def _with_dead_letters(act: "Callable[[DeadLetters], Coroutine[Any, Any, T]]") -> T:
    from firsthand.shared.bus.connection import connected
    from firsthand.shared.bus.dead_letters import DeadLetters

    async with connected(_reachable(read_settings())) as client:
        return await act(DeadLetters(client.jetstream()))


def _dead_letters(act: "Callable[[DeadLetters], Coroutine[Any, Any, T]]") -> T:
    from firsthand.shared.bus.dead_letters import NoSuchDeadLetter

    try:
        return run(_with_dead_letters(act))
    except NoSuchDeadLetter as error:
        raise stop(str(error)) from error


@dead_letters_cli.command("list")
def dead_letters_list(as_json: AsJson = False) -> None:
    """List dead letters, the oldest first."""

    async def all_of(letters: "DeadLetters") -> "list[DeadLetter]":
        return [letter async for letter in letters.list()]

    found = _dead_letters(all_of)
    if as_json:
        print(json.dumps([_readable(letter) for letter in found], indent=2))
        return
    for letter in found:
        print(f"{letter.number:>6}  {letter.at:%Y-%m-%d %H:%M:%S}  {letter.service}/{letter.handler}  {letter.reason}")
    console.print(f"{len(found)} dead letters")


def _readable(letter: "DeadLetter") -> dict[str, Any]:
    return asdict(letter) | {"at": letter.at.isoformat(), "body": letter.body.decode(errors="replace")}


@dead_letters_cli.command("show")
def dead_letters_show(number: int) -> None:
    """Show one dead letter in full."""
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


@mongo_cli.command("prepare")
def mongo_prepare(
    folder: Annotated[Path, typer.Argument(help="the folder with mongo-root-password and mongo-users.json")],
) -> None:
    """Initiate the replica set of FIRSTHAND_MONGO_URL, an address without a user, and create the services' users."""
    from firsthand.shared.store.mongo_setup import prepare, read_secrets

    settings = read_settings()
    if not settings.mongo_url:
        raise stop("FIRSTHAND_MONGO_URL is not set: the databases are files, and there is nothing to prepare.")
    password, users = read_secrets(folder)
    run(prepare(settings.mongo_url, password, users, print))


@keys_cli.command("create")
def keys_create() -> None:
    """Create the keys that are missing from FIRSTHAND_KEYS_DIR; `up` does so by itself, `serve` never."""
    from firsthand.shared.keys import Keys

    folder = read_settings().key_folder
    before = {path.name for path in folder.glob("*.key")}
    Keys.load(folder, create=True)
    made = sorted({path.name for path in folder.glob("*.key")} - before)
    print("\n".join(str(folder / name) for name in made) or f"All keys are there already in {folder}.")


@keys_cli.command("rotate")
def keys_rotate(
    who: Annotated[Literal["staff", "family"], typer.Argument(help="whose sessions the pair signs: staff or family")],
) -> None:
    """Create the next pair of signing keys. Give the public one to all services before the private one signs."""
    from firsthand.shared.keys import rotate

    for path in rotate(read_settings().key_folder, who):
        print(path)


@secrets_cli.command("make")
def secrets_make(
    folder: Annotated[Path, typer.Argument(help="where to create them; keep it as safe as the keys")],
    mongo: Annotated[
        str, typer.Option(help="MongoDB's address without a user, e.g. mongodb://mongo:27017/firsthand?replicaSet=rs0")
    ] = "",
    nats_store: Annotated[str, typer.Option(help="where the NATS server keeps its streams")] = "/data",
) -> None:
    """Create missing keys, users and passwords, one folder for each service, and nats.conf for the server."""
    from firsthand.shared.credentials import make_secrets

    try:
        made = make_secrets(folder, placement=_placement(read_settings()), mongo=mongo, nats_store=nats_store)
    except (OSError, ValueError) as error:
        raise stop(f"Secrets cannot be made in {folder}: {error}.") from error
    print("\n".join(map(str, made)) or f"Everything is there already in {folder}.")


@ledger_cli.command("export")
def ledger_export(file: Annotated[Path, typer.Argument(help="the file to write; an existing one is replaced")]) -> None:
    """Write every erasure to a file. With SQLite, stop Firsthand first."""
    from firsthand.shared.clock import SystemClock
    from firsthand.shared.files import write_whole
    from firsthand.shared.ledger import NoLedger, erasures
    from firsthand.shared.topology import SERVICES

    async def export() -> list[str]:
        return [entry.model_dump_json() async for entry in erasures(read_settings(), SERVICES, SystemClock())]

    try:
        lines = run(export())
        write_whole(file, "".join(f"{line}\n" for line in lines).encode(), replace=True)
    except NoLedger as error:
        raise stop(f"Nothing is written: {error}") from error
    except OSError as error:
        raise stop(f"{file} cannot be written: {error.strerror}.") from error
    console.print(f"{len(lines)} erasures are in {file}.")


@ledger_cli.command("apply")
def ledger_apply(file: Annotated[Path, typer.Argument(help="what `ledger export` wrote")]) -> None:
    """Destroy again the keys that the ledger names: after restoring keys, before anything starts."""
    from firsthand.shared.clock import SystemClock
    from firsthand.shared.ledger import NoLedger
    from firsthand.shared.ledger import apply as apply_ledger
    from firsthand.shared.ledger import read as read_ledger
    from firsthand.shared.topology import SERVICES

    try:
        with file.open(encoding="utf-8") as lines:
            entries = read_ledger(lines, SERVICES)
    except (OSError, UnicodeDecodeError) as error:
        raise stop(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.") from error
    except NoLedger as error:
        raise stop(f"{file}: {error}. Nothing was applied.") from error
    destroyed = run(apply_ledger(entries, read_settings(), SystemClock()))
    console.print(f"{len(entries)} erasures read; {destroyed} keys that were here again are destroyed.")
