"""`firsthand clock`: how the services judge their machines' clocks, and an operator's word that the clock is right."""

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from firsthand.shared.clock import SystemClock
from firsthand.shared.console import console, nats_url, read_settings, run, stop
from firsthand.shared.settings import Settings

if TYPE_CHECKING:
    from firsthand.shared.clock_survey import Survey

_TAKEN_WITHIN: Final = 10  # seconds; a service whose clock is in doubt looks for a confirmation every two

clock_cli = typer.Typer(help="The clock by which consents expire and data are deleted.")


@clock_cli.callback(invoke_without_command=True)
def clock(context: typer.Context) -> None:
    """Show this machine's clock, NATS's, and whether the services believe theirs."""
    if context.invoked_subcommand is None:
        seen = run(_survey(read_settings()))
        _show(seen)
        if seen.apart or seen.amiss:
            raise typer.Exit(1)


@clock_cli.command("confirm")
def clock_confirm(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Confirm that this machine's clock is right, so that expiry and deletion by time resume in all services."""
    from firsthand.shared.bus.times import NotConfirmed

    settings = read_settings()
    _show(run(_survey(settings)))
    now = SystemClock().now()
    if not yes:
        if not sys.stdin.isatty():
            raise stop("Nobody can be asked here whether the date is right. Look at it, then add --yes.")
        if not typer.confirm(f"Is it really {_said(now)}? Whatever is due by then will be deleted for good."):
            raise stop("Nothing is confirmed.")
    try:
        left = run(_confirm(settings, SystemClock().now()))
    except NotConfirmed as error:
        raise stop(f"NATS did not keep the confirmation: {error}.") from error
    for one in left.services:
        if one.runs and one.reading.sentence:
            console.print(f"[yellow]{one.service}:[/] {escape(one.reading.sentence)}", soft_wrap=True)
    if any(one.runs and one.reading.sentence for one in left.services):
        raise stop(f"Confirmed {_said(now)}, but these services show another time, or do not hear it.")
    print(f"Confirmed {_said(now)}. A service that starts later takes it too.")


async def _confirm(settings: Settings, at: datetime) -> "Survey":
    """Confirm, and wait until all running services that can be asked believe their clocks."""
    from firsthand.shared.bus.settings import bus_settings
    from firsthand.shared.bus.times import confirm

    await confirm(bus_settings(settings.model_copy(update={"nats_url": nats_url(settings)})), at)
    for _ in range(_TAKEN_WITHIN):
        seen = await _survey(settings)
        if not any(one.runs and one.reading.sentence for one in seen.services):
            break
        await asyncio.sleep(1)
    return seen


async def _survey(settings: Settings) -> "Survey":
    from firsthand.shared.clock_survey import survey
    from firsthand.shared.topology import STREAMS

    return await survey(settings, tuple(STREAMS))


def _show(seen: "Survey") -> None:
    rows: list[tuple[str, str]] = [
        ("this machine", _said(seen.now)),
        ("NATS server", _said(seen.nats.server)),
        ("newest event", _said(seen.nats.newest_message)),
        ("last confirmed", _said(seen.nats.confirmed) if seen.nats.confirmed or not seen.nats.server else "never"),
    ]
    for one in seen.services:
        reading = one.reading
        shown = f"{_said(reading.now)}, certain: {_said(reading.sure)}" if one.runs else "stopped"
        rows.append((one.service, shown))
    for name, text in rows:
        print(f"{name:<16} {text}")
    for sentence, names in seen.amiss.items():
        console.print(f"[yellow]{', '.join(names)}:[/] {escape(sentence)}", soft_wrap=True)
    if seen.apart:
        console.print(f"[yellow]{seen.apart}[/]", soft_wrap=True)


def _said(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "unknown"


__all__ = ["clock_cli"]
